# SPDX-License-Identifier: BSD-3-Clause
"""Lcores that have nothing to do sleep in the kernel until somebody wakes them, and miss nothing."""

import os
import random
import time

import pytest

from frames import BROADCAST, assert_got, frame, mac_bytes
from frontend import frontend
from net import Net
from ringpair import MAC_A, MAC_B, PLAIN, RINGS, Pair
from sluice import Sluiced
from test_rarp import SEND_RARP, rarp
from vhostuser import SET_VRING_KICK
from wait import wait_until

EPOLL_WAIT, FOR_EVER = "232", "0xffffffff"  # of x86-64
ROUNDS = 400


def tid(sluiced, lcore=1):
    return sluiced.thread(f"sluice/{lcore}")


def sleeps(sluiced, lcore=1):
    """In epoll_wait() without a limit of time, so that nothing but a descriptor ends it."""
    with open(f"/proc/{sluiced.process.pid}/task/{tid(sluiced, lcore)}/syscall", encoding="ascii") as file:
        words = file.read().split()
    return words[0] == EPOLL_WAIT and words[4] == FOR_EVER


def wait_asleep(sluiced, lcore=1):
    wait_until(lambda: sleeps(sluiced, lcore), f"lcore {lcore} to sleep")


@pytest.fixture
def make_pair(sluiced):
    pairs = []

    def make(*args, **options):
        pairs.append(Pair(sluiced, *args, **options))
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.close()


@pytest.mark.parametrize("kind", RINGS)
def test_a_frame_ends_the_sleep(make_pair, kind):
    pair = make_pair(RINGS[kind])
    pair.refill()
    for number in range(3):
        wait_asleep(pair.sluiced)
        pair.a.send(frame(MAC_B, MAC_A, payload=bytes([number] * 46)))
        assert pair.b.recv()[1][14:60] == bytes([number] * 46)
        pair.refill(1)
    assert pair.a.tx().queue.kicks >= 3


@pytest.mark.parametrize("kind", RINGS)
def test_no_frame_is_stuck_between_the_last_look_and_the_sleep(make_pair, kind):
    """One at a time, at any moment of the way to sleep (some 250 us long)."""
    pair = make_pair(RINGS[kind])
    pair.refill()
    for number in range(ROUNDS):
        pause_us(pair.rng.uniform(0, 600))
        pair.a.send(frame(MAC_B, MAC_A, payload=number.to_bytes(4, "big") + bytes(42)))
        got = pair.b.recv()
        assert got and got[1][14:18] == number.to_bytes(4, "big"), (number, got)
        pair.refill(1)


@pytest.mark.parametrize("kind", RINGS)
def test_nor_any_of_a_few(make_pair, kind):
    """Behind a frame that comes on the way to sleep others, while it is looked at more often again; with ports
    that make the way longer."""
    others = [make_pair(PLAIN) for _ in range(15)]
    pair = make_pair(RINGS[kind])
    pair.refill()
    number = 0
    for _ in range(ROUNDS):
        pause_us(pair.rng.uniform(0, 500))
        first = number
        for _ in range(pair.rng.randint(1, 4)):
            pair.a.send(frame(MAC_B, MAC_A, payload=number.to_bytes(4, "big") + bytes(42)))
            number += 1
            pause_us(pair.rng.choice([0, 20, 300]))
        for expected in range(first, number):
            got = pair.b.recv()
            assert got and got[1][14:18] == expected.to_bytes(4, "big"), (expected, got)
        pair.refill(number - first)
    assert others


def pause_us(us):
    end = time.perf_counter() + us / 1e6
    while time.perf_counter() < end:
        pass


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_a_busy_lcore_asks_for_no_kicks(make_net, ring):
    net = make_net()
    paths = [net.attach(name)["socket"] for name in "ab"]
    status, report = frontend("--ring", ring, "--count", 300000, *paths)
    assert status == 0 and report["guests"][0]["kicks"] < 3000, report


@pytest.mark.parametrize("kind", ["split", "packed"])
def test_another_kick_descriptor(make_pair, kind):
    pair = make_pair(RINGS[kind])
    pair.refill()
    wait_asleep(pair.sluiced)
    queue = pair.a.tx().queue
    old, queue.kick = queue.kick, os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    pair.a.tell(SET_VRING_KICK, (1).to_bytes(8, "little"), fds=[queue.kick])
    pair.a.sync()
    wait_asleep(pair.sluiced)
    before = lcore(pair.sluiced)["sleeps"]
    os.eventfd_write(old, 1)
    os.close(old)
    assert sleeps(pair.sluiced) and lcore(pair.sluiced)["sleeps"] == before
    pair.a.send(frame(MAC_B, MAC_A))
    assert pair.b.recv()


