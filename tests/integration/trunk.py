# SPDX-License-Identifier: BSD-3-Clause
"""A host on which sluice and a real OVS-DPDK are joined by a trunk."""

import struct

from frames import TYPE_TEST, frame, mac_bytes, same
from netns import Host as RawEnd
from ovsdpdk import BRIDGE as OVS_BRIDGE
from ovsdpdk import Ovs
from sluice import Sluiced
from vhostguest import VhostGuest
from wait import wait_until

BRIDGE = "br0"
UPLINK = "trunk"
WIRE, TRUNK = 1, 2  # OpenFlow numbers of OVS's ports
FAR_MAC = "02:00:00:00:ff:01"  # of what is on the wire behind OVS
AF_PACKET = '"net_af_packet0,iface={},qpairs=1,blocksz=4096,framesz=2048,framecnt=512"'


class Kind:
    """What the two ends of a trunk are: `devargs` of sluice's uplink, and OVS's port."""

    def __init__(self, port_type, at_ovs, devargs, options):
        self.port_type = port_type
        self.at_ovs = at_ovs  # whose directory the socket is in
        self.devargs = devargs
        self.options = options


KINDS = {
    # OVS connects
    "dpdkvhostuserclient": Kind("dpdkvhostuserclient", False,
                                "net_virtio_user0,path={},server=1,queues=1",
                                {"vhost-server-path": "{}"}),
    # OVS listens, in its run directory
    "dpdkvhostuser": Kind("dpdkvhostuser", True, "net_virtio_user0,path={},queues=1", {}),
    # the other way round: OVS has the device, and sluice the vhost side
    "dpdk": Kind("dpdk", False, "net_vhost0,iface={},client=1,queues=1",
                 {"dpdk-devargs": '"net_virtio_user0,path={},server=1,queues=1"',
                  "dpdk-lsc-interrupt": "true"}),
}


class TrunkHost:
    """In a network namespace; `wire` is the far end of a veth pair that is OVS's port WIRE."""

    def __init__(self, kind, netns, directory, **options):
        kind = KINDS[kind]
        self.netns = netns
        self.sluiced = self.ovs = self.wire = None
        self.guests = {}
        for name in ("sluice", "ovs"):
            (directory / name).mkdir()
        try:
            self.sluiced = Sluiced(directory / "sluice", netns=netns.name, **options)
            self.ovs = Ovs(directory / "ovs", netns)
            self.sluiced.rpc("bridge.add", name=BRIDGE)
            path = (self.ovs.directory if kind.at_ovs else self.sluiced.socket_dir) / UPLINK
            # before there is anybody at the other end
            uplink = self.sluiced.rpc("uplink.add", name=UPLINK, bridge=BRIDGE,
                                      devargs=kind.devargs.format(path))
            assert uplink["state"] == "down"
            self.ovs.add_port(UPLINK, kind.port_type, TRUNK,
                              **{key: text.format(path) for key, text in kind.options.items()})
            self.wait_up()
        except BaseException:
            self.close()
            raise

    def add_wire(self):
        self.netns.veth("wire0", "wire1")
        self.ovs.add_port("wire", "dpdk", WIRE, **{"dpdk-devargs": AF_PACKET.format("wire0")})
        self.wire = RawEnd(self.netns, "wire1")

    # ---- guests

    def attach(self, name, mac, **params):
        """A port with a guest in this process."""
        self.sluiced.rpc("port.attach", name=name, bridge=BRIDGE, mac=mac, **params)
        return self.connect(name)

    def connect(self, name):
        """A guest (again) at a port that is there."""
        if name in self.guests:
            self.guests.pop(name).close()
        self.guests[name] = guest = VhostGuest.at(self.sluiced.port(name)["socket"])
        self.sluiced.wait_state(name, "up")
        return guest

    def detach_all(self):
        for name, guest in self.guests.items():
            guest.close()
            self.sluiced.rpc("port.detach", name=name, force=True)
        self.guests = {}

    # ---- the trunk

    def uplink(self):
        return self.sluiced.rpc("uplink.list")[0]

    def wait_up(self, state="up"):
        wait_until(lambda: self.uplink()["state"] == state, f"the trunk {state}")

    def crosses(self, name, mac):
        """A frame goes both ways between a guest and what is on the wire behind OVS."""
        guest = self.guests[name]
        out, back = frame(FAR_MAC, mac), frame(mac, FAR_MAC)
        guest.send(out)
        self.wire.send(back)
        return found(self.wire, out) and found(guest, back)

    def wait_crosses(self, name, mac, meanwhile=lambda: None):
        wait_until(lambda: (meanwhile(), self.crosses(name, mac))[1], "a frame across the trunk", 20)

    def close(self):
        for guest in self.guests.values():
            guest.close()
        if self.wire is not None:
            self.wire.close()
        if self.ovs is not None:
            self.ovs.close()
        if self.sluiced is not None:
            status = self.sluiced.stop()
            assert status == 0, f"sluiced ended with {status}:\n{self.sluiced.process.output()[-3000:]}"


def found(end, sent, deadline_s=0.02):
    """Whether the frame comes, among others, before a pause of that length."""
    while (got := end.recv(deadline_s)) is not None:
        if same(got, sent):
            return True
    return False


class LocalStream:
    """Numbered frames from one guest to another of the same host: none may be lost, or come twice, or late."""

    BURST, ON_THE_WAY = 16, 64  # as many frames at most: fewer than a ring holds

    def __init__(self, host, macs):
        (self._from, self._from_mac), (self._to, self._to_mac) = macs.items()
        self._host = host
        self.sent = self.received = 0

    def step(self):
        guest = self._host.guests[self._from]
        for _ in range(self.BURST):
            payload = struct.pack("!Q", self.sent).ljust(46, b"\0")
            guest.send(frame(self._to_mac, self._from_mac, payload=payload))
            self.sent += 1
        self._take(self.ON_THE_WAY)

    def _take(self, left):
        """Until at most so many are on their way; and what is there."""
        guest = self._host.guests[self._to]
        while (got := guest.recv(0 if self.sent - self.received <= left else 5)) is not None:
            if got[6:14] == mac_bytes(self._from_mac) + struct.pack("!H", TYPE_TEST):
                (number,) = struct.unpack_from("!Q", got, 14)
                assert number == self.received, f"frame {number} came instead of {self.received}"
                self.received += 1
        assert self.sent - self.received <= left, f"frame {self.received} does not come"

    def check(self):
        self._take(0)
        assert self.sent > 0


def set_standard_flows(ovs):
    ovs.set_flows("priority=0,actions=NORMAL", bridge=OVS_BRIDGE)
