# SPDX-License-Identifier: BSD-3-Clause
"""The switches whose service bench/connect measures: ports come, go, and come again, and the
process is killed under its guests. Each has a directory of its own, and ends what it starts."""

import contextlib
import itertools
import shutil
import time

from handshake import Pair
from peers import Ovs, Testpmd
from proc import Process
from shared import SWITCH_CPU
from sluice import Sluiced
from wait import wait_until

MTU = 1500
MEMORY_MIB = 128


class Switch:
    name = None
    adds_ports = True     # while it runs
    can_be_killed = True  # and finds its ports again
    # How long a front-end's socket is gone before it comes (again): at random, so that no sample
    # falls into step with librte_vhost, which looks for sockets once a second.
    away_s = (0.02, 1.02)

    def __init__(self, directory):
        directory.mkdir()
        self.directory = directory

    def start(self):
        """Runs, without ports, when it returns."""

    def stop(self):
        raise NotImplementedError

    def recover(self):
        """After a kill that it may not have survived as a whole."""

    def open(self, names, mode):
        """Makes ports; returns the paths of their sockets. mode: "server" or "client"."""
        raise NotImplementedError

    def close(self, names):
        raise NotImplementedError

    @contextlib.contextmanager
    def opened(self, names, mode):
        paths = self.open(names, mode)
        try:
            yield paths
        finally:
            self.close(names)

    def restart(self):
        """kill -9, and started again at once; does not wait for it."""
        raise NotImplementedError


class SluiceSwitch(Switch):
    name = "sluice"
    away_s = (0.02, 0.12)  # it is woken and looks for nothing
    _daemon = None

    def start(self):
        self._daemon = Sluiced(self.directory, lcores=str(SWITCH_CPU), memory=MEMORY_MIB,
                               idle="poll")
        self._daemon.rpc("bridge.add", name="br0")

    def stop(self):
        if self._daemon is not None:
            self._daemon.process.kill()

    def open(self, names, mode):
        for name in names:
            self._daemon.rpc("port.attach", name=name, bridge="br0", mode=mode)
        return [self._daemon.socket_dir / name for name in names]

    def close(self, names):
        # restarted, it serves guests before it takes orders
        wait_until(self._daemon.answers, "an answer of sluiced")
        for name in names:
            self._daemon.rpc("port.detach", name=name, force=True)

    def restart(self):
        self._daemon.kill()
        self._daemon.process = Process(self._daemon.process.argv, self._daemon.process.log)

    def start_ms(self):
        """From nothing, with nothing remembered, to the first frame between two new ports."""
        daemon = self._daemon
        daemon.stop()
        shutil.rmtree(daemon.state_dir)
        daemon.state_dir.mkdir()
        began = time.monotonic()
        daemon.process = Process(daemon.process.argv, daemon.process.log)
        wait_until(daemon.answers, "an answer of sluiced", step_s=0.001)
        daemon.rpc("bridge.add", name="br0")
        with Pair(self.open(("start0", "start1"), "server"), client=False) as pair:
            pair.connect_both()
            pair.exchange()
            return (time.monotonic() - began) * 1e3


class OvsSwitch(Switch):
    name = "ovs-dpdk"

    def __init__(self, directory):
        super().__init__(directory)
        self._ovs = Ovs(directory, MTU, MEMORY_MIB)
        self._numbers = itertools.count(1)

    def start(self):
        self._ovs.start()

    def stop(self):
        self._ovs.stop()

    def open(self, names, mode):
        for name in names:
            self._ovs.add_port(name, next(self._numbers), self.directory / name, mode == "client")
        return [self.directory / name for name in names]

    def close(self, names):
        for name in names:
            self._ovs.vsctl("del-port", name)

    def recover(self):
        self._ovs.stop()
        self._ovs.start()

    def restart(self):
        self._ovs.vswitchd.kill()
        self._ovs.start_vswitchd()


class TestpmdSwitch(Switch):
    """librte_vhost as it is. Ports are there from the start."""

    name = "testpmd"
    adds_ports = can_be_killed = False

    def __init__(self, directory):
        super().__init__(directory)
        self._testpmd = Testpmd(directory)

    def stop(self):
        self._testpmd.stop()

    def open(self, names, mode):
        self._testpmd.start(names, client=mode == "client")
        return [self._testpmd.socket(name) for name in names]

    def close(self, names):
        self._testpmd.stop()


SWITCHES = {switch.name: switch for switch in (SluiceSwitch, OvsSwitch, TestpmdSwitch)}
