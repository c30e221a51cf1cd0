# SPDX-License-Identifier: BSD-3-Clause
"""Uplinks that are one end of a vhost-user socket, with who may be at the other end: another sluice, nobody, or
somebody who does not keep to the protocol."""

import contextlib
import os
import struct
import threading

import pytest

from frames import assert_got, frame
from rpc import Connection
from sluice import Sluiced
from test_idle import wait_asleep
from vhostguest import VhostGuest
from vhostuser import (CSUM, GET_FEATURES, GET_PROTOCOL_FEATURES, GET_VRING_BASE, GUEST_CSUM, HOST_TSO4, MRG_RXBUF,
                       PROTOCOL_FEATURES, VERSION, VERSION_1, connect, listen)
from wait import wait_until

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
ANSWER = struct.pack("<IIIQ", GET_FEATURES, VERSION | 4, 8, VERSION_1 | PROTOCOL_FEATURES)
CYCLES = 30


def uplink(sluiced, name="up"):
    return next(up for up in sluiced.rpc("uplink.list") if up["name"] == name)


def wait_link(sluiced, state):
    wait_until(lambda: uplink(sluiced)["state"] == state, f"the uplink {state}")


def descriptors(sluiced):
    return len(os.listdir(f"/proc/{sluiced.process.pid}/fd"))


@pytest.fixture
def bridge(sluiced):
    """A bridge of sluiced, from which uplinks and ports are taken at the end."""
    sluiced.rpc("bridge.add", name="br")
    yield "br"
    for up in sluiced.rpc("uplink.list"):
        sluiced.rpc("uplink.del", name=up["name"])
    for port in sluiced.rpc("port.list"):
        sluiced.rpc("port.detach", name=port["name"], force=True)
    sluiced.rpc("bridge.del", name="br")


# ---- two of us


class Two:
    """Two sluiced with a guest each; the back-end of one is the device of the other."""

    def __init__(self, directory, netns, front_listens):
        self.path = directory / "shared" / "trunk"
        self.path.parent.mkdir()
        front = f"net_virtio_user0,path={self.path},server={int(front_listens)}"
        back = f"net_vhost0,iface={self.path},client={int(front_listens)}"
        self.sides = []
        for name, devargs in (("front", front), ("back", back)):
            (directory / name).mkdir()
            side = Sluiced(directory / name, "--socket-dir", self.path.parent, netns=netns)
            self.sides.append(side)
            side.rpc("bridge.add", name="br")
            side.rpc("uplink.add", name="up", bridge="br", devargs=devargs)
            side.rpc("port.attach", name="vm", bridge="br")
        self.guests = [self._guest(side) for side in self.sides]

    @staticmethod
    def _guest(side):
        return VhostGuest.at(side.port("vm")["socket"], features=CSUM | GUEST_CSUM | HOST_TSO4 |
                             MRG_RXBUF | VERSION_1)

    def wait_up(self):
        for side in self.sides:
            wait_link(side, "up")
            side.wait_state("vm", "up")

    def check(self):
        """Both ways."""
        self.wait_up()
        a, b = self.guests
        for from_, to, macs in ((a, b, (B, A)), (b, a, (A, B))):
            sent = frame(*macs)
            from_.send(sent)
            assert_got([to.recv()], sent)

    def restart(self, number, kill):
        side = self.sides[number]
        self.guests[number].close()
        (side.kill if kill else side.stop)()
        wait_link(self.sides[1 - number], "down")
        side.start()
        self.guests[number] = self._guest(side)

    def close(self):
        for guest in self.guests:
            guest.close()
        for side in self.sides:
            assert side.stop() == 0


@pytest.mark.parametrize("front_listens", (True, False))
def test_two_sluices_whichever_restarts(directory, netns, front_listens):
    two = Two(directory, netns.name, front_listens)
    with contextlib.closing(two):
        two.check()
        for number in (0, 1):
            for kill in (True, False):
                two.restart(number, kill)
                two.check()


