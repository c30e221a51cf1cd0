# SPDX-License-Identifier: BSD-3-Clause
"""A guest that comes back to its port, or comes to another: with other queues, in the middle of an
announcement, after its port was changed, or sluiced restarted, meanwhile."""

import pytest

import test_offload as offload
from frames import assert_got, frame, mac_bytes
from net import Member, Net
from sluice import Sluiced
from test_drain import A, B, DATAPATHS, come_back, events, leave, numbered, receive, send_all
from test_rarp import SEND_RARP, rarp
from vhostguest import VhostGuest
from vhostuser import CSUM, HOST_TSO4, MQ, MRG_RXBUF, VERSION_1
from wait import wait_until

MQ_FEATURES = MRG_RXBUF | VERSION_1 | MQ

__all__ = ["events"]


class Slow(VhostGuest):
    """Turns its second queue pair on when it is told to, and no more of them."""

    def enable(self, vring, on):
        if vring < 2:
            super().enable(vring, on)

    def enable_second(self):
        for vring in 2, 3:
            super().enable(vring, True)


def port_of(net, mac):
    """Where a MAC is known, in whatever VLAN."""
    return next((entry["port"] for (other, _), entry in net.macs().items() if other == mac), None)


def connect(net, name, kind, **options):
    port = net.sluiced.port(f"{net.bridge}-{name}")
    member = Member(port["name"], kind.at(port["socket"], **options), None, False)
    net.members.append(member)
    net.sluiced.wait_state(port["name"], "up")
    return member


@DATAPATHS
def test_an_announcement_waits_for_the_resume_and_nothing_else(make_net, events, datapath):
    net = make_net()
    b = net.guest("b", mac=B)
    net.attach("a", mac=A, incoming=True, datapath=datapath)
    a = come_back(net, "a")
    events.expect("port.announced")
    net.sluiced.rpc("port.drain", name=a.name)
    events.expect("port.announced")  # a round that begins while it is drained
    net.sluiced.rpc("port.resume", name=a.name)
    sent = numbered(B, A, 3)
    send_all(net, b, sent)
    assert_got(receive(a, 3), *sent)


def test_what_qemu_asks_to_announce_may_come_while_drained(make_net):
    net = make_net()
    a, b = net.guest("a", mac=A), net.guest("b", mac=B)
    net.sluiced.rpc("port.drain", name=a.name)
    a.end.tell(SEND_RARP, mac_bytes(A) + bytes(2))
    net.sluiced.rpc("port.resume", name=a.name)
    assert_got([b.recv()], rarp(A))
    sent = numbered(B, A, 3)
    send_all(net, b, sent)
    assert_got(receive(a, 3), *sent)


def test_every_mac_is_announced_however_many_ports_hear_it(make_net, events):
    net = make_net()
    uplink = net.uplink("up")
    for i in range(20):
        net.attach(f"p{i}")
    macs = [f"02:00:00:00:0e:{i:02x}" for i in range(16)]
    net.attach("a", mac=macs, incoming=True)
    come_back(net, "a")
    for mac in macs:
        assert uplink.end.recv_until(lambda got, mac=mac: got[6:12] == mac_bytes(mac)), mac


def test_a_guest_is_found_in_any_vlan_again(make_net):
    net = make_net()
    # Without the beacon, whose MAC is valid in any VLAN, too.
    net.sluiced.rpc("port.detach", name=net.beacon.name, force=True)
    net.members.remove(net.beacon)
    a, b, uplink = net.guest("a", mac=A), net.guest("b", mac=B, vlan=10), net.uplink("up")
    leave(net, a)
    uplink.end.send(rarp(A))
    wait_until(lambda: port_of(net, A) == uplink.name, "the guest to have moved")
    net.sluiced.rpc("port.set", name=b.name, mtu=1400)  # which has the lcores look anew
    a = come_back(net, "a")
    wait_until(lambda: port_of(net, A) == a.name, "the guest to be back")
    sent = numbered(B, A, 3)
    for each in sent:
        uplink.end.send(each)
    assert_got(receive(a, 3), *sent)


def test_fewer_queues_get_what_was_parked_for_more(make_net):
    net = make_net()
    net.attach("a", mac=A, queues=4, park_ms=60000)
    a = connect(net, "a", Slow, queues=4, features=MQ_FEATURES)
    b = net.guest("b", mac=B, queues=4, features=MQ_FEATURES)
    sent = numbered(B, A, 4)
    for again in range(2):
        for queue, each in enumerate(sent):
            net.send(b, each, queue=queue)
        if again:
            assert net.stats(a)["parked"] == 4
            a = connect(net, "a", Slow, queues=4, features=MQ_FEATURES)
        assert sorted(receive(a, 4)) == sorted(sent)
        if not again:
            leave(net, a)
    assert net.stats(a)["rx_dropped"] == 0


