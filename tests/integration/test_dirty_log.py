# SPDX-License-Identifier: BSD-3-Clause
"""The dirty log of a migration: every page of a guest that sluiced writes is in it, and no other.

Memory is compared before and after, page by page. What the guest itself writes is written before:
buffers and frames lie ready, and to publish them touches rings' pages alone.
"""

import itertools
import os
import random

import pytest

from frames import frame
from ringguest import RingGuest
from vhostuser import INDIRECT, LOG_ALL, MRG_RXBUF, PACKED, VERSION_1
from virtqueue import GPA_FIRST, PackedQueue
from wait import wait_until

PAGE = 4096
MAC_A, MAC_B = "02:00:00:00:0f:0a", "02:00:00:00:0f:0b"
SPLIT = VERSION_1 | INDIRECT
_bridges = itertools.count()


class Log:
    """Ours of a guest, which sluiced writes into."""

    def __init__(self, guest):
        self.guest = guest
        self.fds = []

    def renew(self):
        """Another log: what is written from here on is in it alone."""
        self.fds.append(self.guest.send_log())

    def switch(self, on):
        """As QEMU does when a migration begins and ends."""
        guest = self.guest
        guest.set_features(guest.features | (LOG_ALL if on else 0))
        for ring in guest.rings:
            guest.send_address(ring, logged=on)
        guest.sync()

    def pages(self, which=-1):
        """Numbers of the logged pages, counted from the guest's first byte."""
        data = os.pread(self.fds[which], os.fstat(self.fds[which]).st_size, 0)
        first = GPA_FIRST // PAGE
        return {8 * i + bit - first for i, byte in enumerate(data) if byte
                for bit in range(8) if byte >> bit & 1}

    def close(self):
        for fd in self.fds:
            os.close(fd)


def ring_pages(queue):
    """What the device writes of a ring, and what the driver writes of it alone."""
    if isinstance(queue, PackedQueue):
        return pages_of(queue.desc, 16 * queue.size) | pages_of(queue.device, 4), set()
    return pages_of(queue.device, 6 + 8 * queue.size), pages_of(queue.driver, 6 + 2 * queue.size)


