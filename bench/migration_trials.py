# SPDX-License-Identifier: BSD-3-Clause
"""A guest that migrates to and fro between two hosts with one kind of switch, and OVS-DPDK as one."""

import contextlib
import itertools
import os
import re
import time
from dataclasses import asdict
from pathlib import Path

from frontend import end_frontend, start_frontend
from guest import Guest
from migration import GuestDied, Host, MigratingGuest, Underlay
from peers import START_DEADLINE_S, Ovs
from proc import Process
from shared import GENERATOR_CPU
from station import Streams
from wait import wait_until

OVS_MEMORY_MIB = 256
MTU = 1500
QUIET_CPU, BUSY_CPU = 0, 1
QUIET_S, BOOT_S = 4, 1.2  # about as long as migrations there and back, and one, take
OTHER_MAC = "52:54:00:00:08:02"
_numbers = itertools.count()


class _Ovs(Ovs):
    """In a namespace that is there, since its uplink is; its core sleeps when it is idle, as sluice's
    does: two that poll cannot share one."""

    def __init__(self, directory, netns):
        super().__init__(directory, MTU, OVS_MEMORY_MIB)
        self.netns = netns

    def start_vswitchd(self):
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:pmd-maxsleep=100")
        self.vswitchd = Process(
            ["taskset", "-c", GENERATOR_CPU, self.VSWITCHD, f"unix:{self.directory}/db.sock",
             f"--unixctl={self.directory}/vswitchd.ctl"],
            self.directory / "vswitchd.log", netns=self.netns.name, env=self._env)


class OvsHost(Host):
    """A hypervisor with OVS-DPDK: it knows nothing of MACs, nor of guests that are to come."""

    switch = "OVS-DPDK"
    settings = ()  # of other_config

    def start_switch(self):
        self._numbers = itertools.count(2)
        self.ovs = _Ovs(self.directory, self.netns)
        self.ovs.start()
        for setting in self.settings:
            self.ovs.vsctl("set", "Open_vSwitch", ".", f"other_config:{setting}")
        self.ovs.vsctl("add-port", "br0", "up", "--", "set", "Interface", "up", "type=dpdk",
                       f"options:dpdk-devargs=\"{self.uplink}\"")

    def attach(self, name, mode="server", **_):
        path = self.directory / name
        self.ovs.add_port(name, next(self._numbers), path, client=mode == "client")
        return path

    def detach(self, name):
        self.ovs.vsctl("del-port", name)

    def wait_guest(self, name, deadline_s=START_DEADLINE_S):
        def is_up():
            state = self.ovs.vsctl("get", "Interface", name, "link_state", "status")
            return state.startswith("up") and re.search("vring_0_size", state)

        wait_until(is_up, f"port {name} to be up", deadline_s, step_s=0.1)

    def counters(self, name):
        return dict.fromkeys(("parked", "unparked", "redirected", "dropped"), 0)

    def stop_switch(self):
        self.ovs.stop()


class TunedOvsHost(OvsHost):
    """Looks at its flows five times as often as by default; people who migrate much do this."""

    switch = "OVS-DPDK, max-revalidator=100"
    settings = ("max-revalidator=100",)


@contextlib.contextmanager
def on_cpus(*cpus):
    """What this thread starts meanwhile may use these."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class QuietHost(Host):
    """The first host's lcore has a CPU that nothing but the neighbours' generator shares, and goes before
    that; all else is on the other one. So the neighbours' latency is the switch's, not the scheduler's."""

    def start_switch(self):
        if self.name != "a":
            super().start_switch()
            return
        with on_cpus(QUIET_CPU, BUSY_CPU):
            super().start_switch(lcores=str(QUIET_CPU))
        (lcore,) = (int(task.name) for task in Path(f"/proc/{self.sluiced.process.pid}/task").iterdir()
                    if (task / "comm").read_text() == "sluice/1\n")
        os.sched_setscheduler(lcore, os.SCHED_FIFO, os.sched_param(1))


