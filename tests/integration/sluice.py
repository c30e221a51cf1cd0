# SPDX-License-Identifier: BSD-3-Clause
"""sluiced and sluicectl from the build directory, in directories of their own."""

import json
import os
import subprocess
from pathlib import Path

from proc import Process
from rpc import Connection, Refused
from wait import wait_until

BUILD = Path(os.environ.get("SLUICE_BUILD", Path(__file__).resolve().parents[2] / "build"))
SLUICED = BUILD / "control/sluiced"
SLUICECTL = BUILD / "control/sluicectl"
FRONTEND = BUILD / "bench/frontend/sluice-frontend"

START_DEADLINE_S = 20
MEMORY_MIB = 96


class Sluiced:
    """A running sluiced. `directory` holds its sockets and its state, unless told otherwise.

    It runs on CPU 1 and sleeps when idle: two polling processes starve each other on two CPUs.
    """

    def __init__(self, directory, *args, name="sluiced", netns=None, env=None, idle="sleep",
                 lcores="1", memory=MEMORY_MIB):
        self.directory = directory
        self.control = directory / "ctl"
        self.socket_dir = directory / "s"
        self.state_dir = directory / "state"
        self.netns = netns
        self._env = env
        self._log = directory / f"{name}.log"
        conf = directory / "sluice.conf"
        if "-c" not in args:  # or the host's own configuration would have a say
            conf.touch()
            args = ("-c", conf, *args)
        self._args = ["--control", self.control, "--socket-dir", self.socket_dir,
                      "--state-dir", self.state_dir, "--memory", memory, "--idle", idle,
                      *(["--lcores", lcores] if lcores else []), *args]
        self.socket_dir.mkdir(exist_ok=True)
        self.state_dir.mkdir(exist_ok=True)
        self.process = None
        self._connection = None
        self.start()

    def start(self):
        """Starts it, again too, and returns when it answers."""
        self.process = Process([SLUICED, *self._args], self._log, netns=self.netns, env=self._env)
        try:
            self.process.wait_until(self.answers, "an answer of sluiced", START_DEADLINE_S)
        except AssertionError:
            self.process.kill()
            raise

    def answers(self):
        try:
            with Connection(self.control) as connection:
                return connection.call("daemon.version")["pid"] == self.process.pid
        except OSError:
            return False

    def thread(self, name):
        """The kernel's number of a thread."""
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            if (task / "comm").read_text(encoding="ascii").strip() == name:
                return int(task.name)
        raise AssertionError(f"no thread {name}")

    def alive(self):
        return self.process.alive() and self.answers()

    def rpc(self, method, **params):
        """The result of a method, or Refused."""
        if self._connection is None:
            self._connection = Connection(self.control)
        return self._connection.call(method, **params)

    def refusal(self, method, **params):
        """The Refused of a method that must be refused."""
        try:
            result = self.rpc(method, **params)
        except Refused as refused:
            return refused
        raise AssertionError(f"{method} {params} was not refused: {result}")

    def ctl(self, *args, check=True, env=None):
        """Runs sluicectl; returns what subprocess.run() does."""
        done = subprocess.run([str(SLUICECTL), "-s", str(self.control), *map(str, args)],
                              capture_output=True, text=True, timeout=20,
                              env={**os.environ, **(env or {})})
        assert not check or done.returncode == 0, (args, done)
        return done

    def ctl_json(self, *args):
        return json.loads(self.ctl("--json", *args).stdout)

    def state(self):
        """Everything that requests can change, to compare before and after."""
        ports = [{key: value for key, value in port.items() if key not in ("stats", "connected_s")}
                 for port in self.rpc("port.list") + self.rpc("uplink.list")]
        return (self.rpc("bridge.list"), ports)

    def port(self, name):
        return self.rpc("port.get", name=name)

    def wait_state(self, name, state, deadline_s=10):
        wait_until(lambda: self.port(name)["state"] == state, f"port {name} {state}", deadline_s)

    def stats(self, name):
        """A port's counters."""
        return self.port(name)["stats"]

    def wait_stat(self, name, *path, at_least=1, deadline_s=5):
        """Waits until a counter, such as ("tx_dropped_by", "vlan"), has grown that far."""

        def reached():
            value = self.stats(name)
            for key in path:
                value = value[key]
            return value >= at_least

        wait_until(reached, f"{name}: {'.'.join(path)} >= {at_least}", deadline_s)

    def kill(self):
        """SIGKILL; start() brings it back."""
        self._hang_up()
        self.process.kill()

    def stop(self):
        """SIGTERM; returns the exit status."""
        self._hang_up()
        return self.process.stop()

    def _hang_up(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None
