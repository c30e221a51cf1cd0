# SPDX-License-Identifier: BSD-3-Clause
"""What a port may send at most: policing and storm control.

A limit lets through what its bucket holds, and then what comes in with time; how much time that was
is measured, so that what is asserted holds on a machine of any speed. How exact a rate is in the long
run is a matter of tests/unit/test_limit.c, where the clock is a number.
"""

import contextlib
import time

import pytest

from frames import BROADCAST, assert_got, frame
from vhostguest import RING_SIZE
from wait import wait_until

MAC_A, MAC_B, MAC_C = (f"02:00:00:00:08:0{i}" for i in "abc")
MULTICAST, UNKNOWN = "01:00:5e:01:02:03", "02:00:00:00:08:99"


def dropped(net, member):
    """Reasons and counts of what came from the member and went nowhere."""
    stats = net.stats(member)
    by = stats["rx_dropped_by" if member.is_uplink else "tx_dropped_by"]
    return {reason: count for reason, count in by.items() if count}


def passed(net, member):
    return net.stats(member)["rx_packets" if member.is_uplink else "tx_packets"]


class Clock:
    seconds = 0.0


@contextlib.contextmanager
def stopwatch():
    """How long the block took, at least 1 ms more than sluiced can have seen of it."""
    clock, start = Clock(), time.monotonic()
    yield clock
    clock.seconds = time.monotonic() - start + 0.001


def send_all(net, member, frames, **options):
    for one in frames:
        net.send(member, one, wait=False, **options)
    wait_until(lambda: net.counted(member) >= member.sent, f"{member.name}: all to be counted")


def pair(net, **params):
    return net.guest("a", mac=MAC_A, **params), net.guest("b", mac=MAC_B)


def test_burst_passes_and_then_the_rate(net):
    """10,000 bytes at once, then 125 bytes in each ms."""
    a, b = pair(net, rate_mbps=1, burst_kb=80)
    sent = [frame(MAC_B, MAC_A, size=1000) for _ in range(60)]
    with stopwatch() as clock:
        send_all(net, a, sent)
    got = net.received(b)
    assert 10 <= len(got) <= 10 + clock.seconds * 125 + 1
    assert_got(got[:10], *sent[:10])
    assert (passed(net, a), dropped(net, a)) == (len(got), {"rate": 60 - len(got)})


def test_frame_longer_than_the_burst_makes_a_debt(net):
    a, b = pair(net, rate_mbps=1, burst_kb=1, mtu=9000)
    net.sluiced.rpc("port.set", name=b.name, mtu=9000)
    sent = [frame(MAC_B, MAC_A, size=9000) for _ in range(5)]
    with stopwatch() as clock:
        send_all(net, a, sent)
    got = net.received(b)
    assert 1 <= len(got) <= 1 + clock.seconds * 125000 / 9000 + 1
    assert_got(got[:1], sent[0])
    assert dropped(net, a) == ({"rate": 5 - len(got)} if len(got) < 5 else {})


def test_rate_is_shared_by_the_queues(net):
    a, b = pair(net, rate_mbps=1, burst_kb=80, queues=4)
    with stopwatch() as clock:
        for i in range(100):
            net.send(a, frame(MAC_B, MAC_A, size=1000), wait=False, queue=i % 4)
        wait_until(lambda: net.counted(a) >= a.sent, "all to be counted")
    got = net.received(b)
    assert 10 <= len(got) <= 10 + clock.seconds * 125 + 1
    assert dropped(net, a) == {"rate": 100 - len(got)}