def test_a_device_that_comes_and_goes_leaves_nothing_behind(sluiced, bridge, directory, netns):
    """Neither memory, nor packet buffers, nor descriptors; and the counters go on."""
    back = Sluiced(directory, netns=netns.name)
    back.rpc("bridge.add", name="br")
    path = back.rpc("port.attach", name="trunk", bridge="br", learn=True)["socket"]
    sluiced.rpc("uplink.add", name="up", bridge=bridge, devargs=f"net_virtio_user0,path={path}")

    def resources():
        (node,) = sluiced.rpc("numa.show")["nodes"]
        return node["mempools"], node["taken"], descriptors(sluiced)

    seen = []
    for _ in range(CYCLES):
        wait_link(sluiced, "up")
        seen.append(resources())
        back.rpc("port.detach", name="trunk", force=True)
        wait_link(sluiced, "down")
        back.rpc("port.attach", name="trunk", bridge="br", learn=True)
    assert back.stop() == 0
    assert seen[-1] == seen[1], (seen[1], seen[-1])


def test_a_device_that_comes_wakes_who_sleeps(directory, netns):
    """What comes in on it is seen, though nothing else happens on that side."""
    two = Two(directory, netns.name, front_listens=False)
    with contextlib.closing(two):
        front, back = two.sides
        two.check()
        back.rpc("uplink.del", name="up")
        wait_link(front, "down")
        wait_asleep(front)
        back.rpc("uplink.add", name="up", bridge="br", devargs=f"net_vhost0,iface={two.path}")
        two.wait_up()
        wait_asleep(front)
        sent = frame(A, B)
        two.guests[1].send(sent)
        assert_got([two.guests[0].recv()], sent)


# ---- others


def test_a_back_end_that_falls_silent_does_not_stop_sluiced(sluiced, bridge, directory):
    """It answers the first question and no more: the driver gives up, and says so."""
    path = directory / "silent"
    with listen(path) as listener:
        listener.settimeout(5)
        sluiced.rpc("uplink.add", name="up", bridge=bridge, devargs=f"net_virtio_user0,path={path}")
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(12) == struct.pack("<III", GET_FEATURES, VERSION, 0)
            peer.sendall(ANSWER)
            with Connection(sluiced.control, deadline_s=5) as control:
                assert control.call("daemon.version")
            wait_until(lambda: uplink(sluiced).get("failure"), "why there is no device")
            assert uplink(sluiced)["state"] == "down"
        # It is tried again.
        again, _ = listener.accept()
        again.close()


def answer(peer, is_silent, asked):
    """A back-end, until the connection ends."""
    values = {GET_FEATURES: VERSION_1 | PROTOCOL_FEATURES, GET_PROTOCOL_FEATURES: 0, GET_VRING_BASE: 0}
    with contextlib.suppress(OSError):
        while header := peer.recv(12):
            request, _, size = struct.unpack("<III", header)
            if size:
                peer.recv(size)
            if is_silent():
                asked.append(request)
            elif request in values:
                peer.sendall(struct.pack("<IIIQ", request, VERSION | 4, 8, values[request]))


@pytest.mark.parametrize("end", ("uplink.del", "the end of sluiced"))
def test_a_back_end_that_is_silent_at_the_end_is_not_waited_for_again(directory, netns, end):
    path = directory / "silent"
    front = Sluiced(directory, netns=netns.name)
    front.rpc("bridge.add", name="br")
    with listen(path) as listener:
        listener.settimeout(5)
        front.rpc("uplink.add", name="up", bridge="br", devargs=f"net_virtio_user0,path={path}")
        peer, _ = listener.accept()
        silent = threading.Event()
        asked = []
        back = threading.Thread(target=answer, args=(peer, silent.is_set, asked))
        with peer:
            back.start()
            wait_link(front, "up")
            silent.set()
            if end == "uplink.del":
                front.rpc("uplink.del", name="up")
            assert front.stop() == 0
            back.join()
            # It was asked for one ring where it stands, and then hung up on.
            assert asked.count(GET_VRING_BASE) == 1, asked


def test_devices_that_fail_leave_no_descriptors(sluiced, bridge, directory):
    """A back-end that hangs up in the middle, again and again."""
    path = directory / "rude"
    seen = []
    with listen(path) as listener:
        listener.settimeout(5)
        sluiced.rpc("uplink.add", name="up", bridge=bridge, devargs=f"net_virtio_user0,path={path}")
        for _ in range(8):
            peer, _ = listener.accept()
            with peer:
                assert peer.recv(12)
                seen.append(descriptors(sluiced))
                peer.sendall(ANSWER)
    assert seen[-1] == seen[1], seen