def lcore(sluiced, number=1):
    return sluiced.rpc("lcore.list")[number - 1]


def test_rings_that_stop_and_start_wake_it(make_pair):
    pair = make_pair(PLAIN)
    pair.refill()
    for _ in range(5):
        wait_asleep(pair.sluiced)
        ring = pair.a.tx()
        pair.a.stop(ring)
        wait_asleep(pair.sluiced)
        pair.a.start(ring)
        pair.a.enable(ring.number, True)
        wait_asleep(pair.sluiced)
        pair.a.send(frame(MAC_B, MAC_A))
        assert pair.b.recv()
        pair.refill(1)


def test_control_wakes_it(net):
    """A drain, which an lcore has to carry out, and its end; an announcement; a port that comes and goes."""
    sluiced = net.sluiced
    a, b = net.guest("a", mac=MAC_A), net.guest("b", mac=MAC_B)
    wait_asleep(sluiced)
    assert sluiced.rpc("port.drain", name=a.name)["state"] == "drained"
    wait_asleep(sluiced)
    sent = frame(MAC_B, MAC_A)
    a.end.send(sent)
    a.sent += 1
    wait_asleep(sluiced)
    assert sluiced.rpc("port.resume", name=a.name)["state"] == "up"
    assert_got([b.recv()], sent)
    wait_asleep(sluiced)
    c = net.guest("c")
    wait_asleep(sluiced)
    net.send(c, frame(MAC_B, "02:00:00:00:0e:0c"))
    assert b.recv()


def test_an_announcement_wakes_it(make_net):
    net = make_net()
    a, b = net.guest("a", mac=MAC_A), net.guest("b", mac=MAC_B)
    wait_asleep(net.sluiced)
    a.end.tell(SEND_RARP, mac_bytes(MAC_A) + bytes(2))
    assert_got([b.recv()], rarp(MAC_A))


def test_an_uplink_wakes_it(make_net):
    """net_af_packet has no interrupts; its socket serves as well."""
    net = make_net()
    a, uplink = net.guest("a", mac=MAC_A), net.uplink("up")
    for number in range(20):
        wait_asleep(net.sluiced)
        sent = frame(MAC_A, MAC_B, payload=bytes([number] * 46))
        uplink.end.send(sent)
        assert_got([a.recv()], sent)


def test_an_uplink_without_its_interface_lets_it_sleep(make_net):
    net = make_net()
    a, uplink = net.guest("a", mac=MAC_A), net.uplink("up")
    dev = f"{net.bridge}u0"
    for state in "down", "up", "down":
        net.netns.ip("link", "set", dev, state)
        wait_asleep(net.sluiced)
        if state == "up":
            sent = frame(MAC_A, MAC_B)
            wait_until(lambda: uplink.end.send(sent) or a.recv(), "a frame")
    net.netns.ip("link", "del", dev)
    wait_asleep(net.sluiced)
    net.netns.veth(dev, f"{dev}h")  # what the net will take away


def test_interrupts_of_an_uplink_wake_it(start_sluiced, netns):
    """Two switches; one is the other's net_virtio_user device."""
    back, front = (start_sluiced(netns=netns.name) for _ in range(2))
    back.rpc("bridge.add", name="br")
    guests = Net(front, netns, "brf")
    path = back.rpc("port.attach", name="trunk", bridge="br", learn=True)["socket"]
    far = Net(back, netns, "brb")  # of which nothing is used but the way to make guests
    front.rpc("uplink.add", name="up", bridge=guests.bridge,
              devargs=f"net_virtio_user0,path={path},queues=1,queue_size=256")
    back.wait_state("trunk", "up")
    a = guests.guest("a", mac=MAC_A)
    far.bridge = "br"
    b = far.guest("b", mac=MAC_B)
    for number in range(20):
        wait_asleep(front)
        wait_asleep(back)
        there, back_again = (frame(*macs, payload=bytes([number] * 46))
                             for macs in ((MAC_B, MAC_A), (MAC_A, MAC_B)))
        a.end.send(there)
        assert_got([b.recv()], there)
        wait_asleep(front)
        wait_asleep(back)
        b.end.send(back_again)
        assert_got([a.recv()], back_again)


