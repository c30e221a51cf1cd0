# SPDX-License-Identifier: BSD-3-Clause
"""The switches that are compared: two vhost-user ports each, one forwarding core.

A peer is started once for a group of scenarios and stays up; between trials it is stopped in the
scheduler's sense (SIGSTOP), so that only one polls at a time and none is favoured by a fresh start.
All are at their defaults but for these: MTU 9200, the control threads on the generator's CPU, and
testpmd's burst of 64, which is better than its own 32. (OVS takes buffers that hold a frame of the
MTU in one piece; testpmd's are 2 KiB.)

To add a peer: derive from Peer, and name the class in PEERS.
"""

import os
import re
import shutil
import signal
from pathlib import Path

from proc import Process
from shared import GENERATOR_CPU, SWITCH_CPU, run

PORTS = ("p0", "p1")
MTU = 9200
MEMORY_MIB = 320
START_DEADLINE_S = 30
CAPTURE_SNAPLEN = 64


class Peer:
    """`directory` is the peer's own. What it starts, it ends, by pid."""

    name = None
    generator_listens = False  # which side makes the sockets
    ports = PORTS  # that the generator's guests are at
    options = ()  # of the generator, for this peer alone

    def __init__(self, directory):
        self.directory = Path(directory)

    @property
    def process(self):
        """The Process of the forwarding program."""
        raise NotImplementedError

    def start(self, ports=PORTS, tso=False):
        """Runs with these ports when it returns. tso: guests may send frames of 64 KiB."""
        raise NotImplementedError

    def stop(self):
        raise NotImplementedError

    def socket(self, port):
        return self.directory / port

    def resume(self):
        """The next trial is this peer's."""
        os.kill(self.process.pid, signal.SIGCONT)

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def configure(self, variant):
        """Settings of the next trial; only sluice has any."""

    def mark(self):
        """Traffic begins now."""

    def cycles_per_packet(self):
        """What the peer itself says about its core since mark(): TSC cycles of busy rounds per
        packet; None where it does not know. Called as soon as the traffic has ended."""
        return None


class Sluice(Peer):
    """Two learning ports of a bridge in server mode, as sluicectl makes them without a MAC."""

    name = "sluice"

    def __init__(self, directory, memory_mib=MEMORY_MIB):
        super().__init__(directory)
        self.memory_mib = memory_mib
        self.daemon = None
        self._ports = {}
        self._capture = None
        self._before = None

    @property
    def process(self):
        return self.daemon.process

    def start(self, ports=PORTS, tso=False):
        from sluice import Sluiced  # which reads where the build is

        self.daemon = Sluiced(self.directory, lcores=str(SWITCH_CPU), memory=self.memory_mib,
                              idle="poll")
        self.daemon.rpc("bridge.add", name="br0")
        self._ports, self._capture = {}, None
        self.set_ports({port: {} for port in ports})

    def stop(self):
        if self.daemon is not None:
            self.daemon.process.kill()
            self.daemon = None
        shutil.rmtree(self.directory / "state", ignore_errors=True)

    def set_ports(self, ports):
        """Makes {name: settings} the ports that there are; those that stay as they are stay."""
        for name in [name for name, settings in self._ports.items() if ports.get(name) != settings]:
            self.daemon.rpc("port.detach", name=name, force=True)
            del self._ports[name]
        for name, settings in ports.items():
            if name not in self._ports:
                self.daemon.rpc("port.attach", **{"name": name, "bridge": "br0", "mtu": MTU,
                                                  **settings})
                self._ports[name] = settings

    def configure(self, variant):
        if self._capture and not variant.capture:
            self.daemon.rpc("capture.stop", port=PORTS[0])
            self._capture.unlink(missing_ok=True)
            self._capture = None
        self.set_ports(dict(zip(PORTS, variant.settings)))
        if variant.capture and not self._capture:
            file = self.directory / "frames.pcapng"
            self.daemon.rpc("capture.start", port=PORTS[0], file=str(file), snaplen=CAPTURE_SNAPLEN)
            self._capture = file

    def socket(self, port):
        return self.daemon.socket_dir / port

    def mark(self):
        self._before = self._counters()

    def cycles_per_packet(self):
        """Of rounds that moved a frame, polling all ports included."""
        now, before = self._counters(), self._before
        packets = now["packets"] - before["packets"]
        return (now["busy_cycles"] - before["busy_cycles"]) / packets if packets > 0 else None

    def _counters(self):
        return self.daemon.rpc("lcore.list")[0]


