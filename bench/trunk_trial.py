# SPDX-License-Identifier: BSD-3-Clause
"""What bench/trunk does on one host: restarts OVS-DPDK or sluiced, and looks when frames cross the trunk again."""

import itertools
import statistics
import time

from frames import frame
from netns import Host as RawEnd
from netns import Netns, unique_name
from trunk import AF_PACKET, FAR_MAC, TrunkHost
from wait import Timeout

AWAY_S = 0.3
DEADLINE_S = 20
A_MAC, OTHER_MAC = "02:00:00:00:00:0a", "02:00:00:00:ff:02"


class Probes:
    """One frame after the other on several ways, until each has brought one."""

    def __init__(self, ways):
        self._ways = ways  # {name: (sender, receiver, destination, source)}

    def first_ms(self, begun):
        """{way: ms from `begun` to the first frame that came}"""
        first = {}
        sent = {name: set() for name in self._ways}
        for number in itertools.count():
            for name, (sender, receiver, *macs) in self._ways.items():
                if name in first:
                    continue
                data = frame(*macs)
                sent[name].add(data[14:28])
                sender.send(data)
                while (got := receiver.recv(0)) is not None:
                    if got[14:28] in sent[name]:
                        first.setdefault(name, (time.monotonic() - begun) * 1000)
            if len(first) == len(self._ways):
                return first
            if time.monotonic() - begun > DEADLINE_S:
                raise Timeout(f"no frame on {set(self._ways) - set(first)}")
            time.sleep(0.001)


class Trial:
    """A host with a trunk of one kind, a guest, and two wires behind OVS."""

    def __init__(self, kind, directory):
        self.netns = Netns(unique_name("t"))
        self.host = TrunkHost(kind, self.netns, directory)
        self.host.add_wire()
        self.netns.veth("wire2", "wire3")
        self.host.ovs.add_port("wire2", "dpdk", **{"dpdk-devargs": AF_PACKET.format("wire2").replace(
            "net_af_packet0", "net_af_packet1")})
        self.other = RawEnd(self.netns, "wire3")
        self.host.attach("a", A_MAC)
        self.host.wait_crosses("a", A_MAC)

    def ways(self):
        guest, wire = self.host.guests["a"], self.host.wire
        return {"trunk out": (guest, wire, FAR_MAC, A_MAC), "trunk in": (wire, guest, A_MAC, FAR_MAC)}

    def restart_ovs(self, end):
        getattr(self.host.ovs, end)()
        time.sleep(AWAY_S)
        begun = time.monotonic()
        self.host.ovs.launch()
        first = Probes({**self.ways(), "OVS itself": (self.other, self.host.wire, FAR_MAC, OTHER_MAC)}
                       ).first_ms(begun)
        trunk = max(first["trunk out"], first["trunk in"])
        return {"trunk": trunk, "OVS itself": first["OVS itself"]}

    def restart_sluiced(self, end):
        getattr(self.host.sluiced, end)()
        time.sleep(AWAY_S)
        begun = time.monotonic()
        self.host.sluiced.start()
        self.host.connect("a")
        first = Probes(self.ways()).first_ms(begun)
        return {"trunk": max(first.values())}

    def close(self):
        self.other.close()
        self.host.close()
        self.netns.close()


def describe(values):
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


def restarts(kind, rounds, directory):
    """Rows of the table of restarts."""
    rows = []
    directory.mkdir()
    trial = Trial(kind, directory)
    try:
        for who, restart in (("OVS", trial.restart_ovs), ("sluiced", trial.restart_sluiced)):
            for end in ("kill", "stop"):
                samples = [restart(end) for _ in range(rounds)]
                itself = describe([sample["OVS itself"] for sample in samples]) if who == "OVS" else "-"
                rows.append([kind, f"{who}, {end}", describe([sample["trunk"] for sample in samples]),
                             itself])
    finally:
        trial.close()
    return rows
