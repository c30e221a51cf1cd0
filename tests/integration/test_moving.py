# SPDX-License-Identifier: BSD-3-Clause
"""A guest that moves: with more behind it than a ring holds, together with whom it talks to, and out of a
port that somebody wants to detach."""

import pytest

from frames import BROADCAST, assert_got, frame, mac_bytes
from rpc import Connection, Refused
from test_drain import A, B, DATAPATHS, OUTSIDE, come_back, leave, numbered, receive, send_all
from test_rarp import rarp
from wait import wait_until

C = "02:00:00:00:0d:1c"
MORE_THAN_A_RING = 1000


def send_many(net, sender, src, dst, n):
    """Frames of one kind, without waiting for each; they must be taken."""
    for i in range(n):
        net.send(sender, frame(dst, src), wait=i % 100 == 99)
    wait_until(lambda: net.counted(sender) == sender.sent, f"{n} frames of {sender.name}")


def parks(net, guest, n):
    wait_until(lambda: net.stats(guest)["parked"] == n, f"{n} parked frames")


@DATAPATHS
def test_between_two_ports_of_a_host_with_more_than_a_ring_holds(make_net, datapath):
    net = make_net()
    a, b = net.guest("a", mac=A, park_ms=60000), net.guest("b", mac=B)
    net.attach("new", mac=A, incoming=True, park_ms=60000, datapath=datapath)
    leave(net, a)
    send_many(net, b, B, A, MORE_THAN_A_RING)
    parks(net, a, MORE_THAN_A_RING)
    new = come_back(net, "new")
    assert len(receive(new, MORE_THAN_A_RING)) == MORE_THAN_A_RING
    assert net.stats(new)["rx_dropped"] == 0


def to(uplink, mac, n):
    """n frames that leave for a MAC."""
    return [uplink.end.recv_until(lambda got: got[:6] == mac_bytes(mac))[-1] for _ in range(n)]


def test_no_frame_names_a_sender_that_moves_too(make_net):
    """What b sent is parked for a; both are heard of out there, and b first, whose park takes a while."""
    net = make_net()
    a, b, c = (net.guest(name, mac=mac, park_ms=60000) for name, mac in (("a", A), ("b", B), ("c", C)))
    uplink = net.uplink("up")
    net.sluiced.rpc("port.drain", name=a.name)
    send_all(net, b, numbered(B, A, 5))
    net.sluiced.rpc("port.drain", name=b.name)
    send_many(net, c, C, B, 6000)
    parks(net, b, 6000)
    uplink.end.send(rarp(B))
    uplink.end.send(rarp(A))
    assert all(each[6:12] != mac_bytes(B) for each in to(uplink, A, 5))


def test_nor_one_whom_a_full_table_does_not_know(make_net):
    net = make_net(mac_limit=1)
    a, uplink = net.guest("a", mac=A, park_ms=60000), net.uplink("up")
    net.send(uplink, frame(BROADCAST, C))
    wait_until(lambda: (C, 0) in net.macs(), "a full table")
    leave(net, a)
    send_all(net, uplink, numbered(OUTSIDE, A, 5))
    parks(net, a, 5)
    uplink.end.send(rarp(A))
    assert all(each[6:12] != mac_bytes(OUTSIDE) for each in to(uplink, A, 5))


def test_a_running_guest_is_named(make_net):
    net = make_net()
    a, b, uplink = net.guest("a", mac=A, park_ms=60000), net.guest("b", mac=B), net.uplink("up")
    leave(net, a)
    send_all(net, b, numbered(B, A, 5))
    uplink.end.send(rarp(A))
    assert all(each[6:12] == mac_bytes(B) for each in to(uplink, A, 5))


def test_resume_ends_a_detach_that_waits(net):
    a, b = net.guest("a", mac=A, park_ms=60000), net.guest("b", mac=B)
    net.sluiced.rpc("port.drain", name=a.name)
    sent = numbered(B, A, 5)
    send_all(net, b, sent)
    with Connection(net.sluiced.control) as connection:
        connection.send("port.detach", {"name": a.name})
        wait_until(lambda: "being detached" in refusal(net, "port.drain", a), "the detach to wait")
        assert net.sluiced.rpc("port.resume", name=a.name)["state"] == "up"
        error = Refused(connection.read()["error"])
    assert error.text_code == "bad-state" and "resumed" in error.message, error
    assert_got(receive(a, 5), *sent)
    assert net.sluiced.port(a.name)["state"] == "up"


def refusal(net, method, guest):
    return net.sluiced.refusal(method, name=guest.name).message


@pytest.mark.parametrize("then", ["park", "drop"])
def test_what_was_resumed_is_not_waited_for(net, then):
    a = net.guest("a", mac=A, park_ms=60000)
    net.sluiced.rpc("port.drain", name=a.name)
    net.sluiced.rpc("port.resume", name=a.name)
    if then == "drop":
        net.sluiced.rpc("port.drain", name=a.name, then=then)
    net.sluiced.rpc("port.detach", name=a.name)
    net.members.remove(a)
    a.end.close()