class Testpmd(Peer):
    """dpdk-testpmd in io mode: whatever comes from one port goes to the other, unread."""

    name = "testpmd"

    def __init__(self, directory):
        super().__init__(directory)
        self._process = None

    @property
    def process(self):
        return self._process

    def start(self, ports=PORTS, tso=False, client=False):
        """client: testpmd connects, and the front-end makes the sockets."""
        # legacy-ol-flags: a request to segment goes from guest to guest as it came
        options = ",tso=1,legacy-ol-flags=1" if tso else ""
        options += ",client=1" if client else ""
        vdevs = [f"--vdev=net_vhost{i},iface={self.socket(port)}{options}"
                 for i, port in enumerate(ports)]
        self._process = Process(
            ["stdbuf", "-oL", "dpdk-testpmd", f"--lcores=0@{GENERATOR_CPU},1@{SWITCH_CPU}", "--no-pci",
             "--in-memory", "--no-telemetry", f"--file-prefix=bench{os.getpid()}",
             f"--socket-mem={MEMORY_MIB}", *vdevs, "--",
             "--forward-mode=io", "--nb-cores=1", "--burst=64", "--no-mlockall",
             "--disable-link-check", "--total-num-mbufs=16384", "--stats-period=3600"],
            self.directory / "testpmd.log")
        self._process.wait_until(
            lambda: " packet forwarding" in self._process.output(), "testpmd forwards",
            START_DEADLINE_S)

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process = None
        for path in self.directory.iterdir():
            if path.is_socket():
                path.unlink()


class Ovs:
    """An Open vSwitch with DPDK of its own: database, run directory, network namespace (its tap
    `ovs-netdev` exists once in each)."""

    VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
    SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"

    def __init__(self, directory, mtu=MTU, memory_mib=MEMORY_MIB):
        self.directory = Path(directory)
        self.mtu = mtu
        self.memory_mib = memory_mib
        self.database = self.vswitchd = None
        self._env = {name: str(self.directory) for name in
                     ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")}

    def start(self, tso=False):
        if self.vswitchd is not None:
            return
        db = self.directory / "conf.db"
        run(["ovsdb-tool", "create", db, self.SCHEMA])
        self.database = Process(["ovsdb-server", db, f"--remote=punix:{self.directory}/db.sock",
                                 f"--unixctl={self.directory}/ovsdb.ctl"],
                                self.directory / "ovsdb.log", env=self._env, cpus=str(GENERATOR_CPU))
        self.database.wait_until((self.directory / "db.sock").is_socket, "ovsdb-server listens",
                                 START_DEADLINE_S)
        self.vsctl("--no-wait", "init")
        settings = {
            "dpdk-init": "true",
            "dpdk-extra": f"--no-pci --in-memory --no-telemetry --file-prefix=ovs{os.getpid()}",
            "dpdk-socket-mem": self.memory_mib,
            "dpdk-socket-limit": self.memory_mib,
            "dpdk-lcore-mask": hex(1 << GENERATOR_CPU),
            "pmd-cpu-mask": hex(1 << SWITCH_CPU),
            "shared-mempool-config": self.mtu,  # one pool, none for other MTUs
            "userspace-tso-enable": str(tso).lower(),
        }
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".",
                   *(f"other_config:{key}={value}" for key, value in settings.items()))
        self.start_vswitchd()
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")

    def start_vswitchd(self):
        self.vswitchd = Process(
            ["unshare", "--net", "taskset", "-c", GENERATOR_CPU, self.VSWITCHD,
             f"unix:{self.directory}/db.sock", f"--unixctl={self.directory}/vswitchd.ctl"],
            self.directory / "vswitchd.log", env=self._env)

    def add_port(self, port, number, path, client=True):
        kind = "dpdkvhostuserclient" if client else "dpdkvhostuser"
        where = [f"options:vhost-server-path={path}"] if client else []
        self.vsctl("add-port", "br0", port, "--", "set", "Interface", port, f"type={kind}",
                   f"mtu_request={self.mtu}", f"ofport_request={number}", *where)

    def vsctl(self, *args):
        """Waits until vswitchd has done it, unless told --no-wait."""
        return run(["ovs-vsctl", "--timeout=30", f"--db=unix:{self.directory}/db.sock", *args],
                   timeout_s=40, env=self._env)

    def ofctl(self, *args):
        return run(["ovs-ofctl", *args], env=self._env)

    def appctl(self, *args):
        return run(["ovs-appctl", "-t", self.directory / "vswitchd.ctl", *args], env=self._env)

    def stop(self):
        for process in (self.vswitchd, self.database):
            if process is not None:
                process.kill()
        self.vswitchd = self.database = None
        for path in self.directory.iterdir():
            if not path.name.endswith(".log"):
                path.unlink()


