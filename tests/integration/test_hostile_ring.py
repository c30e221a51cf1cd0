# SPDX-License-Identifier: BSD-3-Clause
"""Rings that lie: the ring is stopped with a reason, or the frame is dropped and counted; others go
on, and a guest that starts its ring anew is served again.

What looks odd and is right must work: buffers across two regions, pieces of no bytes, tables of one
entry.
"""

import struct

import pytest

from frames import frame
from ringpair import MAC_A, MAC_B, RINGS, SIZE, Pair
from virtqueue import CHAIN_IN_TABLE, GPA_FIRST, NEXT, WRITE, PackedQueue
from wait import wait_until

NOWHERE = 0x1000  # no region is there


class Lair:
    """The lying guest's ring, and where a good frame or buffer of it lies."""

    def __init__(self, ring, writes):
        self.queue = ring.queue
        self.memory = ring.memory
        self.flags = WRITE if writes else 0
        self.slot = slot = ring.slots + 4096 * 40
        self.table = ring.slots + 4096 * 2
        self.bytes = 1012 if writes else 72
        self.good = self.memory.gpa(slot)
        if not writes:
            data = bytes(12) + frame(MAC_B, MAC_A, payload=struct.pack("!I", 0).ljust(46, b"\0"))
            self.memory.bytes[slot:slot + self.bytes] = data
        self.end = GPA_FIRST + len(self.memory.bytes)
        self.is_packed = isinstance(self.queue, PackedQueue)

    def buffers(self):
        """What lies where a frame may have been written to."""
        return self.memory.bytes[self.slot:self.slot + self.bytes], self.memory.bytes[-64:]

    def piece(self, gpa=None, size=None, flags=0, following=0):
        return (self.good if gpa is None else gpa, self.bytes if size is None else size,
                self.flags ^ flags, following)

    def give(self, *pieces):
        """A chain of descriptors, as they are."""
        queue = self.queue
        if self.is_packed:
            for gpa, size, flags, _ in pieces:
                queue.add_slot(gpa, size, flags, 0)
        else:
            for i, piece in enumerate(pieces):
                queue._write_entry(queue.desc + 16 * i, *piece)
            queue.add_head(0)

    def give_table(self, *pieces, size=None, flags=0, gpa=None):
        """A chain in a table."""
        for i, piece in enumerate(pieces):
            self.queue._write_entry(self.table + 16 * i, *piece)
        self.give((self.memory.gpa(self.table) if gpa is None else gpa,
                   16 * len(pieces) if size is None else size, CHAIN_IN_TABLE | flags, 1))


# What breaks a ring, in either direction.
def unmapped(lair):
    lair.give(lair.piece(gpa=NOWHERE))


def address_wraps(lair):
    lair.give(lair.piece(gpa=(1 << 64) - 8))


def over_the_end(lair):
    lair.give(lair.piece(gpa=lair.end - 10))


def four_gigabytes(lair):
    lair.give(lair.piece(size=0xFFFFFFFF))


def wrong_direction(lair):
    lair.give(lair.piece(flags=WRITE))


def second_piece_unmapped(lair):
    lair.give(lair.piece(size=12, flags=NEXT, following=1), lair.piece(gpa=NOWHERE))


def second_piece_in_wrong_direction(lair):
    lair.give(lair.piece(size=12, flags=NEXT, following=1), lair.piece(flags=WRITE))


def chain_without_end(lair):
    """Split: a loop; packed: a chain that takes the whole ring and goes on."""
    if lair.is_packed:
        lair.give(*[lair.piece(flags=NEXT)] * lair.queue.size)
    else:
        lair.give(lair.piece(flags=NEXT, following=1), lair.piece(flags=NEXT, following=0))


def chain_bites_itself(lair):
    lair.give(lair.piece(flags=NEXT, following=0), *[lair.piece(flags=NEXT)] * lair.is_packed)


def chain_leaves_the_ring(lair):
    lair.give(lair.piece(flags=NEXT, following=0xFFFF))


def head_beyond_the_ring(lair):
    lair.queue.add_head(lair.queue.size)


def index_jumps(lair):
    lair.queue.next = (lair.queue.next + lair.queue.size + 1) & 0xFFFF


def table_in_a_table(lair):
    lair.give_table((lair.memory.gpa(lair.table), 16, CHAIN_IN_TABLE, 0))


def table_of_no_bytes(lair):
    lair.give_table(size=0)


def table_of_17_bytes(lair):
    lair.give_table(lair.piece(), size=17)


