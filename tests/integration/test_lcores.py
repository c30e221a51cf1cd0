# SPDX-License-Identifier: BSD-3-Clause
"""Two forwarding lcores: queues are spread, and frames cross from one to the other."""

import pytest

from frames import BROADCAST, frame
from frontend import check_books, frontend
from sluice import Sluiced
from vhostguest import VhostGuest


@pytest.fixture(scope="module")
def daemon(scratch):
    one = Sluiced(scratch(), lcores="0-1")
    one.rpc("bridge.add", name="b")
    yield one
    assert one.stop() == 0


def attach(daemon, *names, **params):
    return [daemon.rpc("port.attach", name=name, bridge="b", **params)["socket"] for name in names]


@pytest.fixture(autouse=True)
def empty_again(daemon):
    yield
    for port in daemon.rpc("port.list"):
        daemon.rpc("port.detach", name=port["name"])


def lcores_of(daemon, name):
    return {queue["lcore"] for queue in daemon.port(name)["queues"]}


def test_queues_are_spread(daemon):
    attach(daemon, "a", "b", queues=2)
    assert [lcore["cpu"] for lcore in daemon.rpc("lcore.list")] == [0, 1]
    assert [len(lcore["queues"]) for lcore in daemon.rpc("lcore.list")] == [2, 2]
    assert lcores_of(daemon, "a") == lcores_of(daemon, "b") == {1, 2}


def test_frames_cross(daemon):
    """Whole, in both directions, and in the books."""
    paths = attach(daemon, "a", "b")
    assert lcores_of(daemon, "a") != lcores_of(daemon, "b")
    status, report = frontend("--both", "--verify", "--size", "random:64-1514", "--rate", "20k",
                              "--count", 10000, *paths)
    assert status == 0 and report["corrupt"] == 0 and report["rx"] > 0, report
    check_books(daemon, "a", "b", report["guests"][0])
    check_books(daemon, "b", "a", report["guests"][1])


def test_frames_cross_at_full_speed(daemon):
    """More than the other lcore takes: dropped, and counted where it was to go."""
    paths = attach(daemon, "a", "b")
    status, report = frontend("--both", "--verify", "--duration", 1, *paths)
    assert status == 0 and report["corrupt"] == 0, report
    check_books(daemon, "a", "b", report["guests"][0])
    check_books(daemon, "b", "a", report["guests"][1])


def test_broadcast_reaches_both_lcores(daemon):
    """One frame for ports of both lcores, with and without a tag."""
    names = [f"p{i}" for i in range(6)]
    paths = attach(daemon, *names[:4], vlan=7) + attach(daemon, *names[4:])
    guests = [VhostGuest.at(path) for path in paths]
    for name in names:
        daemon.wait_state(name, "up")
    for i in range(50):
        sent = frame(BROADCAST, "02:00:00:00:09:01", size=60 + 20 * i)
        guests[0].send(sent)
        for guest in guests[1:4]:
            assert guest.recv() == sent
        for guest in guests[4:]:
            tagged = guest.recv()
            assert tagged[12:16] == b"\x81\x00\x00\x07" and tagged[16:] == sent[12:]
    for guest in guests:
        guest.close()


def test_ports_come_and_go_under_traffic(daemon):
    """A flood to ports of both lcores, while other ports are attached and detached."""
    paths = attach(daemon, "a", "b", "c")
    guests = [VhostGuest.at(path) for path in paths]
    for name in "abc":
        daemon.wait_state(name, "up")
    for i in range(100):
        (path,) = attach(daemon, "guest", queues=2)
        visitor = VhostGuest.at(path, queues=2)
        sent = frame(BROADCAST, "02:00:00:00:09:02", size=60 + i)
        guests[0].send(sent)
        for guest in guests[1:]:
            assert guest.recv() == sent
        daemon.rpc("port.detach", name="guest")
        visitor.close()
    for guest in guests:
        guest.close()