class OvsNormal(Peer):
    """OVS-DPDK as people run it: the NORMAL action learns and looks up; its caches at defaults,
    ports of type dpdkvhostuserclient."""

    name = "ovs-normal"
    generator_listens = True
    flows = ("actions=NORMAL",)

    def __init__(self, directory, ovs):
        super().__init__(directory)
        self.ovs = ovs
        self._before = None

    @property
    def process(self):
        return self.ovs.vswitchd

    def start(self, ports=PORTS, tso=False):
        if self.ovs.vswitchd is not None:
            return  # by the other peer that shares it
        self.ovs.start(tso)
        for number, port in enumerate(ports, 1):
            self.ovs.add_port(port, number, self.socket(port))

    def stop(self):
        self.ovs.stop()

    def socket(self, port):
        return self.ovs.directory / port

    def resume(self):
        super().resume()
        self.ovs.ofctl("del-flows", "br0")
        for flow in self.flows:
            self.ovs.ofctl("add-flow", "br0", flow)

    def mark(self):
        self._before = self._counters()

    def cycles_per_packet(self):
        """`pmd-stats-show`: processing cycles are those of rounds that received something."""
        (cycles, packets), (cycles0, packets0) = self._counters(), self._before
        return (cycles - cycles0) / (packets - packets0) if packets > packets0 else None

    def _counters(self):
        shown = self.ovs.appctl("dpif-netdev/pmd-stats-show")
        pmd = shown[shown.index("pmd thread"):].split("main thread")[0]
        return tuple(int(re.search(rf"{what}: (\d+)", pmd)[1])
                     for what in ("processing cycles", "packets received"))


class OvsFlow(OvsNormal):
    """The same with one flow from port to port: no learning, nothing to look up but the port."""

    name = "ovs-flow"
    flows = ("in_port=1,actions=output:2", "in_port=2,actions=output:1")


PEERS = {peer.name: peer for peer in (Sluice, Testpmd, OvsFlow, OvsNormal)}


def make_peers(names, directory):
    """The peers by these names. Those of OVS are two settings of one process."""
    ovs = None
    peers = []
    for name in names:
        home = directory / ("ovs" if issubclass(PEERS[name], OvsNormal) else name)
        home.mkdir(exist_ok=True)
        if issubclass(PEERS[name], OvsNormal):
            ovs = ovs or Ovs(home)
            peers.append(PEERS[name](home, ovs))
        else:
            peers.append(PEERS[name](home))
    return peers