def table_of_8_bytes(lair):
    lair.give_table(lair.piece(), size=8)


def table_and_more(lair):
    lair.give_table(lair.piece(), flags=NEXT)


def table_unmapped(lair):
    lair.give_table(lair.piece(), gpa=NOWHERE)


def table_over_the_end(lair):
    lair.give_table(lair.piece(), gpa=lair.end - 8)


def table_of_4_gigabytes(lair):
    lair.give_table(lair.piece(flags=NEXT, following=0), size=0xFFFFFFF0)


def table_entry_unmapped(lair):
    lair.give_table(lair.piece(size=12, flags=NEXT, following=1), lair.piece(gpa=NOWHERE))


def table_entry_in_wrong_direction(lair):
    lair.give_table(lair.piece(flags=WRITE))


BREAKS = [unmapped, address_wraps, over_the_end, four_gigabytes, wrong_direction,
          second_piece_unmapped, second_piece_in_wrong_direction, chain_without_end,
          chain_bites_itself, chain_leaves_the_ring, head_beyond_the_ring, index_jumps,
          table_in_a_table, table_of_no_bytes, table_of_17_bytes, table_of_8_bytes, table_and_more,
          table_unmapped, table_over_the_end, table_of_4_gigabytes, table_entry_unmapped,
          table_entry_in_wrong_direction]
SPLIT_ONLY = [head_beyond_the_ring, index_jumps]
BROKEN = [pytest.param(kind, lie, id=f"{kind}-{lie.__name__}")
          for kind in ("split", "packed") for lie in BREAKS
          if kind == "split" or lie not in SPLIT_ONLY]


# What is no frame. The ring goes on.
def no_bytes(lair):
    lair.give(lair.piece(size=0))


def header_alone(lair):
    lair.give(lair.piece(size=12))


def half_a_header(lair):
    lair.give(lair.piece(size=5))


def short_frame(lair):
    lair.give(lair.piece(size=12 + 13))


def huge_frame(lair):
    lair.give(lair.piece(size=12, flags=NEXT, following=1), lair.piece(size=70000))


def huge_chain(lair):
    lair.give(lair.piece(size=40000, flags=NEXT, following=1), lair.piece(size=40000))


NO_FRAMES = [no_bytes, header_alone, half_a_header, short_frame, huge_frame, huge_chain]


@pytest.fixture(params=["split", "packed"])
def kind(request):
    return request.param


@pytest.fixture
def lairs(sluiced, kind):
    """(a pair of which one lies, a pair of bystanders)"""
    pairs = [Pair(sluiced, RINGS[kind]), Pair(sluiced, RINGS[kind])]
    yield pairs
    for pair in pairs:
        pair.close()


def others_go_on(calm):
    calm.refill()
    calm.give(8)
    calm.assert_all_came()


def start_anew(guest, ring):
    """As a driver does that is loaded again."""
    guest.stop_vring(ring.number)
    ring.resize(SIZE, 0)
    guest.start(ring)


def stopped(pair, name, way):
    (queue,) = pair.sluiced.port(name)["queues"]
    return queue.get(f"stopped_{way}_guest")


@pytest.mark.parametrize("kind, lie", BROKEN)
def test_broken_transmit_ring_is_stopped(lairs, lie):
    pair, calm = lairs
    ring, name = pair.a.tx(), pair.names[0]
    start_anew(pair.a, ring)
    pair.refill()
    lair = Lair(ring, writes=False)
    lie(lair)
    lair.queue.publish()
    why = wait_until(lambda: stopped(pair, name, "from"), "the ring to be stopped")
    assert isinstance(why, str)
    assert pair.sluiced.stats(name)["tx_packets"] == 0
    others_go_on(calm)
    start_anew(pair.a, ring)
    pair.wait_up()
    assert not stopped(pair, name, "from")
    pair.give(8)
    pair.assert_all_came()


@pytest.mark.parametrize("kind, lie", BROKEN)
def test_broken_receive_ring_is_stopped(lairs, lie):
    pair, calm = lairs
    ring, name = pair.b.rx(), pair.names[1]
    start_anew(pair.b, ring)
    lair = Lair(ring, writes=True)
    before = lair.buffers()
    lie(lair)
    lair.queue.publish()
    pair.give(1)
    why = wait_until(lambda: stopped(pair, name, "to"), "the ring to be stopped")
    assert isinstance(why, str)
    pair.give(3)
    wait_until(lambda: pair.dropped() == 4, "the frames to be dropped")
    assert lair.buffers() == before, "a frame was written in part"
    others_go_on(calm)
    start_anew(pair.b, ring)
    pair.wait_up()
    assert not stopped(pair, name, "to")
    pair.refill()
    pair.give(8)
    pair.settle()
    assert pair.got == list(range(4, 12))


