# SPDX-License-Identifier: BSD-3-Clause
"""A bridge for one test, with guests and uplinks on it, and exact answers to "who got what".

How a test can know that a frame was NOT delivered without sleeping: one lcore serves all queues,
so what is sent after a frame was counted arrives after it. received() lets the bridge's beacon (a
port that carries every VLAN) broadcast a mark in the member's VLAN; whatever the member got
before the mark is all that it got.
"""

import frames
from netns import Host, collect
from vhostguest import VhostGuest, listen
from wait import wait_until

BEACON_MAC = "02:be:ac:00:00:00"


class Member:
    """A port or an uplink, and the end outside of it (a VhostGuest or a Host)."""

    def __init__(self, name, end, vlan, is_uplink):
        self.name = name
        self.end = end
        self.vlan = vlan  # tag with which the beacon reaches it, None for untagged
        self.is_uplink = is_uplink
        self.sent = 0
        self.taken = 0

    def recv(self, deadline_s=5):
        frame = self.end.recv(deadline_s)
        self.taken += frame is not None
        return frame


class Net:
    def __init__(self, sluiced, netns, bridge, **options):
        self.sluiced = sluiced
        self.netns = netns
        self.bridge = bridge
        self.members = []
        sluiced.rpc("bridge.add", name=bridge, **options)
        self.beacon = self.guest("beacon", mac=BEACON_MAC)

    # ---- members

    def attach(self, name, **params):
        """port.attach on this bridge, nobody connected. Returns the port."""
        return self.sluiced.rpc("port.attach", name=f"{self.bridge}-{name}", bridge=self.bridge,
                                **params)

    def guest(self, name, features=None, queues=1, **params):
        """A port with a guest on it."""
        port = self.attach(name, queues=queues, **params)
        options = {} if features is None else {"features": features}
        if params.get("mode") == "client":
            with listen(port["socket"]) as listener:
                listener.settimeout(10)
                end = VhostGuest(listener.accept()[0], queues=queues, **options)
        else:
            end = VhostGuest.at(port["socket"], queues=queues, **options)
        member = self._join(Member(port["name"], end, self._reach(params), False))
        self.sluiced.wait_state(port["name"], "up")
        return member

    def uplink(self, name, device="", **params):
        """An uplink over a veth pair, with raw frames at its far end. `device`: more devargs."""
        number = sum(member.is_uplink for member in self.members)
        dev = f"{self.bridge}u{number}"
        self.netns.veth(dev, f"{dev}h")
        self.sluiced.rpc(
            "uplink.add", name=f"{self.bridge}-{name}", bridge=self.bridge,
            devargs=f"net_af_packet_{dev},iface={dev}{device}",
            **params)
        host = Host(self.netns, f"{dev}h")
        return self._join(Member(f"{self.bridge}-{name}", host, self._reach(params), True))

    def _join(self, member):
        self.members.append(member)
        return member

    @staticmethod
    def _reach(params):
        if params.get("vlan"):
            return params["vlan"]
        trunks = params.get("trunks") or [0]
        return None if 0 in trunks else trunks[0]

    # ---- frames

    def send(self, member, frame, wait=True, **options):
        """Sends; returns when sluiced has counted the frame."""
        member.end.send(frame, **options)
        member.sent += 1
        if wait:
            wait_until(lambda: self.counted(member) >= member.sent, f"{member.name}: counted")

    def stats(self, member):
        if member.is_uplink:
            (uplink,) = (up for up in self.sluiced.rpc("uplink.list")
                         if up["name"] == member.name)
            return uplink["stats"]
        return self.sluiced.stats(member.name)

    def counted(self, member):
        """How many frames sluiced says it took from the member, dropped or not."""
        stats = self.stats(member)
        side = "rx" if member.is_uplink else "tx"
        return stats[f"{side}_packets"] + stats[f"{side}_dropped"]

    def received(self, member, via=None):
        """All that came to the member since the last call, marks apart. `via`: who marks."""
        via = via or self.beacon
        vlan = member.vlan if via is self.beacon else None
        token = frames.token()
        self.send(via, frames.frame(frames.BROADCAST, BEACON_MAC, vlan=vlan,
                                    payload=token.ljust(46, b"\0")))
        got = collect(member.recv, lambda frame: token in frame, 5)
        while not member.is_uplink and (frame := member.recv(0)) is not None:
            got.append(frame)  # from a queue that was looked at before the mark came on another
        beacon = frames.mac_bytes(BEACON_MAC)
        return [frame for frame in got if frame[6:12] != beacon]

    def macs(self):
        """{(mac, vlan): entry} of what the bridge knows, the beacon apart."""
        return {(entry["mac"], entry["vlan"]): entry
                for entry in self.sluiced.rpc("bridge.macs", name=self.bridge)
                if entry["mac"] != BEACON_MAC}

    def check_accounts(self):
        """Every frame that a guest gave is in exactly one counter, each that it got is counted."""
        for member in self.members[::-1]:  # the beacon last
            if member.is_uplink:
                continue
            if member is self.beacon:  # all that went to it went before the marks of the others
                while member.recv(0) is not None:
                    pass
            else:
                self.received(member)
            stats = self.stats(member)
            assert stats["tx_dropped"] == sum(stats["tx_dropped_by"].values()), stats
            assert stats["rx_dropped"] == sum(stats["rx_dropped_by"].values()), stats
            assert self.counted(member) == member.sent, (member.name, member.sent, stats)
            assert stats["rx_packets"] == member.taken, (member.name, member.taken, stats)

    def show(self):
        """The counters that are not 0, on stdout: pytest shows them with a failure."""
        for member in self.members:
            stats = self.stats(member)
            shown = {name: count for name, count in stats.items() if isinstance(count, int)}
            shown |= stats["rx_dropped_by"] | {f"tx {reason}": count for reason, count
                                               in stats["tx_dropped_by"].items()}
            print(member.name, {name: count for name, count in shown.items() if count})

    def close(self):
        for member in self.members:
            if member.is_uplink:
                self.sluiced.rpc("uplink.del", name=member.name)
            else:
                self.sluiced.rpc("port.detach", name=member.name, force=True)
            member.end.close()
        for port in self.sluiced.rpc("port.list"):
            if port["bridge"] == self.bridge:
                self.sluiced.rpc("port.detach", name=port["name"], force=True)
        for number in range(sum(member.is_uplink for member in self.members)):
            self.netns.ip("link", "del", f"{self.bridge}u{number}")
        self.sluiced.rpc("bridge.del", name=self.bridge)