def test_a_listener_that_says_nothing_costs_nothing(sluiced, bridge, directory):
    path = directory / "mute"
    with listen(path) as listener:
        listener.settimeout(5)
        sluiced.rpc("uplink.add", name="up", bridge=bridge, devargs=f"net_virtio_user0,path={path}")
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(12)
            for _ in range(20):
                assert uplink(sluiced)["state"] == "down"
            peer.sendall(b"no vhost-user at all" * 2)
            with contextlib.suppress(ConnectionResetError):
                assert peer.recv(1) == b""


def test_who_does_not_answer_is_in_nobodys_way(sluiced, bridge, directory, netns):
    path = sluiced.socket_dir / "trunk"
    sluiced.rpc("uplink.add", name="up", bridge=bridge, devargs=f"net_virtio_user0,path={path},server=1")
    with connect(path) as silent:
        assert silent.recv(12)
        back = Sluiced(directory, "--socket-dir", path.parent, netns=netns.name)
        back.rpc("bridge.add", name="br")
        back.rpc("uplink.add", name="up", bridge="br", devargs=f"net_vhost0,iface={path},client=1")
        wait_link(sluiced, "up")
        assert silent.recv(1) == b""
        assert back.stop() == 0
    wait_link(sluiced, "down")


@pytest.mark.parametrize("devargs, code", (
    ("net_virtio_user1,path=/run/slnone,server=1", "socket-path-refused"),
    ("net_vhost1,iface=/run/slnone", "socket-path-refused"),
    ("net_vhost1,iface=/run/slnone,client=1", "socket-path-refused"),
    ("net_vhost1,iface={dir}/../trunk", "socket-path-refused"),
    ("net_vhost1,iface={dir}/taken", "socket-in-use"),
    ("net_virtio_user1,path={dir}/taken,server=1", "socket-in-use"),
    ("net_virtio_user0,path={dir}/other,server=1", "device-in-use"),
    ("net_vhost1,iface={dir}/other,tso=1", "bad-devargs"),
    ("bus=vdev,name=net_null1/class=eth", "bad-devargs"),
    ("class=eth", "bad-devargs"),
))
def test_what_is_refused_leaves_nothing(sluiced, bridge, devargs, code):
    sluiced.rpc("uplink.add", name="first", bridge=bridge,
                devargs=f"net_virtio_user0,path={sluiced.socket_dir}/taken,server=1")
    before = sluiced.state(), sorted(os.listdir(sluiced.socket_dir))
    refused = sluiced.refusal("uplink.add", name="up", bridge=bridge,
                              devargs=devargs.format(dir=sluiced.socket_dir))
    assert refused.text_code == code, refused
    assert (sluiced.state(), sorted(os.listdir(sluiced.socket_dir))) == before


def test_a_vepa_port_and_unknown_addresses_go_to_a_back_end(sluiced, bridge):
    """net_vhost is an uplink as any other: nothing is checked that comes in, and VEPA goes there."""
    path = sluiced.rpc("uplink.add", name="up", bridge=bridge,
                       devargs=f"net_vhost0,iface={sluiced.socket_dir}/trunk")["devargs"].split("iface=")[1]
    port = sluiced.rpc("port.attach", name="vm", bridge=bridge, mac=A, switching="vepa")
    with contextlib.closing(VhostGuest.at(path)) as trunk, \
            contextlib.closing(VhostGuest.at(port["socket"])) as guest:
        wait_link(sluiced, "up")
        sluiced.wait_state("vm", "up")
        out, back, own = frame(B, A), frame(A, B), frame("ff:ff:ff:ff:ff:ff", A)
        guest.send(out)
        assert_got([trunk.recv()], out)
        trunk.send(own)  # reflected: not to who sent it
        trunk.send(back)
        assert_got([guest.recv()], back)
        assert sluiced.stats("vm")["tx_dropped"] == 0 and uplink(sluiced)["stats"]["rx_packets"] == 1
    wait_link(sluiced, "down")