def test_a_flow_keeps_its_order_over_queue_pairs(net):
    net.attach("a", mac=A, queues=2, park_ms=60000)
    b = net.guest("b", mac=B, queues=2, features=MQ_FEATURES)
    a = connect(net, "a", VhostGuest, queues=2, features=MQ_FEATURES)
    sent = numbered(B, A, 9)
    leave(net, a)
    for each in sent[:3]:
        net.send(b, each, queue=1)
    a = connect(net, "a", Slow, queues=2, features=MQ_FEATURES)
    for each in sent[3:6]:
        net.send(b, each, queue=1)
    assert_got(receive(a, 6), *sent[:6])
    a.end.enable_second()
    wait_until(lambda: net.sluiced.port(a.name)["queues"][1]["enabled"], "the second pair")
    for each in sent[6:]:
        net.send(b, each, queue=1)
    assert_got(receive(a, 3), *sent[6:])


@DATAPATHS
def test_a_parked_frame_that_is_too_long_stops_no_other(net, datapath):
    """For a guest with one buffer a frame, of which none is so long."""
    net.attach("a", mac=A, mtu=9000, park_ms=60000, datapath=datapath)
    a = connect(net, "a", VhostGuest, features=VERSION_1)
    b = net.guest("b", mac=B, mtu=9000)
    leave(net, a)
    sent = numbered(B, A, 10)
    send_all(net, b, [frame(A, B, size=6000), *sent])
    assert net.stats(a)["parked"] == 11
    a = connect(net, "a", VhostGuest, features=VERSION_1)
    assert_got(receive(a, 10), *sent)
    assert net.stats(a)["rx_dropped_by"]["mtu"] == 1


@DATAPATHS
def test_a_mtu_holds_for_parked_frames(net, datapath):
    a = net.guest("a", mac=A, datapath=datapath, park_ms=60000)
    b = net.guest("b", mac=B, mtu=9000)
    leave(net, a)
    send_all(net, b, [frame(A, B, size=3000), frame(A, B)])
    assert net.stats(a)["rx_dropped_by"]["mtu"] == 1
    assert net.stats(a)["parked"] == 1


@DATAPATHS
def test_segments_that_find_no_room_wait_and_count_once(make_net, events, datapath):
    """Behind an arrival; the guest has 256 buffers."""
    net = make_net()
    b = net.guest("b", mac=B, features=MRG_RXBUF | VERSION_1 | CSUM | HOST_TSO4)
    net.attach("a", mac=A, incoming=True, datapath=datapath, park_ms=60000)
    a = come_back(net, "a")
    events.expect("port.incoming_up")
    for each in numbered(B, A, 250):
        net.send(b, each, wait=False)
    wait_until(lambda: net.stats(a)["rx_packets"] == 250, "250 frames at the guest")
    packet = mac_bytes(A) + mac_bytes(B) + offload.tcp_packet(bytes(range(256)) * 80)[12:]
    net.send(b, packet, header=offload.request(offload.GSO_TCPV4, 1000))
    receive(a, 250 + 21)
    stats = net.stats(a)
    assert stats["rx_packets"] == 250 + 21 and stats["rx_dropped"] == 0, stats


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_after_a_restart_a_guest_that_left_is_where_it_was_heard(scratch, netns, how):
    sluiced = Sluiced(scratch(), netns=netns.name)
    try:
        net = Net(sluiced, netns, f"brx{how}")
        a, b, uplink = net.guest("a", mac=A), net.guest("b", mac=B), net.uplink("up")
        leave(net, a)
        uplink.end.send(rarp(A))
        wait_until(lambda: port_of(net, A) == uplink.name, "the guest to have moved")
        b.end.close()
        getattr(sluiced, how)()
        sluiced.start()
        assert sluiced.port(a.name)["state"] == "incoming"
        b = come_back(net, "b")
        sluiced.wait_state(b.name, "up")
        for each in numbered(B, A, 3):
            b.end.send(each)
            assert uplink.end.recv_until(lambda got, each=each: got[:len(each)] == each)
        assert sluiced.stats(a.name)["rx_dropped"] == 0

        a = come_back(net, "a")
        sluiced.wait_state(a.name, "up")
        wait_until(lambda: port_of(net, A) == a.name, "the guest to be back")
        sluiced.stop()
        sluiced.start()
        assert sluiced.port(a.name)["state"] == "waiting"
    finally:
        sluiced.stop()