@pytest.mark.parametrize("lie", NO_FRAMES)
def test_what_is_no_frame_is_dropped(lairs, lie):
    pair, calm = lairs
    ring, name = pair.a.tx(), pair.names[0]
    start_anew(pair.a, ring)
    pair.refill()
    lair = Lair(ring, writes=False)
    lie(lair)
    lair.queue.publish()
    pair.sluiced.wait_stat(name, "tx_dropped")
    assert not stopped(pair, name, "from")
    reasons = pair.sluiced.stats(name)["tx_dropped_by"]
    assert reasons["bad_ring"] + reasons["bad_frame"] == 1, reasons
    wait_until(lambda: ring.queue.device_base() == ring.queue.driver_base() if not lair.is_packed
               else True, "the buffers to come back")
    others_go_on(calm)


def test_receive_buffers_that_never_come_back(lairs):
    """The guest's frames are dropped, those of others are not."""
    pair, calm = lairs
    pair.refill(4)
    for _ in range(10):
        pair.give(20)
        others_go_on(calm)
        wait_until(lambda: pair.counted() == pair.sent, "the frames to be taken")
    drops = pair.sluiced.stats(pair.names[1])["rx_dropped_by"]
    assert drops["ring_full"] == pair.dropped() >= 150


def test_used_ring_is_overwritten(lairs):
    """What sluiced has written there it never reads again."""
    pair, calm = lairs
    for step in range(20):
        pair.refill()
        for guest in (pair.a, pair.b):
            for ring in guest.rings:
                queue = ring.queue
                if not isinstance(queue, PackedQueue):
                    for at in range(queue.device + 4, queue.device + 4 + 8 * queue.size, 8):
                        struct.pack_into("<II", guest.memory.bytes, at, 0xDEAD, step)
        pair.give(8)
        pair.settle()
    others_go_on(calm)
    assert pair.dropped() == 0


def test_buffer_across_two_regions(sluiced, kind):
    """Regions that follow each other in guest memory: frames and buffers lie across the border."""
    pair = Pair(sluiced, RINGS[kind], regions=2)
    try:
        for guest, writes in ((pair.a, False), (pair.b, True)):
            ring = guest.tx() if not writes else guest.rx()
            border = guest.memory.regions[1][3]
            for back in (1, 5, 12, 13, 30, 100):
                at = border - back
                data = bytes(12) + frame(MAC_B, MAC_A, payload=struct.pack("!I", pair.sent) +
                                         bytes(400))
                if writes:
                    guest.memory.bytes[at:at + 1500] = b"\xa5" * 1500
                    number = ring.queue.add([(guest.memory.gpa(at), 1500)], write=True)
                    ring.held[number] = ring.free.pop(0), [(at, 1500)]
                    ring.queue.publish()
                    pair.give(1)
                else:
                    pair.refill(4)
                    guest.memory.bytes[at:at + len(data)] = data
                    number = ring.queue.add([(guest.memory.gpa(at), len(data))])
                    ring.held[number] = ring.free.pop(0), [(at, len(data))]
                    ring.queue.publish()
                    pair.sent += 1
                wait_until(lambda: pair.collect() or len(pair.got) == pair.sent,
                           f"a frame {back} bytes before the border")
                pair.a.reclaim()
            start_anew(pair.b, pair.b.rx())  # so that the buffers across the border come first
        assert pair.got == list(range(pair.sent))
    finally:
        pair.close()


def test_pieces_of_no_bytes_in_a_chain(lairs):
    pair, calm = lairs
    pair.refill()
    start_anew(pair.a, pair.a.tx())
    lair = Lair(pair.a.tx(), writes=False)
    lair.give(lair.piece(size=12, flags=NEXT, following=1),
              lair.piece(size=0, flags=NEXT, following=2),
              lair.piece(gpa=lair.good + 12, size=60))
    lair.queue.publish()
    wait_until(lambda: pair.collect() or pair.got == [0], "the frame")
    others_go_on(calm)


def test_table_of_one_entry(lairs):
    pair, calm = lairs
    pair.refill()
    start_anew(pair.a, pair.a.tx())
    lair = Lair(pair.a.tx(), writes=False)
    lair.give_table(lair.piece())
    lair.queue.publish()
    wait_until(lambda: pair.collect() or pair.got == [0], "the frame")
    others_go_on(calm)
