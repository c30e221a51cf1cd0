# SPDX-License-Identifier: BSD-3-Clause
"""Two real guests (QEMU, Linux) on one bridge, and a real TCP stack behind an uplink."""

import contextlib
import hashlib
import socket
import threading

import pytest

from guest import Guest
from wait import wait_until

BRIDGE = "guests"
HOST_ADDRESS = "10.7.0.9"
TCP_PORT = 5000
TRANSFER_KIB = 2048


class Pair:
    """Guest a on a server port, guest b on a client port, and an uplink into a network stack."""

    def __init__(self, sluiced, a, b):
        self.sluiced = sluiced
        self.a = a
        self.b = b

    def set_vlans(self, of_a, of_b):
        for guest, vlans in ((self.a, of_a), (self.b, of_b)):
            self.sluiced.rpc("port.set", name=guest.name, **vlans)


@pytest.fixture(scope="module")
def pair(sluiced, netns, guest_image):
    kernel, initrd = guest_image
    netns.veth("g0", "g0h", address=f"{HOST_ADDRESS}/24")
    sluiced.rpc("bridge.add", name=BRIDGE)
    sluiced.rpc("uplink.add", name="g0", bridge=BRIDGE, devargs="net_af_packet_g0,iface=g0")
    directory = sluiced.directory
    guests = []
    with contextlib.ExitStack() as stack:
        for name, mode in (("ga", "server"), ("gb", "client")):
            mac = f"52:54:00:00:00:{name[1]}{name[1]}"
            port = sluiced.rpc("port.attach", name=name, bridge=BRIDGE, mode=mode, mac=mac)
            guests.append(Guest(name, directory, kernel, initrd, port["socket"], mac,
                                qemu_listens=mode == "client"))
            stack.callback(guests[-1].close)
        for number, guest in enumerate(guests, 1):
            guest.wait_booted()
            guest.set_address(f"10.7.0.{number}/24")
            guest.address = f"10.7.0.{number}"
            sluiced.wait_state(guest.name, "up")
        yield Pair(sluiced, *guests)
    for guest in guests:
        sluiced.rpc("port.detach", name=guest.name)
    sluiced.rpc("uplink.del", name="g0")
    sluiced.rpc("bridge.del", name=BRIDGE)


@pytest.fixture
def untagged(pair):
    """Both guests in no VLAN, before and after."""
    pair.set_vlans({"trunks": []}, {"trunks": []})
    yield pair
    pair.set_vlans({"trunks": []}, {"trunks": []})


def test_ping_between_both_socket_modes(untagged):
    a, b = untagged.a, untagged.b
    a.wait_reaches(b.address)
    assert a.ping(b.address, count=5) == 5
    assert b.ping(a.address, count=5) == 5


def test_ping_through_the_uplink(untagged):
    for guest in (untagged.a, untagged.b):
        guest.wait_reaches(HOST_ADDRESS)
        assert guest.ping(HOST_ADDRESS) == 3


def test_ping_in_one_vlan_and_not_across(untagged):
    pair = untagged
    pair.set_vlans({"vlan": 10}, {"vlan": 10})
    pair.a.wait_reaches(pair.b.address)
    assert pair.a.ping(HOST_ADDRESS, count=2) == 0  # there it is a tagged frame
    pair.set_vlans({"vlan": 10}, {"vlan": 20})
    assert pair.a.ping(pair.b.address, count=3) == 0
    assert pair.b.ping(pair.a.address, count=3) == 0
    pair.set_vlans({"vlan": 20}, {"vlan": 20})  # the same guests, to show that they would answer
    pair.a.wait_reaches(pair.b.address)


def test_tagging_guest_meets_access_port(untagged):
    """The kernel's own VLAN interface on a trunk, and the other guest on an access port."""
    pair = untagged
    pair.set_vlans({"trunks": [0, 30]}, {"vlan": 30})
    pair.a.run("ip link add link eth0 name eth0.30 type vlan id 30")
    pair.a.run("ip addr flush dev eth0")
    pair.a.set_address("10.7.0.1/24", "eth0.30")
    pair.a.wait_reaches(pair.b.address)
    assert pair.b.ping(pair.a.address) == 3
    pair.a.run("ip link del eth0.30")
    pair.a.set_address("10.7.0.1/24")


