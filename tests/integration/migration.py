# SPDX-License-Identifier: BSD-3-Clause
"""Live migration of real guests: hosts, the network between them, and a guest that moves.

A host is a network namespace with a switch in it; its uplink leads to the underlay, a learning
Linux bridge in a namespace of its own. What a switch must be able to do for a host is in Host; the
benchmark puts OVS-DPDK in its place.
"""

import itertools
import re
from dataclasses import dataclass

from guest import Guest
from netns import Host as RawEnd
from netns import Netns, packet_drops, unique_name
from sluice import Sluiced
from station import Station
from vhostguest import VhostGuest
from wait import wait_until

BRIDGE = "br0"
UPLINK_DEV = "up0"
MIGRATION_DEADLINE_S = 60
PARK_S = 2  # at most, by default
SLOW_BYTES_PER_S = 2 << 20  # a migration that goes on until it is told to hurry
FULL_BYTES_PER_S = 128 << 20  # QEMU's default
DYING = re.compile(r"kernel BUG|BUG:|Oops|Kernel panic|invalid opcode|general protection|"
                   r"list_(add|del) corruption|unable to handle")
DISABLED, FORWARDING = "0", "3"  # BR_STATE_*
_numbers = itertools.count()


class GuestDied(AssertionError):
    """The guest's kernel, not the switch."""


class MigrationFailed(AssertionError):
    """QEMU gave up."""


class Underlay:
    """A learning bridge, to which hosts are connected, and stations."""

    def __init__(self):
        self.netns = Netns(unique_name(f"u{next(_numbers)}"))
        self.ports = 0
        self.netns.ip("link", "add", "under", "type", "bridge", "forward_delay", "0", "stp_state", "0",
                      "mcast_snooping", "0")
        self.netns.ip("link", "set", "under", "up")

    def connect(self, netns, dev):
        """Gives a namespace an interface whose other end is a port of the bridge. Returns that."""
        port = f"p{self.ports}"
        self.ports += 1
        netns.veth_to(self.netns, dev, port)
        self.netns.ip("link", "set", port, "master", "under")
        return port

    def station(self, number):
        dev = f"s{number}"
        self.connect(self.netns, dev)
        return Station("underlay", RawEnd(self.netns, dev), number)

    def set_link(self, port, up):
        """By the port's state in the bridge: that is done when this returns, in both directions."""
        self.netns.ip("link", "set", port, "type", "bridge_slave", "state",
                      FORWARDING if up else DISABLED)

    def close(self):
        self.netns.close()


class Host:
    """A hypervisor with sluiced."""

    switch = "sluice"

    def __init__(self, name, underlay, directory, uplink_frames=512, **options):
        """uplink_frames: what the kernel keeps for the switch, and the switch for the kernel."""
        self.name = name
        self.uplink = (f"net_af_packet0,iface={UPLINK_DEV},qpairs=1,blocksz=65536,framesz=2048,"
                       f"framecnt={uplink_frames}")
        self.underlay = underlay
        self.directory = directory
        self.netns = Netns(unique_name(f"{name}{next(_numbers)}"))
        try:
            self.underlay_port = underlay.connect(self.netns, UPLINK_DEV)
            self.start_switch(**options)
        except BaseException:
            self.netns.close()
            raise

    def start_switch(self, **options):
        self.sluiced = Sluiced(self.directory, netns=self.netns.name, **options)
        self.sluiced.rpc("bridge.add", name=BRIDGE)
        self.sluiced.rpc("uplink.add", name="up", bridge=BRIDGE, devargs=self.uplink)

    def attach(self, name, mode="server", incoming=False, **params):
        """Returns the socket's path."""
        return self.sluiced.rpc("port.attach", name=name, bridge=BRIDGE, mode=mode,
                                incoming=incoming, **params)["socket"]

    def detach(self, name):
        self.sluiced.rpc("port.detach", name=name)

    def wait_guest(self, name, deadline_s=20):
        self.sluiced.wait_state(name, "up", deadline_s)

    def wait_connected(self, name, deadline_s=10):
        """A front-end is there, whether its rings run or not."""
        wait_until(lambda: self.sluiced.port(name)["peer"], f"a front-end at {name}", deadline_s)

    def counters(self, name):
        """{parked, unparked, redirected, dropped} of a port."""
        stats = self.sluiced.stats(name)
        return {"dropped": stats["rx_dropped"],
                **{key: stats[key] for key in ("parked", "unparked", "redirected")}}

    def drops(self):
        """{port: {reason: frames}} of what came out of no port, where there was any."""
        drops = {}
        for port in self.sluiced.rpc("port.list") + self.sluiced.rpc("uplink.list"):
            stats = port["stats"]
            reasons = stats["rx_dropped_by"] | stats["tx_dropped_by"]
            drops[port["name"]] = {reason: count for reason, count in reasons.items() if count}
        return {name: reasons for name, reasons in drops.items() if reasons}

    def kernel_drops(self):
        """Frames that came to the uplink's device and found no room in the ring that its driver shares
        with the kernel, since this was asked the last time."""
        return packet_drops(self.sluiced.process.pid)

    def wait_unparked(self, name):
        """What was kept has gone to where the guest is now, or has been dropped."""
        wait_until(lambda: self.counters(name)["parked"] == 0, f"{name} with nothing parked",
                   PARK_S + 5)

    def station(self, number):
        """One on a port of this host."""
        station_port = f"st{number}"
        end = VhostGuest.at(self.attach(station_port))
        return Station(self.name, end, number)

    def stop_switch(self):
        status = self.sluiced.stop()
        assert status == 0, f"sluiced of {self.name} ended with {status}"

    def close(self):
        try:
            self.stop_switch()
        finally:
            self.netns.close()


