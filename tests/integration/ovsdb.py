# SPDX-License-Identifier: BSD-3-Clause
"""A real Open_vSwitch database, with a run directory of its own, and the programs that speak with it."""

import itertools
import json
import os
import subprocess

from proc import Process
from wait import wait_until

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
VSWITCHD = "/usr/lib/openvswitch-switch/ovs-vswitchd"
START_DEADLINE_S = 20
ANSWER_S = 10
LOCAL = 65534  # ofport of a bridge's own Interface

_numbers = itertools.count()


def plain(value):
    """RFC 7047's <value> as Python has it; an empty set is None."""
    if not isinstance(value, list):
        return value
    kind, inner = value
    if kind == "map":
        return {plain(key): plain(item) for key, item in inner}
    if kind == "set":
        return [plain(item) for item in inner] or None
    return inner


def _without_bounds(schema):
    """The schema, as somebody wrote it who lets everything pass."""
    if isinstance(schema, dict):
        return {key: _without_bounds(value) for key, value in schema.items()
                if key not in ("minInteger", "maxInteger", "enum", "indexes")}
    return [_without_bounds(item) for item in schema] if isinstance(schema, list) else schema


class Database:
    """ovsdb-server on `directory`/db.sock; initialised, but for `blank`.

    `lax`: it checks no values; `lacks`: (table, column) that an older one has not.
    """

    def __init__(self, directory, blank=False, lax=False, lacks=()):
        self.directory = directory
        self.socket = directory / "db.sock"
        self.target = f"unix:{self.socket}"
        self._file = directory / "conf.db"
        self._env = {name: str(directory) for name in
                     ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")}
        self.server = None
        with open(SCHEMA, encoding="utf-8") as file:
            schema = json.load(file)
        for table, column in lacks:
            del schema["tables"][table]["columns"][column]
        own = directory / "schema"
        own.write_text(json.dumps(_without_bounds(schema) if lax else schema), encoding="utf-8")
        self._run("ovsdb-tool", "create", self._file, own)
        self.start()
        if not blank:
            self.vsctl("--no-wait", "init")

    def start(self):
        self.server = Process(["ovsdb-server", self._file, f"--remote=punix:{self.socket}",
                               f"--unixctl={self.directory}/ovsdb.ctl"],
                              self.directory / "ovsdb.log", env=self._env)
        self.server.wait_until(self._listens, "ovsdb-server listens", START_DEADLINE_S)

    def _listens(self):
        return self._try("ovsdb-client", "list-dbs", self.target).returncode == 0

    def kill(self):
        """SIGKILL; start() brings it back."""
        self.server.kill()

    def vswitchd(self, netns):
        """ovs-vswitchd, without DPDK, in a network namespace; the caller ends it."""
        return Process([VSWITCHD, self.target, "--no-chdir",
                        f"--unixctl={self.directory}/vswitchd.ctl"],
                       self.directory / "vswitchd.log", netns=netns.name, env=self._env)

    def close(self):
        self.server.stop()

    def _try(self, *argv):
        return subprocess.run([str(word) for word in argv], capture_output=True, text=True,
                              check=False, timeout=60, env={**os.environ, **self._env})

    def _run(self, *argv):
        done = self._try(*argv)
        assert done.returncode == 0, (argv, done)
        return done.stdout

    def try_vsctl(self, *args):
        """What subprocess.run() returns; the exit status is 142 where nobody answered in time."""
        return self._try("ovs-vsctl", f"--db={self.target}", f"--timeout={ANSWER_S}", *args)

    def vsctl(self, *args):
        """Answered, with exit status 0 and without complaint."""
        done = self.try_vsctl(*args)
        assert done.returncode == 0 and not done.stderr, (args, done)
        return done.stdout

    def transact(self, *operations):
        """The results of one transaction; an AssertionError where an operation fails."""
        results = json.loads(self._run("ovsdb-client", "transact", self.target,
                                       json.dumps(["Open_vSwitch", *operations])))
        assert not any("error" in result for result in results if result), results
        return results

    def rows(self, table, *where):
        """[{column: plain value}]"""
        result = self.transact({"op": "select", "table": table, "where": list(where)})[0]
        return [{column: plain(value) for column, value in row.items()} for row in result["rows"]]

    def row(self, table, name):
        return self.rows(table, ["name", "==", name])[0]

    def interface(self, name):
        return self.row("Interface", name)

    def root(self):
        return self.rows("Open_vSwitch")[0]

    def insert_port(self, bridge, name, port=None, **interface):
        """A Port with its Interface, in a transaction of its own, as no ovs-vsctl would make it."""
        bridge = self.row("Bridge", bridge)["_uuid"]
        self.transact(
            {"op": "insert", "table": "Interface", "uuid-name": "i",
             "row": {"name": name, **interface}},
            {"op": "insert", "table": "Port", "uuid-name": "p",
             "row": {"name": name, "interfaces": ["named-uuid", "i"], **(port or {})}},
            {"op": "mutate", "table": "Bridge", "where": [["_uuid", "==", ["uuid", bridge]]],
             "mutations": [["ports", "insert", ["set", [["named-uuid", "p"]]]]]})


class Served:
    """A database, a sluiced that serves it, and a bridge of datapath_type sluice for each test."""

    def __init__(self, database, sluiced):
        self.db = database
        self.sluiced = sluiced
        self.bridge = None

    def add_br(self):
        self.bridge = f"br{next(_numbers)}"
        self.db.vsctl("add-br", self.bridge, "--", "set", "bridge", self.bridge,
                      "datapath_type=sluice")

    @staticmethod
    def name():
        return f"csdpdk-{next(_numbers)}"

    def socket(self, name):
        return self.sluiced.socket_dir / name

    def add_port(self, name, *settings, kind="dpdkvhostuser"):
        self.db.vsctl("add-port", self.bridge, name, "--", "set", "Interface", name,
                      f"type={kind}", *settings)
        return self.sluiced.port(name)

    def error(self, name):
        """Waits for the sentence in the Interface's row."""
        return wait_until(lambda: self.db.interface(name)["error"], f"error of {name}")

    def wait_column(self, name, column, value):
        wait_until(lambda: self.db.interface(name)[column] == value, f"{name}: {column} {value}")

    def assert_undisturbed(self, name):
        """Its guest has been there all the time."""
        port = self.sluiced.port(name)
        assert port["state"] == "up" and port["stats"]["reconnects"] == 0, port

    def names(self):
        return {port["name"] for port in self.sluiced.rpc("port.list")}
