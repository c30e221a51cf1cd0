# SPDX-License-Identifier: BSD-3-Clause
"""A real Open vSwitch with DPDK: database, run directory and process of its own.

Its tap `ovs-netdev` exists once in a network namespace, so each needs one. Its PMD thread sleeps when idle, as
two polling processes starve each other on two CPUs.
"""

import subprocess
from pathlib import Path

from proc import Process
from wait import wait_until

VSWITCHD = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
MEMORY_MIB = 128
START_DEADLINE_S = 30
CONTROL_CPU, PMD_CPU = 0, 1
BRIDGE = "ovsbr"


class Ovs:
    """Runs, with a bridge BRIDGE without ports, when the constructor returns."""

    def __init__(self, directory, netns, memory_mib=MEMORY_MIB, settings=None):
        self.directory = Path(directory)
        self.netns = netns
        self.database = self.vswitchd = None
        self._env = {name: str(self.directory) for name in
                     ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")}
        self._socket = self.directory / "db.sock"
        self._control = self.directory / "vswitchd.ctl"
        try:
            self._start_database()
            self.set_config({
                "dpdk-init": "true",
                # of one piece, or net_virtio_user has too many regions of memory for a back-end
                "dpdk-extra": "--no-pci --in-memory --single-file-segments --no-telemetry "
                              f"--file-prefix={self.netns.name}",
                "dpdk-socket-mem": memory_mib,
                "dpdk-socket-limit": memory_mib,
                "dpdk-lcore-mask": hex(1 << CONTROL_CPU),
                "pmd-cpu-mask": hex(1 << PMD_CPU),
                "pmd-maxsleep": 100,
                "shared-mempool-config": 1500,  # one pool for all ports
                **(settings or {}),
            })
            self.start()
            self.vsctl("add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev")
        except BaseException:
            self.close()
            raise

    def _start_database(self):
        db = self.directory / "conf.db"
        self._run("ovsdb-tool", "create", db, SCHEMA)
        self.database = Process(["ovsdb-server", db, f"--remote=punix:{self._socket}",
                                 f"--unixctl={self.directory}/ovsdb.ctl"],
                                self.directory / "ovsdb.log", env=self._env)
        self.database.wait_until(self._socket.is_socket, "ovsdb-server listens", START_DEADLINE_S)
        self.vsctl("--no-wait", "init")

    def set_config(self, settings):
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".",
                   *(f"other_config:{key}={value}" for key, value in settings.items()))

    # ---- vswitchd

    def launch(self):
        """Starts vswitchd and does not wait for it."""
        self.vswitchd = Process(
            ["taskset", "-c", CONTROL_CPU, VSWITCHD, f"unix:{self._socket}",
             f"--unixctl={self._control}"],
            self.directory / "vswitchd.log", netns=self.netns.name, env=self._env)

    def start(self):
        """Returns when vswitchd has done what the database says."""
        self.launch()
        self.vsctl("set", "Open_vSwitch", ".", f"external_ids:run={self.vswitchd.pid}")

    def kill(self):
        """SIGKILL to vswitchd, as a crash would be."""
        self.vswitchd.kill()

    def stop(self):
        """As its init script ends vswitchd."""
        self.appctl("exit")
        self.vswitchd.wait(10)

    # ---- commands

    def _run(self, *argv):
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=40,
                              env={**self._env, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        if done.returncode != 0:
            raise RuntimeError(f"{argv}: {done.stderr.strip()}\n{self.log()}")
        return done.stdout

    def vsctl(self, *args):
        """Waits until vswitchd has done it, unless told --no-wait."""
        return self._run("ovs-vsctl", f"--timeout={START_DEADLINE_S}", f"--db=unix:{self._socket}",
                         *args)

    def ofctl(self, *args):
        return self._run("ovs-ofctl", *args)

    def appctl(self, *args):
        return self._run("ovs-appctl", "-t", self._control, *args)

    def add_port(self, name, kind, number=None, bridge=BRIDGE, **options):
        """ovs-vsctl add-port, with the options of the interface."""
        self.vsctl("add-port", bridge, name, "--", "set", "Interface", name, f"type={kind}",
                   *([f"ofport_request={number}"] if number else []),
                   *(f"options:{key}={value}" for key, value in options.items()))
        error = self.vsctl("get", "Interface", name, "error").strip()
        assert error == "[]", error

    def set_flows(self, *flows, bridge=BRIDGE):
        """These, and no others."""
        self.ofctl("del-flows", bridge)
        for flow in flows:
            self.ofctl("add-flow", bridge, flow)

    def link(self, name):
        return self.vsctl("get", "Interface", name, "link_state").strip()

    def wait_link(self, name, state="up", deadline_s=10):
        wait_until(lambda: self.link(name) == state, f"{name} {state} in OVS", deadline_s)

    def log(self):
        path = self.directory / "vswitchd.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def close(self):
        for process in (self.vswitchd, self.database):
            if process is not None:
                process.kill()