@dataclass
class Migrated:
    """What QEMU and the source's switch say about a migration."""

    downtime_ms: int
    total_ms: int
    unparked: int = 0
    redirected: int = 0
    dropped: int = 0  # of what was for the guest, at the source


class MigratingGuest:
    """A guest at some host, one QEMU after the other."""

    address = "10.8.0.1"

    def __init__(self, host, image, name="vm", mac="52:54:00:00:08:01", mode="server", queues=1,
                 packed=False):
        self.host = host
        self.image = image
        self.name = name
        self.mac = mac
        self.mode = mode
        self.queues = queues
        self.packed = packed
        self.qemu = self._launch(host, incoming=False)
        self.target = None  # (host, QEMU) of a migration that is under way

    def _launch(self, host, incoming):
        """A QEMU on the host; `incoming`: one that waits for the guest."""
        socket = host.attach(self.name, mode=self.mode, queues=self.queues, mac=self.mac,
                             incoming=incoming)
        name = f"{self.name}{next(_numbers)}"
        self.migration_socket = host.directory / f"{name}.in"
        return Guest(name, host.directory, *self.image, socket, self.mac,
                     qemu_listens=self.mode == "client", queues=self.queues, packed=self.packed,
                     incoming=self.migration_socket if incoming else None)

    def wait_booted(self):
        self.qemu.wait_booted()
        self.qemu.set_address(f"{self.address}/16")
        self.qemu.start("ping -c 1 10.8.255.254")  # nobody: bridges learn where the guest is now
        if self.queues > 1:
            self.qemu.run("ls -d /sys/class/net/eth0/queues/tx-1")
        self.host.wait_guest(self.name)

    # ---- as Guest

    def run(self, command, **options):
        return self.qemu.run(command, **options)

    def start(self, command):
        self.qemu.start(command)

    def qmp(self, command, **arguments):
        answer = self.qemu.qmp(command, **arguments)
        assert "error" not in answer, (command, answer)
        return answer["return"]

    # ---- a migration, in steps

    def prepare(self, to):
        """A QEMU on the other host, which waits."""
        qemu = self._launch(to, incoming=True)
        self.target = to, qemu

        def waits():
            try:
                return qemu.qmp("query-status")["return"]["status"] == "inmigrate"
            except OSError:
                return False

        qemu.process.wait_until(waits, "a QEMU to wait for the guest", 20)

    def begin(self, slowly=False, pause=False):
        """Starts to move. slowly: hurry() ends it. pause: it stops when the guest has stopped and
        before the other side has it; proceed() or cancel() goes on."""
        self.qmp("migrate-set-parameters",
                 **{"max-bandwidth": SLOW_BYTES_PER_S if slowly else FULL_BYTES_PER_S})
        self.qmp("migrate-set-capabilities", capabilities=[
            {"capability": "pause-before-switchover", "state": pause}])
        self.qmp("migrate", uri=f"unix:{self.migration_socket}")

    def status(self):
        return self.qmp("query-migrate").get("status", "none")

    def wait_status(self, *wanted):
        def reached():
            status = self.status()
            if status in ("failed", "cancelled") and status not in wanted:
                raise MigrationFailed(f"{self.name}: the migration has {status}: "
                                      f"{self.qmp('query-migrate')}")
            return status in wanted and status

        return self.qemu.process.wait_until(reached, f"{self.name} to be {' or '.join(wanted)}",
                                            MIGRATION_DEADLINE_S)

    def wait_precopy(self):
        """Memory is on its way, and the dirty log is on."""
        wait_until(lambda: self.qmp("query-migrate").get("ram", {}).get("transferred", 0) > 0,
                   "memory to be on its way")

    def hurry(self):
        self.qmp("migrate-set-parameters", **{"max-bandwidth": FULL_BYTES_PER_S})

    def proceed(self):
        self.qmp("migrate-continue", state="pre-switchover")

    def cancel(self):
        """The guest goes on where it is. It takes the other QEMU and its port away."""
        self.qmp("migrate_cancel")
        self.wait_status("cancelled", "failed")
        self.abandon()

    def abandon(self):
        """Takes away what prepare() made."""
        host, qemu = self.target
        self.target = None
        qemu.close()
        host.detach(self.name)
        wait_until(lambda: self.qmp("query-status")["status"] == "running", "the guest to go on")

    def finish(self):
        """Waits until the guest lives at its new host; takes the old QEMU and its port away."""
        self.wait_status("completed")
        source, old = self.host, self.qemu
        answer = self.qmp("query-migrate")
        self.host, self.qemu = self.target
        self.target = None
        old.close()
        self.wait_alive()
        self.host.wait_guest(self.name)
        source.wait_unparked(self.name)
        counters = source.counters(self.name)
        source.detach(self.name)
        return Migrated(answer["downtime"], answer["total-time"], counters["unparked"],
                        counters["redirected"], counters["dropped"])

    def migrate(self, to):
        self.prepare(to)
        self.begin()
        return self.finish()

    def wait_alive(self):
        try:
            self.qemu.wait_booted()
            self.run("true")
        except AssertionError as failure:
            self.check_console()
            raise failure
        self.check_console()

    def check_console(self):
        """Raises GuestDied where its kernel has said its last words."""
        said = self.qemu.console()
        if DYING.search(said):
            raise GuestDied(f"{self.qemu.name}:\n{said[-3000:]}")

    def close(self):
        if self.target is not None:
            host, qemu = self.target
            qemu.close()
            host.detach(self.name)
        self.qemu.close()
        self.host.detach(self.name)