@contextlib.contextmanager
def all_at_once(ring):
    """What is sent in this block becomes available with one write of the index."""
    heads, publish = [], ring.publish
    ring.publish = heads.append
    yield
    ring.publish = publish
    for head in heads[:-1]:
        ring.words[(ring.base + 4096 + 4) // 2 + ring.avail % RING_SIZE] = head
        ring.avail = (ring.avail + 1) & 0xFFFF
    ring.publish(heads[-1])


def test_flood_is_charged_once(net):
    """Also where it is so much work that a part of a burst has to wait."""
    a, b = net.guest("a", rate_mbps=1, burst_kb=512), net.guest("b")
    for i in range(8):
        net.guest(f"other{i}")
    sent = [frame(BROADCAST, MAC_A, size=1000) for _ in range(64)]
    with all_at_once(a.end.vrings[1]):
        for one in sent:
            net.send(a, one, wait=False)
    wait_until(lambda: net.counted(a) >= a.sent, "all to be counted")
    assert dropped(net, a) == {}
    assert_got(net.received(b), *sent)


def test_rate_of_one_port_is_no_other_ports(net):
    a, b = pair(net, rate_mbps=1, burst_kb=80)
    c = net.guest("c", mac=MAC_C)
    send_all(net, a, [frame(MAC_B, MAC_A, size=1000) for _ in range(60)])
    assert dropped(net, a)["rate"] > 0
    sent = [frame(MAC_B, MAC_C, size=1000) for _ in range(60)]
    net.received(b)
    send_all(net, c, sent)
    assert_got(net.received(b), *sent)
    assert dropped(net, c) == {}
    back = [frame(MAC_A, MAC_B, size=1000) for _ in range(60)]  # to a: not limited
    send_all(net, b, back)
    assert_got(net.received(a), *back)


def test_rate_changes_while_the_port_is_up(net):
    a, b = pair(net)
    sent = [frame(MAC_B, MAC_A, size=1000) for _ in range(50)]
    send_all(net, a, sent)
    assert_got(net.received(b), *sent)
    port = net.sluiced.rpc("port.set", name=a.name, rate_mbps=1, burst_kb=8)
    assert (port["rate_mbps"], port["burst_kb"]) == (1, 8)
    with stopwatch() as clock:
        send_all(net, a, sent)
    some = len(net.received(b))
    assert 1 <= some <= 1 + clock.seconds * 125 + 1
    net.sluiced.rpc("port.set", name=a.name, rate_mbps=0)
    assert not {"rate_mbps", "burst_kb"} & net.sluiced.port(a.name).keys()
    send_all(net, a, sent)
    assert_got(net.received(b), *sent)
    assert dropped(net, a) == {"rate": 50 - some}


def test_high_rate_drops_nothing(net):
    a, b = pair(net, rate_mbps=1000000)
    sent = [frame(MAC_B, MAC_A, size=1514) for _ in range(200)]
    send_all(net, a, sent)
    assert_got(net.received(b), *sent)
    assert dropped(net, a) == {}


def test_what_is_dropped_for_another_reason_costs_no_credit(net):
    a, b = pair(net, rate_mbps=1, burst_kb=80)
    send_all(net, a, [frame(MAC_B, MAC_C, size=1000) for _ in range(100)])
    assert dropped(net, a) == {"spoof": 100}
    sent = [frame(MAC_B, MAC_A, size=1000) for _ in range(10)]
    send_all(net, a, sent)
    assert_got(net.received(b), *sent)


STORMS = {"broadcast": BROADCAST, "multicast": MULTICAST, "unknown": UNKNOWN}


@pytest.mark.parametrize("kind", STORMS)
def test_storm(net, kind):
    """Three a second, of which one passes at once; other kinds of frames are not counted."""
    a = net.guest("a", **{f"storm_{kind}_pps": 3})
    b = net.guest("b")  # learns, so that frames to unknown addresses come to it
    net.send(b, frame(MAC_A, MAC_B))  # and is known itself
    net.received(a)
    with stopwatch() as clock:
        send_all(net, a, [frame(STORMS[kind], MAC_A) for _ in range(50)])
    got = net.received(b)
    assert 1 <= len(got) <= 1 + clock.seconds * 3 + 1
    assert dropped(net, a) == {"storm": 50 - len(got)}
    others = [frame(to, MAC_A) for other, to in STORMS.items() if other != kind for _ in range(20)]
    wait_until(lambda: (MAC_B, 0) in net.macs(), "b to be learned")
    others += [frame(MAC_B, MAC_A) for _ in range(20)]
    send_all(net, a, others)
    assert_got(net.received(b), *others)
    assert dropped(net, a) == {"storm": 50 - len(got)}


def test_storms_have_a_bucket_each(net):
    a, b = net.guest("a", **{f"storm_{kind}_pps": 50 for kind in STORMS}), net.guest("b")
    with stopwatch() as clock:
        for to in STORMS.values():
            send_all(net, a, [frame(to, MAC_A) for _ in range(30)])
    got = net.received(b)
    for to in STORMS.values():
        of_kind = [one for one in got if one[:6] == bytes.fromhex(to.replace(":", ""))]
        assert 5 <= len(of_kind) <= 5 + clock.seconds * 50 + 1, to
    assert dropped(net, a) == {"storm": 90 - len(got)}


def test_storm_control_is_turned_off(net):
    a, b = net.guest("a", storm_broadcast_pps=1), net.guest("b")
    sent = [frame(BROADCAST, MAC_A) for _ in range(50)]
    send_all(net, a, sent)
    assert net.received(b)[:1] == sent[:1]
    assert dropped(net, a)["storm"] >= 1
    net.sluiced.rpc("port.set", name=a.name, storm_broadcast_pps=0)
    assert "storm_broadcast_pps" not in net.sluiced.port(a.name)
    send_all(net, a, sent)
    assert_got(net.received(b), *sent)


def test_storm_from_an_uplink(make_net):
    net = make_net()
    uplink, b = net.uplink("up", storm_broadcast_pps=3), net.guest("b", mac=MAC_B)
    before = passed(net, uplink)
    with stopwatch() as clock:
        for _ in range(50):
            uplink.end.send(frame(BROADCAST, MAC_C))
        wait_until(lambda: sum(dropped(net, uplink).values()) + passed(net, uplink) >= before + 50,
                   "all to be counted")
    got = net.received(b)
    assert 1 <= len(got) <= 1 + clock.seconds * 3 + 1
    assert dropped(net, uplink)["storm"] == 50 - len(got)


@pytest.mark.parametrize("datapath", ["direct", "library"])
def test_limits_hold_on_either_datapath(net, datapath):
    a, b = net.guest("a", rate_mbps=1, burst_kb=80, datapath=datapath), net.guest("b", mac=MAC_B)
    assert net.sluiced.port(a.name)["datapath"] == datapath
    with stopwatch() as clock:
        send_all(net, a, [frame(MAC_B, MAC_A, size=1000) for _ in range(60)])
    got = net.received(b)
    assert 10 <= len(got) <= 10 + clock.seconds * 125 + 1
    assert dropped(net, a) == {"rate": 60 - len(got)}


LIMITS = {"rate_mbps": 7, "burst_kb": 512, "storm_broadcast_pps": 1, "storm_multicast_pps": 2,
          "storm_unknown_pps": 3}


def test_limits_survive_a_restart(start_sluiced):
    daemon = start_sluiced()
    daemon.rpc("bridge.add", name="br")
    daemon.rpc("port.attach", name="p", bridge="br", tx_retries=4, datapath="library",
               **{key: value for key, value in LIMITS.items() if key != "burst_kb"})
    daemon.rpc("port.attach", name="q", bridge="br")
    daemon.rpc("uplink.add", name="u", bridge="br", devargs="net_null0", **LIMITS)
    before = daemon.state()
    for restart in (daemon.kill, daemon.stop):
        restart()
        daemon.start()
        assert daemon.state() == before
    port, plain = daemon.port("p"), daemon.port("q")
    assert LIMITS.items() | {("tx_retries", 4), ("datapath", "library")} <= set(
        (key, value) for key, value in port.items() if isinstance(value, (int, str)))
    assert not (LIMITS.keys() | {"tx_retries"}) & plain.keys()
    assert plain["datapath"] == "direct"
    assert "rate mbps" in daemon.ctl("port", "get", "p").stdout


def test_daemons_datapath_is_the_default(start_sluiced):
    daemon = start_sluiced("--datapath", "library")
    daemon.rpc("bridge.add", name="br")
    assert daemon.rpc("port.attach", name="p", bridge="br")["datapath"] == "library"
    assert daemon.rpc("port.attach", name="q", bridge="br", datapath="direct")["datapath"] == "direct"