def pages_of(offset, size):
    return set(range(offset // PAGE, (offset + size - 1) // PAGE + 1))


class Migration:
    """Two guests, both with a log: a sends, b receives."""

    def __init__(self, sluiced, features, size=64, queues=1):
        self.sluiced = sluiced
        self.bridge = f"log{next(_bridges)}"
        self.names = [f"{self.bridge}-{end}" for end in "ab"]
        sluiced.rpc("bridge.add", name=self.bridge)
        start = 1 << 15 | size - 4 if features & PACKED else 0xFFFF - 3
        self.ends = []
        for name, mac in zip(self.names, (MAC_A, MAC_B)):
            port = sluiced.rpc("port.attach", name=name, bridge=self.bridge, mac=mac, queues=queues)
            self.ends.append(RingGuest.at(port["socket"], features, size=size, queues=queues,
                                          regions=2, start=start))
        self.a, self.b = self.ends
        for name in self.names:
            sluiced.wait_state(name, "up")
        self.logs = [Log(guest) for guest in self.ends]
        self.rng = random.Random(5)
        self.sent = 0

    def give_buffers(self, count, sizes, pair=0, indirect=False):
        while self.b.recv(0, pair):
            pass
        for _ in range(min(count, self.b.rx(pair).room() // len(sizes))):
            self.b.post(sizes, pair=pair, publish=False, indirect=indirect, rng=self.rng,
                        gap_max=6000)
        self.b.rx(pair).queue.publish()

    def add_frames(self, count, pair=0, indirect=False):
        """They lie ready, and sluiced does not see them yet."""
        self.a.reclaim(pair)
        for _ in range(count):
            data = frame(MAC_B, MAC_A, payload=self.rng.randbytes(self.rng.randint(46, 1400)))
            self.a.send(data, pair=pair, publish=False, indirect=indirect)
        self.sent += count

    def remember(self):
        self.before = [guest.memory.bytes[:] for guest in self.ends]

    def run(self, pair=0):
        """Sends what lies ready, and stops the rings when all of it has come."""
        self.a.publish(pair)
        queue = self.a.tx(pair).queue
        wait_until(lambda: queue.device_base() == queue.driver_base(), "the frames to be taken")
        wait_until(lambda: self.sluiced.stats(self.names[1])["rx_packets"] == self.sent,
                   "the frames to come")
        self.stop()

    def stop(self):
        for guest in self.ends:
            for ring in guest.rings:
                guest.stop(ring)

    def go_on(self):
        for guest in self.ends:
            for ring in guest.rings:
                guest.start(ring, logged=True)

    def changed(self, end):
        """Pages that sluiced has written since."""
        before, now = self.before[end], self.ends[end].memory.bytes
        by_driver = set().union(*(ring_pages(ring.queue)[1] for ring in self.ends[end].rings))
        return {n for n in range(len(before) // PAGE)
                if before[n * PAGE:(n + 1) * PAGE] != now[n * PAGE:(n + 1) * PAGE]} - by_driver

    def may_write(self, end):
        """Pages that sluiced has business with: rings, and receive buffers that it was given."""
        pages = set()
        for ring in self.ends[end].rings:
            pages |= ring_pages(ring.queue)[0]
            for _, pieces in ring.held.values() if ring.number % 2 == 0 else ():
                for offset, size in pieces:
                    pages |= pages_of(offset, size)
        return pages

    def check(self):
        """All that was written is logged, and nothing that was not."""
        for end, log in enumerate(self.logs):
            logged, changed = log.pages(), self.changed(end)
            assert changed, "nothing was written"
            assert not changed - logged, f"written and not logged: {sorted(changed - logged)}"
            extra = logged - self.may_write(end)
            assert not extra, f"logged and none of sluiced's business: {sorted(extra)}"
            assert len(logged) <= len(changed) + 4, (len(logged), len(changed))

    def close(self):
        for name, guest, log in zip(self.names, self.ends, self.logs):
            self.sluiced.rpc("port.detach", name=name)
            guest.close()
            log.close()
        self.sluiced.rpc("bridge.del", name=self.bridge)


@pytest.fixture
def migrate(sluiced):
    made = []

    def make(features, **options):
        made.append(Migration(sluiced, features, **options))
        return made[-1]

    yield make
    for migration in made:
        migration.close()


RINGS = {"split": SPLIT, "packed": SPLIT | PACKED}
SHAPES = {  # features, sizes of a receive buffer's descriptors, buffers for a frame, indirect
    "plain": (MRG_RXBUF, [2048], 1, False),
    "merged": (MRG_RXBUF, [300], 5, False),
    "pieces": (0, [100, 700, 900], 1, False),
    "indirect": (0, [12, 1000, 1000], 1, True),
    "across-pages": (MRG_RXBUF, [5000, 5000], 1, False),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", RINGS)
def test_every_page_is_logged(migrate, kind, shape):
    features, sizes, buffers, indirect = SHAPES[shape]
    pair = migrate(RINGS[kind] | features)
    for log in pair.logs:
        log.renew()
        log.switch(True)
    for count in (1, 5, 10):
        pair.give_buffers(buffers * count, sizes, indirect=indirect)
        pair.add_frames(count, indirect=indirect)
        for log in pair.logs:
            log.renew()
        pair.remember()
        pair.run()
        pair.check()
        pair.go_on()


@pytest.mark.parametrize("kind", RINGS)
def test_logging_goes_on_under_traffic(migrate, kind):
    """From the answer to SET_FEATURES and SET_VRING_ADDR on, whatever is under way."""
    pair = migrate(RINGS[kind] | MRG_RXBUF)
    for _ in range(10):
        pair.give_buffers(32, [2048])
        pair.add_frames(16)
        pair.a.publish()
        pair.add_frames(16)
        for log in pair.logs:
            log.renew()
            log.switch(True)
        pair.remember()
        pair.run()
        for end, log in enumerate(pair.logs):
            missing = pair.changed(end) - log.pages()
            assert not missing, f"written and not logged: {sorted(missing)}"
            assert not log.pages() - pair.may_write(end)
        pair.go_on()
        for log in pair.logs:
            log.switch(False)


@pytest.mark.parametrize("kind", RINGS)
def test_log_that_is_off_stays_clean(migrate, kind):
    pair = migrate(RINGS[kind] | MRG_RXBUF)
    for log in pair.logs:
        log.renew()
        log.switch(True)
        log.switch(False)
        log.renew()
    pair.give_buffers(32, [2048])
    pair.add_frames(32)
    pair.run()
    assert [log.pages() for log in pair.logs] == [set(), set()]


@pytest.mark.parametrize("kind", RINGS)
def test_a_log_for_each_queue_pair(migrate, kind):
    """QEMU sends SET_LOG_BASE once a queue pair, each time with another file: the last one counts,
    and the others are let go. One of the queue pairs is idle."""
    pair = migrate(RINGS[kind] | MRG_RXBUF, queues=3)
    for log in pair.logs:
        log.renew()
        log.switch(True)
    for queue in (0, 2):
        pair.give_buffers(20, [2048], pair=queue)
        pair.add_frames(20, pair=queue)
    pair.a.publish(2)
    for _ in range(3):
        for log in pair.logs:
            log.renew()
    old = [[log.pages(which) for which in range(3)] for log in pair.logs]
    pair.remember()
    pair.run()
    for end, log in enumerate(pair.logs):
        assert not pair.changed(end) - log.pages()
        assert [log.pages(which) for which in range(3)] == old[end], "an old log was written to"
    with open(f"/proc/{pair.sluiced.process.pid}/maps", encoding="utf-8") as maps:
        mapped = sum("dirty-log" in line for line in maps)
    assert mapped <= 2 * len(pair.ends), "old logs are still mapped"