HOSTS = {"sluice": Host, "sluice-quiet": QuietHost, "ovs": OvsHost, "ovs-tuned": TunedOvsHost}


@contextlib.contextmanager
def migrating_guest(switch, image, directory, **options):
    """(guest, hosts, a station at the underlay); the guest has booted on the first host."""
    with contextlib.ExitStack() as stack:

        def owned(thing):
            stack.callback(thing.close)
            return thing

        underlay = owned(Underlay())
        hosts = []
        for name in "ab":
            home = directory / name
            home.mkdir(parents=True)
            hosts.append(owned(HOSTS[switch](name, underlay, home)))
        station = owned(underlay.station(1))
        guest = owned(MigratingGuest(hosts[0], image, **options))
        guest.wait_booted()
        yield guest, hosts, station


class Trials:
    """`rounds` migrations there and back, each with a stream of its own."""

    def __init__(self, switch, mode, image, directory):
        self.switch = switch
        self.mode = mode
        self.image = image
        self.directory = directory
        self.title = f"{HOSTS[switch].switch}, {mode} mode"
        self.results = []
        self.deaths = 0

    def run(self, rounds, pps, say):
        while len(self.results) < 2 * rounds:
            try:
                self._run_guest(rounds, pps, say)
            except GuestDied as death:
                self.deaths += 1
                say(f"{self.title}: the guest's kernel died: {str(death).splitlines()[-1]}")
                if self.deaths > 1 + rounds / 10:
                    raise

    def _run_guest(self, rounds, pps, say):
        """As many as are missing, or until the guest dies."""
        home = self.directory / str(self.deaths)
        with migrating_guest(self.switch, self.image, home, mode=self.mode) as (guest, hosts, station):
            for number in itertools.count(1):
                self.results.append(migrate(guest, hosts[number % 2], station, pps))
                say(f"{self.title}: {self.results[-1]}")
                if len(self.results) >= 2 * rounds:
                    return


def migrate(guest, host, station, pps):
    """Once, under a stream to the guest and back. Returns its figures."""
    streams = Streams(guest, guest.address, [station], echo=pps)
    streams.wait_flowing()
    try:
        migrated = guest.migrate(host)
        streams.wait_flowing()
        (flow,) = streams.end().values()
    except AssertionError:
        guest.check_console()
        raise
    guest.check_console()
    return {**asdict(flow), "lost": flow.lost, **asdict(migrated)}


def neighbours(image, directory, rounds, pps, say):
    """What two other guests of the source's host notice, with sluice: rounds of [stays, boots, moves], each
    the report of sluice-frontend: the guest with the stream stays, or does while QEMUs start on the other
    host as they do for a migration, or moves there and back."""
    done = []
    with on_cpus(BUSY_CPU), migrating_guest("sluice-quiet", image, directory) as (guest, hosts, station):
        paths = [hosts[0].attach(name) for name in ("talker", "listener")]

        def watched(doing):
            streams = Streams(guest, guest.address, [station], echo=pps)
            streams.wait_flowing()
            with on_cpus(QUIET_CPU, BUSY_CPU):
                pair = start_frontend(directory, "--rate", str(pps), "--duration", "60", *paths)
            try:
                doing()
                report = end_frontend(pair)
            finally:
                pair.kill()
                pair.log.unlink()
            streams.end()
            return report

        def boot():
            for _ in hosts:
                path = hosts[1].attach("other")
                other = Guest(f"other{next(_numbers)}", directory, *image, path, OTHER_MAC)
                time.sleep(BOOT_S)
                other.close()
                hosts[1].detach("other")

        def move():
            for host in (hosts[1], hosts[0]):
                guest.migrate(host)

        for _ in range(rounds):
            done.append([watched(doing) for doing in (lambda: time.sleep(QUIET_S), boot, move)])
            say("two other guests, p99 in us while it stays, others boot, it moves: " +
                ", ".join(f"{report['latency_us']['p99']:.0f}" for report in done[-1]))
    return done
