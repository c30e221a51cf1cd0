# SPDX-License-Identifier: BSD-3-Clause
"""OVS-DPDK as the slow path: a trunk joins it to sluice, either way round; whoever restarts, both find each
other again, and what is local never notices."""

import os
import signal

import pytest

from frames import BROADCAST, assert_got, frame
from netns import Netns, collect, unique_name
from test_idle import wait_asleep
from trunk import FAR_MAC, KINDS, TRUNK, WIRE, LocalStream, TrunkHost, set_standard_flows
from wait import wait_until

A, B, C = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"


@pytest.fixture(scope="module", params=KINDS)
def host(request, scratch):
    netns = Netns(unique_name("t"))
    try:
        host = TrunkHost(request.param, netns, scratch())
        try:
            host.add_wire()
            yield host
        finally:
            host.close()
    finally:
        netns.close()


@pytest.fixture
def trunk(host):
    """No guests, and OVS does what it does by itself."""
    set_standard_flows(host.ovs)
    yield host
    host.detach_all()


@pytest.mark.parametrize("end", ("stop", "kill"))
def test_ovs_restarts_and_local_guests_never_notice(trunk, end):
    trunk.attach("a", A)
    trunk.attach("b", B)
    trunk.wait_crosses("a", A)
    stream = LocalStream(trunk, {"a": A, "b": B})
    lost = trunk.uplink()["stats"]["tx_dropped_by"]["no_guest"]
    for _ in range(100):
        stream.step()
    getattr(trunk.ovs, end)()
    wait_until(lambda: (stream.step(), trunk.uplink()["state"] == "down")[1], "the trunk down")
    # What is for OVS meanwhile is lost, and counted.
    trunk.guests["a"].send(frame(FAR_MAC, A))
    wait_until(lambda: (stream.step(), trunk.uplink()["stats"]["tx_dropped_by"]["no_guest"] > lost)[1],
               "a frame without a way out")
    stream.check()
    wait_asleep(trunk.sluiced)
    trunk.ovs.launch()
    trunk.wait_crosses("a", A, meanwhile=stream.step)
    stream.check()
    wait_asleep(trunk.sluiced)
    trunk.wait_crosses("a", A)


def test_an_ovs_that_stands_still_holds_nobody_up(trunk):
    trunk.attach("a", A)
    trunk.attach("b", B)
    trunk.wait_crosses("a", A)
    stream = LocalStream(trunk, {"a": A, "b": B})
    full = trunk.uplink()["stats"]["tx_dropped_by"]["ring_full"]
    os.kill(trunk.ovs.vswitchd.pid, signal.SIGSTOP)
    try:
        for _ in range(300):  # more than its ring has room for
            stream.step()
            trunk.guests["a"].send(frame(FAR_MAC, A))
        stream.check()
        assert trunk.uplink()["stats"]["tx_dropped_by"]["ring_full"] > full
    finally:
        os.kill(trunk.ovs.vswitchd.pid, signal.SIGCONT)
    trunk.wait_crosses("a", A, meanwhile=stream.step)
    stream.check()


@pytest.mark.parametrize("end", ("stop", "kill"))
def test_sluiced_restarts(trunk, end):
    trunk.attach("a", A)
    trunk.wait_crosses("a", A)
    getattr(trunk.sluiced, end)()
    trunk.sluiced.start()
    trunk.connect("a")
    trunk.wait_crosses("a", A)


def test_vlans_are_the_same_on_both_sides(trunk):
    a, b = (trunk.attach(name, mac, vlan=vlan) for name, mac, vlan in (("a", A, 100), ("b", B, 200)))
    trunk.ovs.vsctl("set", "port", "wire", "tag=100")
    try:
        trunk.wait_crosses("a", A)
        other, own = frame(BROADCAST, B), frame(BROADCAST, A)
        b.send(other)
        a.send(own)
        got = collect(lambda deadline_s: trunk.wire.recv(deadline_s), lambda got: got == own, 5)
        assert other not in got
        assert b.recv(0) is None
    finally:
        trunk.ovs.vsctl("clear", "port", "wire", "tag")


def test_everything_that_a_vepa_port_sends_is_judged_by_flows(trunk):
    """Two guests of one host talk by way of OVS's hairpin, and only as far as flows let them."""
    a, b = (trunk.attach(name, mac, switching="vepa") for name, mac in (("a", A), ("b", B)))
    c = trunk.attach("c", C)
    to_b, mark = frame(B, A), frame(B, A, kind=0x88B6)
    hairpin = [f"priority=10,in_port={TRUNK},dl_dst={mac},actions=in_port" for mac in (A, B)]
    flood = f"priority=10,in_port={TRUNK},dl_dst={BROADCAST},actions=in_port,output:{WIRE}"
    drop = f"priority=20,in_port={TRUNK},dl_dst={B},dl_type=0x88b5,actions=drop"

    def wait_hairpin():
        a.send(mark)
        return b.recv(0.1) is not None

    trunk.ovs.set_flows("priority=0,actions=NORMAL", *hairpin, flood)
    wait_until(wait_hairpin, "a hairpin")
    while b.recv(0.1) is not None:
        pass
    a.send(to_b)
    assert_got([b.recv()], to_b)
    # One that is dropped, and one that shows that it would have come by now.
    trunk.ovs.set_flows("priority=0,actions=NORMAL", *hairpin, flood, drop)
    a.send(to_b)
    a.send(mark)
    assert_got([b.recv()], mark)
    # To all, once; also to those of the host that are switched here, and not back.
    everybody = frame(BROADCAST, A)
    a.send(everybody)
    a.send(mark)
    assert_got(collect(b.recv, lambda got: got[12:14] == mark[12:14], 5), everybody, mark)
    assert_got([c.recv(), trunk.wire.recv(5)], everybody, everybody)
    back = frame(A, B)
    b.send(back)
    assert_got([a.recv()], back)
    assert c.recv(0) is None
    stats = {name: trunk.sluiced.stats(name) for name in ("a", "b", "c")}
    assert stats["a"]["rx_packets"] == 1 and stats["c"]["rx_packets"] == 1, stats