@pytest.fixture
def two_lcores(scratch, netns):
    sluiced = Sluiced(scratch(), lcores="0,1", netns=netns.name)
    net = Net(sluiced, netns, "br2")
    yield net
    net.close()
    assert sluiced.stop() == 0


def test_another_lcore_wakes_it(two_lcores):
    net = two_lcores
    a, b = net.guest("a", mac=MAC_A, lcore=1), net.guest("b", mac=MAC_B, lcore=2)
    rng = random.Random(1)
    for number in range(ROUNDS):
        if number < 5:
            wait_asleep(net.sluiced, 1)
            wait_asleep(net.sluiced, 2)
        pause_us(rng.uniform(0, 600))
        sent = frame(MAC_B, MAC_A, payload=number.to_bytes(4, "big") + bytes(42))
        net.send(a, sent, wait=False)
        assert_got([b.recv()], sent)


def test_a_queue_moves_between_sleeping_lcores(two_lcores):
    net = two_lcores
    a, b = net.guest("a", mac=MAC_A, lcore=1), net.guest("b", mac=MAC_B, lcore=1)
    for number in range(20):
        wait_asleep(net.sluiced, 1)
        wait_asleep(net.sluiced, 2)
        net.sluiced.rpc("port.set", name=(a, b)[number // 2 % 2].name, lcore=1 + number % 2)
        wait_asleep(net.sluiced, 1)
        wait_asleep(net.sluiced, 2)
        sent = frame(MAC_B, MAC_A, payload=bytes([number] * 46))
        net.send(a, sent)
        assert_got([b.recv()], sent)


def test_what_is_parked_moves_too(two_lcores):
    """While nobody is awake to see to it."""
    net = two_lcores
    a, b = net.guest("a", mac=MAC_A, lcore=1), net.guest("b", mac=MAC_B, lcore=1)
    for number in range(6):
        assert net.sluiced.rpc("port.drain", name=b.name)["state"] == "drained"
        sent = [frame(MAC_B, MAC_A) for _ in range(50)]
        for one in sent[:25]:
            net.send(a, one)
        net.sluiced.rpc("port.set", name=b.name, lcore=2 - number % 2)
        for one in sent[25:]:
            net.send(a, one)
        assert net.sluiced.rpc("port.resume", name=b.name)["state"] == "up"
        assert_got([b.recv() for _ in sent], *sent)


def test_a_library_port_is_looked_at(make_net):
    """Nothing can wake the lcore for it, so it does not sleep until it is woken."""
    net = make_net()
    a = net.guest("a", mac=MAC_A, datapath="library")
    b = net.guest("b", mac=MAC_B)
    before = lcore(net.sluiced)
    wait_until(lambda: lcore(net.sluiced)["naps"] > before["naps"] + 1000, "many naps")
    assert lcore(net.sluiced)["sleeps"] == before["sleeps"]
    for one, other, macs in (a, b, (MAC_B, MAC_A)), (b, a, (MAC_A, MAC_B)):
        sent = frame(*macs)
        net.send(one, sent)
        assert_got([other.recv()], sent)


def test_many_guests_sleep_together(make_net):
    """64 with a queue each; and any of them wakes the lcore."""
    net = make_net()
    guests = [net.guest(f"g{i}") for i in range(64)]
    for guest in guests[::9]:
        wait_asleep(net.sluiced)
        sent = frame(BROADCAST, "02:00:00:00:0e:0d", payload=os.urandom(46))
        guest.end.send(sent)
        assert_got([net.beacon.recv()], sent)


def test_one_that_is_to_poll_polls(start_sluiced, netns):
    sluiced = start_sluiced(idle="poll", netns=netns.name)
    net = Net(sluiced, netns, "brp")
    a, b = net.guest("a", mac=MAC_A), net.guest("b", mac=MAC_B)
    net.send(a, frame(MAC_B, MAC_A))
    assert b.recv()
    assert lcore(sluiced)["idle"] == "poll"
    assert lcore(sluiced)["naps"] == lcore(sluiced)["sleeps"] == 0


def test_no_load_is_too_uneven(make_net):
    """Bursts with pauses of all lengths: nothing is lost."""
    net = make_net()
    paths = [net.attach(name)["socket"] for name in "ab"]
    status, report = frontend("--both", "--verify", "--rate", 2000, "--burst", 1, "--duration", 3, *paths)
    assert status == 0 and (report["lost"], report["corrupt"], report["dup"]) == (0, 0, 0), report
