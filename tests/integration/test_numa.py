# SPDX-License-Identifier: BSD-3-Clause
"""Where the lcores run: as asked for, read back from the kernel, and put back when they are moved.

The last word is always the kernel's: /proc/PID/task/TID, not what sluiced says of itself.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from cpuset import Cpuset
from frames import frame
from rpc import Connection
from sluice import MEMORY_MIB, SLUICED
from vhostguest import VhostGuest
from wait import wait_until

ALL = ",".join(map(str, range(os.cpu_count())))
FAIL_DEADLINE_S = 10


def workers(daemon):
    """{name: thread id} of the forwarding threads."""
    tasks = Path(f"/proc/{daemon.process.pid}/task")
    names = {(task / "comm").read_text().strip(): int(task.name) for task in tasks.iterdir()}
    return {name: tid for name, tid in names.items() if re.fullmatch(r"sluice/\d+", name)}


def cpus_of(daemon, tid):
    """The CPUs on which a thread may run."""
    status = Path(f"/proc/{daemon.process.pid}/task/{tid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("Cpus_allowed_list:")]
    return line.split()[1]


def allowed(daemon, name):
    return cpus_of(daemon, workers(daemon)[name])


def wait_home(daemon, name, cpu):
    wait_until(lambda: allowed(daemon, name) == cpu, f"{name} on CPU {cpu} alone")


def start_fails(directory, lcores):
    """The sentence that a sluiced leaves which must not start."""
    (directory / "empty.conf").touch()
    done = subprocess.run([SLUICED, "-c", directory / "empty.conf", "--control", directory / "ctl",
                           "--socket-dir", directory, "--state-dir", "none", "--memory",
                           str(MEMORY_MIB), "--lcores", lcores],
                          capture_output=True, text=True, timeout=FAIL_DEADLINE_S)
    assert done.returncode in (1, 2), done
    return done.stderr


@pytest.fixture
def daemon(start_sluiced):
    return start_sluiced()


@pytest.fixture
def events(daemon):
    with Connection(daemon.control) as connection:
        connection.call("events.subscribe", types=["lcore.moved", "lcore.returned"])
        yield connection


@pytest.fixture
def cpuset():
    group = Cpuset(ALL)
    yield group
    group.close()


# ---- the start

def test_lcores_are_pinned(start_sluiced):
    daemon = start_sluiced(lcores="0-1")
    assert sorted(workers(daemon)) == ["sluice/1", "sluice/2"]
    assert [allowed(daemon, name) for name in ("sluice/1", "sluice/2")] == ["0", "1"]
    for lcore in daemon.rpc("lcore.list"):
        assert lcore["affinity"] == str(lcore["cpu"]) and lcore["away"] is None
        assert lcore["naps"] >= 0 and lcore["sleeps"] >= 0


def test_count_per_node(start_sluiced):
    """One on each node with memory; this machine has one."""
    daemon = start_sluiced(lcores="auto:1")
    (lcore,) = daemon.rpc("lcore.list")
    assert allowed(daemon, "sluice/1") == str(lcore["cpu"])


@pytest.mark.parametrize("lcores,words", [
    (f"auto:{os.cpu_count()}", "memory node 0"),
    ("auto:0,0,0,0,0,0,0,1", "memory node 7"),
    ("auto:0", "no CPU at all"),
    ("auto:x", "auto:2,0,1"),
])
def test_count_that_is_not_there(directory, lcores, words):
    assert words in start_fails(directory, lcores)


def test_cpu_that_the_cpuset_forbids(directory, cpuset):
    cpuset.set("0")
    with cpuset.entered():
        sentence = start_fails(directory, "1")
    assert "CPU 1" in sentence and "cpuset" in sentence


def test_cpus_that_the_cpuset_allows(start_sluiced, cpuset):
    """As the cgroup says, so says numa show."""
    cpuset.set("1")
    with cpuset.entered():
        daemon = start_sluiced(lcores="auto")
    (node,) = daemon.rpc("numa.show")["nodes"]
    assert node["cpus"] == f"0-{os.cpu_count() - 1}"
    assert node["cpus_allowed"] == cpuset.effective() == "1"
    assert "sluiced may use 1\n" in daemon.ctl("numa", "show").stdout


# ---- later

def test_lcore_that_somebody_moves_comes_back(daemon, events):
    os.sched_setaffinity(workers(daemon)["sluice/1"], {0})
    moved = events.next_event()
    assert (moved["type"], moved["lcore"], moved["cpu"]) == ("lcore.moved", 1, 1)
    assert (moved["reason"], moved["affinity"]) == ("taken", "0") and "CPU 1" in moved["note"]
    back = events.next_event()
    assert (back["type"], back["lcore"], back["cpu"]) == ("lcore.returned", 1, 1)
    assert allowed(daemon, "sluice/1") == "1"


def test_all_threads_are_kept_in_their_places(daemon, events):
    """A kernel before 6.2 lets all of them run anywhere when the process gets a cpuset."""
    tids = [int(tid) for tid in os.listdir(f"/proc/{daemon.process.pid}/task")]
    assert len(tids) > 2
    for tid in tids:
        os.sched_setaffinity(tid, {0, 1})
    events.next_event(lambda event: event["type"] == "lcore.returned")
    lcore = workers(daemon)["sluice/1"]
    wait_until(lambda: all(cpus_of(daemon, tid) == ("1" if tid == lcore else "0") for tid in tids),
               "every thread in its place")


def test_cpuset_that_shrinks_and_grows(daemon, events, cpuset):
    """The lcore goes on elsewhere, which is said and shown, and comes back with its CPU.

    A CPU that really goes offline needs a machine that is ours alone: test_two_nodes.py.
    """
    daemon.rpc("bridge.add", name="b")
    guests = [VhostGuest.at(daemon.rpc("port.attach", name=name, bridge="b")["socket"])
              for name in "xy"]

    def frames_pass():
        for a, b in (guests, reversed(guests)):
            sent = frame("02:00:00:00:00:01", "02:00:00:00:00:02")
            a.send(sent)
            assert b.recv() == sent

    for name in "xy":
        daemon.wait_state(name, "up")
    frames_pass()
    cpuset.add(daemon.process.pid)
    wait_home(daemon, "sluice/1", "1")
    cpuset.set("0")
    try:
        # A kernel before 6.2 has moved it already when the process came into the cpuset.
        moved = events.next_event(lambda event: event.get("reason") == "forbidden")
        assert (moved["type"], moved["lcore"], moved["cpu"]) == ("lcore.moved", 1, 1)
        assert moved["affinity"] == "0"
        (lcore,) = daemon.rpc("lcore.list")
        assert (lcore["away"], lcore["affinity"]) == ("forbidden", "0")
        assert lcore["note"] == moved["note"]
        assert lcore["note"] in daemon.rpc("numa.show")["notes"]
        for command in (["lcore", "list"], ["numa", "show"]):
            assert moved["note"] in daemon.ctl(*command).stdout
        frames_pass()
        assert daemon.rpc("lcore.list")[0]["cpu_now"] == 0
    finally:
        cpuset.set(ALL)
    back = events.next_event()
    assert (back["type"], back["lcore"], back["cpu"]) == ("lcore.returned", 1, 1)
    assert allowed(daemon, "sluice/1") == "1"
    (lcore,) = daemon.rpc("lcore.list")
    assert lcore["away"] is None and lcore["affinity"] == "1"
    assert daemon.rpc("numa.show")["notes"] == []
    frames_pass()
    for guest in guests:
        guest.close()


# ---- numa show

def test_numa_show(daemon):
    """What the contract names, and what people read."""
    daemon.rpc("bridge.add", name="b")
    guest = VhostGuest.at(daemon.rpc("port.attach", name="up", bridge="b", queues=2)["socket"],
                          queues=2)
    daemon.rpc("port.attach", name="lonely", bridge="b")
    daemon.wait_state("up", "up")
    shown = daemon.rpc("numa.show")
    (node,) = shown["nodes"]
    assert node["node"] == 0 and node["memory_kib"] > 0
    assert node["distances"] == [{"node": 0, "distance": 10}]
    assert [lcore["lcore"] for lcore in node["lcores"]] == [1]
    for pages in node["hugepages"]:
        assert pages["size_kib"] > 0 and 0 <= pages["free"] <= pages["total"]
    (pool,) = node["mempools"]
    assert pool["bytes"] == pool["mbufs"] * pool["mbuf_bytes"]
    assert (node["ports"], shown["ports_on_no_node"]) == (["up"], ["lonely"])
    assert [(queue["queue"], queue["lcore"]) for queue in node["queues"]] == [(0, 1), (1, 1)]
    assert node["queues_polled_from_another_node"] == [] and shown["notes"] == []
    text = daemon.ctl("numa", "show").stdout
    for words in ("node 0\n", "CPU 1, ", "sleeps when idle, ", "up:0-1 by lcore 1\n",
                  "on no node (no guest yet, or a device without one): lonely\n"):
        assert words in text, text
    guest.close()
