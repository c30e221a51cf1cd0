# SPDX-License-Identifier: BSD-3-Clause
"""Two hypervisors, each with sluice and a real OVS-DPDK, and a VXLAN between the OVSes: real guests talk across,
as far as OVS's flows let them, and what is local to a host never notices that its OVS restarts."""

import contextlib

import pytest

from frames import frame
from guest import Guest
from netns import Netns, unique_name
from trunk import AF_PACKET, TRUNK, LocalStream, TrunkHost, found, set_standard_flows
from wait import wait_until

VXLAN, VNI = 3, 77
GUEST_MTU = 1450  # VXLAN takes 50 of 1500
LOCAL = {"a": "02:00:00:00:00:0a", "b": "02:00:00:00:00:0b"}


class Hypervisor(TrunkHost):
    """Its OVS has a second bridge, br-phy, with the physical interface and the tunnel's address."""

    def __init__(self, number, kind, directory):
        self.number = number
        self.address = f"192.168.77.{number}"
        netns = Netns(unique_name(f"h{number}"))
        try:
            super().__init__(kind, netns, directory)
        except BaseException:
            netns.close()
            raise

    def add_tunnel(self, other):
        """The physical interface is there."""
        self.ovs.vsctl("add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev")
        self.ovs.add_port("phy", "dpdk", bridge="br-phy",
                          **{"dpdk-devargs": AF_PACKET.format("phy0")})
        self.set_address()
        self.ovs.add_port("vx", "vxlan", VXLAN, remote_ip=other.address, key=VNI)

    def set_address(self):
        """br-phy is a tap that goes with vswitchd: what the network configuration of a host does each time."""
        with contextlib.suppress(RuntimeError):
            self.netns.ip("addr", "add", f"{self.address}/24", "dev", "br-phy")
            self.netns.ip("link", "set", "br-phy", "up")

    def close(self):
        try:
            super().close()
        finally:
            self.netns.close()


@pytest.fixture(scope="module")
def fleet(scratch):
    """One trunk each way round."""
    with contextlib.ExitStack() as stack:
        hosts = []
        for number, kind in ((1, "dpdkvhostuserclient"), (2, "dpdk")):
            hosts.append(Hypervisor(number, kind, scratch()))
            stack.callback(hosts[-1].close)
        hosts[0].netns.veth_to(hosts[1].netns, "phy0", "phy0")
        for host, other in zip(hosts, hosts[::-1]):
            host.add_tunnel(other)
        yield hosts


@pytest.fixture(scope="module")
def guests(fleet, guest_image, scratch):
    """A real one on each host."""
    with contextlib.ExitStack() as stack:
        guests = []
        for host in fleet:
            mac = f"52:54:00:00:77:0{host.number}"
            path = host.sluiced.rpc("port.attach", name="vm", bridge="br0", mac=mac)["socket"]
            guests.append(Guest(f"vm{host.number}", scratch(), *guest_image, path, mac))
            stack.callback(guests[-1].close)
        for number, guest in enumerate(guests, 1):
            guest.wait_booted()
            guest.address = f"10.77.0.{number}"
            guest.set_address(f"{guest.address}/24")
            guest.run(f"ip link set eth0 mtu {GUEST_MTU}")
        yield guests


def test_guests_of_two_hosts(fleet, guests):
    (one, two), (near, far) = fleet, guests
    near.wait_reaches(far.address)
    assert near.ping(far.address, count=5) == 5
    # The largest that fits the tunnel, and datagrams whose checksum the guest leaves to others.
    assert near.run(f"ping -c 1 -s {GUEST_MTU - 28} {far.address}")
    far.echo()
    report = near.send(far.address, pps=200, seconds=1, size=1000)
    assert report["received"] == report["sent"] > 0 and not report["corrupt"], report
    # OVS says who talks to whom.
    one.ovs.set_flows("priority=0,actions=NORMAL", f"priority=9,icmp,in_port={TRUNK},actions=drop")
    wait_until(lambda: not near.ping(far.address, count=1), "the end of the ping")
    set_standard_flows(one.ovs)
    near.wait_reaches(far.address)
    # Two more guests on the first host talk while its OVS goes and comes.
    for name, mac in LOCAL.items():
        one.attach(name, mac)
    stream = LocalStream(one, LOCAL)
    one.ovs.kill()
    wait_until(lambda: (stream.step(), one.uplink()["state"] == "down")[1], "the trunk down")
    assert not near.ping(far.address, count=1)
    stream.step()
    one.ovs.launch()
    wait_until(lambda: (stream.step(), one.set_address(), near.ping(far.address, count=1))[2],
               "the guests to talk again", 30)
    stream.check()
    one.detach_all()


def test_a_guest_is_found_where_it_is(fleet):
    """What sluice learned behind the trunk is learned anew when the sender moves to this host, and back."""
    one, two = fleet
    mac = "02:00:00:00:00:77"
    near, far = one.attach("near", "02:00:00:00:00:01"), two.attach("roamer", mac)
    to_roamer = frame(mac, "02:00:00:00:00:01")

    def reaches(guest):
        guest.send(frame("02:00:00:00:00:01", mac))  # here I am
        near.recv(0.05)
        near.send(to_roamer)
        return found(guest, to_roamer, 0.05)

    wait_until(lambda: reaches(far), "the guest on the other host")
    two.detach_all()
    here = one.attach("roamer", mac)
    wait_until(lambda: reaches(here), "the guest on this host")
    one.detach_all()
