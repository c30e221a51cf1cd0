# SPDX-License-Identifier: BSD-3-Clause
"""Rings that stop, go on, move and change under traffic: GET_VRING_BASE says where a ring stands,
and no frame is lost or comes twice.

The sender's frames are numbered. What a guest may miss is what sluiced says that it dropped.
"""

import os

import pytest

from ringpair import RINGS, SIZE, Pair
from vhostuser import LOG_ALL
from wait import wait_until


@pytest.fixture
def make_pair(sluiced):
    pairs = []

    def make(kind, **options):
        pairs.append(Pair(sluiced, RINGS[kind], **options))
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.close()


@pytest.fixture(params=RINGS)
def pair(request, make_pair):
    return make_pair(request.param)


def stop(guest):
    for ring in guest.rings:
        guest.stop(ring)


def assert_stands(guest, bases):
    assert [ring.queue.device_base() for ring in guest.rings] == bases, "a stopped ring moved"


@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_stop_at_every_step(pair, side):
    """Stopped with any number of frames under way, over the ends of the ring and of its index."""
    guest = pair.a if side == "sender" else pair.b
    pair.refill()
    for step in range(45):
        if side == "receiver":
            pair.collect()
            pair.refill(step)
        pair.give(step % 23)
        stop(guest)
        bases = [ring.queue.device_base() for ring in guest.rings]
        pair.collect()
        pair.give(step % 5)  # nobody may look at these now
        pair.refill(step % 7)
        pair.sluiced.rpc("daemon.version")
        assert_stands(guest, bases)
        pair.restart(guest)
    if side == "sender":
        pair.settle()
        ring_full = pair.sluiced.stats(pair.names[1])["rx_dropped_by"]["ring_full"]
        assert pair.dropped() == ring_full
    pair.settle()


def test_stopped_sender_loses_nothing(pair):
    """With buffers enough at the receiver, the stops of the sender cost no frame."""
    for step in range(60):
        pair.collect()
        pair.refill()
        pair.give(10)
        stop(pair.a)
        pair.restart(pair.a)
        wait_until(lambda: pair.counted() == pair.sent, "the frames to be taken")
    pair.assert_all_came()


@pytest.mark.parametrize("end", ["sender", "receiver"])
def test_front_end_is_killed_and_comes_back(pair, end):
    guest, path = (pair.a, pair.paths[0]) if end == "sender" else (pair.b, pair.paths[1])
    for _ in range(25):
        pair.collect()
        pair.refill()
        pair.give(15)
        guest.connect_again(path)
        pair.wait_up()
    pair.settle()
    assert end == "receiver" or pair.dropped() == 0


@pytest.mark.parametrize("kind", RINGS)
def test_sluiced_restarts(start_sluiced, kind):
    """SIGTERM in mid-traffic. Counters start anew, so that frames tell."""
    sluiced = start_sluiced()
    pair = Pair(sluiced, RINGS[kind])
    try:
        for _ in range(3):
            pair.collect()
            pair.refill()
            pair.give(20)
            assert sluiced.stop() == 0
            sluiced.start()
            for guest, path in zip((pair.a, pair.b), pair.paths):
                guest.connect_again(path)
            pair.wait_up()

        def all_taken():
            pair.a.reclaim()
            pair.collect()
            return not pair.a.tx().held

        wait_until(all_taken, "the sender's frames to be taken")
        assert len(set(pair.got)) == len(pair.got), "a frame came twice"
    finally:
        pair.close()


def test_one_queue_pair_stops_while_another_runs(make_pair):
    for kind in RINGS:
        pair = make_pair(kind, queues=2)
        for step in range(20):
            for queue in range(2):
                pair.collect(queue)
                pair.refill(pair=queue)
                pair.give(8, pair=queue)
            for ring in pair.a.rings[2:]:
                pair.a.stop(ring)
            pair.give(3, pair=0)
            wait_until(lambda: pair.a.reclaim(0) is None or not pair.a.tx(0).held,
                       f"step {step}: the other pair's frames")
            for ring in pair.a.rings[2:]:
                pair.a.start(ring)
        pair.settle(pairs=(0, 1))
        assert pair.dropped() == 0


def test_queues_go_off_and_on(pair):
    for _ in range(15):
        pair.collect()
        pair.refill()
        pair.give(5)
        pair.a.enable(1, False)
        held = len(pair.a.tx().held)
        pair.give(5)
        pair.sluiced.rpc("daemon.version")
        pair.a.reclaim()
        assert len(pair.a.tx().held) >= 5, (held, "frames were taken from a queue that is off")
        pair.a.enable(1, True)
        wait_until(lambda: pair.counted() == pair.sent, "the frames of a queue that is on again")
    pair.assert_all_came()
    for _ in range(5):
        pair.b.enable(0, False)
        pair.give(5)
        wait_until(lambda: pair.counted() == pair.sent, "frames for a queue that is off")
        pair.b.enable(0, True)
        pair.give(5)
        pair.settle()
    off = pair.sluiced.stats(pair.names[1])["rx_dropped_by"]["queue_off"]
    assert off == pair.dropped() == 25


def test_rings_change_their_size(make_pair):
    for kind, sizes in {"split": [SIZE, 16, 32, 64], "packed": [SIZE, 10, 33, 64]}.items():
        pair = make_pair(kind)
        for size in sizes:
            pair.settle()
            for guest in (pair.a, pair.b):
                stop(guest)
                for ring in guest.rings:
                    ring.resize(size, 7)
                pair.restart(guest)
            pair.refill()
            for _ in range(5):
                pair.give(20)
                pair.settle()


def test_large_ring(sluiced):
    """64 to 1024 and back to 256, as a driver does that is loaded anew."""
    pair = Pair(sluiced, RINGS["split"])
    try:
        for size in (1024, 256):
            pair.settle()
            guest = pair.b
            stop(guest)
            for ring in guest.rings:
                ring.resize(size, 0xFFF0)
                ring.free = list(range(SIZE))  # slots of memory
            pair.restart(guest)
            for _ in range(10):
                pair.refill()
                pair.give(30)
                pair.settle()
    finally:
        pair.close()


def new_calls(guest, step):
    for ring in guest.rings:
        guest.send_call(ring)


def new_log(guest, step):
    os.close(guest.send_log())


def logging_on_and_off(guest, step):
    guest.set_features(guest.features | (LOG_ALL if step % 2 else 0))


def logged_rings(guest, step):
    for ring in guest.rings:
        guest.send_address(ring, step % 2)


@pytest.mark.parametrize("change", [new_calls, new_log, logging_on_and_off, logged_rings])
def test_messages_of_a_running_guest_cost_no_frame(pair, change):
    """Those that QEMU sends under traffic: for interrupts, and when a migration begins or ends."""
    for guest in (pair.a, pair.b):
        new_log(guest, 0)
    for step in range(40):
        pair.collect()
        pair.refill()
        pair.give(8)
        change(pair.a, step)
        pair.give(8)
        change(pair.b, step)
    pair.assert_all_came()
    assert pair.dropped() == 0


def test_memory_is_sent_again_under_traffic(pair):
    """What comes meanwhile may be dropped, and is counted then."""
    for _ in range(60):
        pair.collect()
        pair.refill()
        pair.give(10)
        pair.a.send_memory()
        pair.give(10)
        pair.b.send_memory()
    pair.settle()
    assert len(pair.got) > pair.sent // 2