@pytest.mark.parametrize("size", [64, 1472, 4000])
def test_stream_of_datagrams_is_whole(untagged, size):
    """4,000 bytes: fragments. So few a second that the ring holds what comes in 0.8 s: that long
    may a busy machine leave a guest without a CPU."""
    a, b = untagged.a, untagged.b
    a.wait_reaches(b.address)
    b.echo()
    report = a.send(b.address, pps=100, seconds=2, size=size)
    assert (report["sent"], report["lost"]) == (200, 0), report
    assert (report["corrupt"], report["duplicates"], report["send_errors"]) == (0, 0, 0), report


def mean_bytes(before, after, side):
    packets = after[f"{side}_packets"] - before[f"{side}_packets"]
    return (after[f"{side}_bytes"] - before[f"{side}_bytes"]) / max(packets, 1)


def receive(guest):
    """Takes one connection's data into /tmp/got."""
    guest.run("rm -f /tmp/got /tmp/end /tmp/hold; mkfifo /tmp/hold")
    # A pipe open at both ends: its side must not end before the other has sent all.
    guest.start(f"nc -l -p {TCP_PORT} <>/tmp/hold >/tmp/got; touch /tmp/end")
    wait_until(lambda: f":{TCP_PORT}" in guest.run("netstat -ltn"), "nc to listen")


def wait_received(guest):
    wait_until(lambda: "end" in guest.run("ls /tmp").split(), "the end of the transfer", 60)


def digest(guest, path):
    return guest.run(f"sha256sum {path}").split()[0]


def test_tcp_between_guests_uses_large_frames(untagged):
    """TSO and checksum offload: frames larger than the MTU cross, and the data is whole."""
    a, b = untagged.a, untagged.b
    a.wait_reaches(b.address)
    a.run(f"dd if=/dev/urandom of=/tmp/data bs=1024 count={TRANSFER_KIB} 2>/dev/null")
    receive(b)
    before = untagged.sluiced.stats(a.name)
    a.run(f"nc {b.address} {TCP_PORT} < /tmp/data", deadline_s=60)
    wait_received(b)
    assert digest(b, "/tmp/got") == digest(a, "/tmp/data")
    after = untagged.sluiced.stats(a.name)
    assert mean_bytes(before, after, "tx") > 1514, "no frame was larger than the MTU"
    assert after["rx_dropped_by"]["offload"] == 0


class Sink:
    """Takes one TCP connection in the namespace's own stack."""

    def __init__(self, netns):
        with netns.entered():
            self.listener = socket.create_server((HOST_ADDRESS, TCP_PORT))
        self.listener.settimeout(60)
        self.data = b""
        self.thread = threading.Thread(target=self._take)
        self.thread.start()

    def _take(self):
        peer, _ = self.listener.accept()
        with peer:
            peer.settimeout(60)
            parts = []
            while part := peer.recv(1 << 16):
                parts.append(part)
        self.data = b"".join(parts)

    def wait(self):
        self.thread.join(60)
        self.listener.close()
        return self.data


def test_tcp_to_an_uplink_without_offloads(untagged, netns):
    """The guest's large frames leave in pieces, with checksums that a real stack accepts."""
    a = untagged.a
    a.wait_reaches(HOST_ADDRESS)
    a.run(f"dd if=/dev/urandom of=/tmp/data bs=1024 count={TRANSFER_KIB} 2>/dev/null")
    sink = Sink(netns)
    before = untagged.sluiced.stats(a.name)
    a.run(f"nc {HOST_ADDRESS} {TCP_PORT} < /tmp/data", deadline_s=60)
    data = sink.wait()
    assert hashlib.sha256(data).hexdigest() == digest(a, "/tmp/data")
    after = untagged.sluiced.stats(a.name)
    assert mean_bytes(before, after, "tx") > 1514, "the guest was not offered TSO"


def test_tcp_from_an_uplink(untagged, netns):
    a = untagged.a
    a.wait_reaches(HOST_ADDRESS)
    data = bytes(range(256)) * 4096
    receive(a)
    with netns.entered():
        peer = socket.create_connection((a.address, TCP_PORT), 10)
    with peer:
        peer.settimeout(60)
        peer.sendall(data)
    wait_received(a)
    assert digest(a, "/tmp/got") == hashlib.sha256(data).hexdigest()


