# SPDX-License-Identifier: BSD-3-Clause
"""Fake guests move between two hosts at rates that no TCG guest carries: every frame arrives, once,
and what sluiced writes into a guest is in its dirty log, byte by byte."""

import json
import os

import pytest

from frontend import frontend
from migration import Host, Underlay
from netns import backlog_drops, unsent_bytes

ROUNDS = int(os.environ.get("SLUICE_MIGRATION_ROUNDS", "1"))
SLACK_KIB = 256
# A guest that is being moved does not look at its rings for some milliseconds.
DEEP = ("--rx-queue-size", 8192, "--queue-size", 1024)
UPLINK_FRAMES = 8192  # the wire is not to lose what both switches on one CPU leave there for a while
MACS = ["02:53:4c:00:00:00", "02:53:4c:00:00:01"]  # sluice-frontend's


class Pair:
    """Guest 0 stays at a host, guest 1 moves from a to b."""

    def __init__(self, a, b, stays, **params):
        self.hosts = a, b
        self.stays = stays
        listens = "server:" if params.get("mode") == "client" else ""
        self.paths = [listens + stays.attach("stays", mac=MACS[0], **params),
                      listens + a.attach("moves", mac=MACS[1], **params)]
        self.target = listens + b.attach("moves", mac=MACS[1], incoming=True, **params)

    def run(self, rate, seconds, *args, may_lose=False):
        """Returns sluice-frontend's report, without what the wire lost: a switch that gets no CPU for long
        finds the ring full that its uplink's driver shares with the kernel; and the kernel, its own queue."""
        self.kernel_drops()
        backlog = backlog_drops()
        status, report = frontend("--rate", rate, "--duration", seconds, "--stop-after",
                                  int(rate * seconds / 4), "--migrate", self.target, *args,
                                  *self.paths)
        on_the_wire = self.kernel_drops(), backlog_drops() - backlog
        report["lost"] -= sum(on_the_wire)
        assert status == 0 and (may_lose or report["lost"] == 0), json.dumps(  # pytest would shorten it
            report | {"kernel": on_the_wire, "unsent": [unsent_bytes(host.sluiced.process.pid) for host in self.hosts], "sluice": [host.drops() for host in self.hosts]}, indent=1)
        return report

    def kernel_drops(self):
        return sum(host.kernel_drops() for host in self.hosts)

    def dropped(self, reason):
        return sum(reasons.get(reason, 0) for host in self.hosts
                   for reasons in host.drops().values())

    def detach(self):
        self.stays.detach("stays")
        for host in self.hosts:
            host.detach("moves")


@pytest.fixture(scope="module")
def hosts(scratch):
    underlay = Underlay()
    pair = []
    try:
        for name in "ab":
            pair.append(Host(name, underlay, scratch(), uplink_frames=UPLINK_FRAMES))
        yield pair
    finally:
        for host in pair:
            host.close()
        underlay.close()


@pytest.fixture
def make_pair(hosts):
    pairs = []

    def make(stays=0, **params):
        pairs.append(Pair(*hosts, hosts[stays], **params))
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.detach()


def check(report):
    assert report["migration"]["bytes_not_logged"] == 0, report["migration"]
    assert report["migration"]["bases_agree"], report["migration"]
    assert (report["lost"], report["dup"], report["corrupt"]) == (0, 0, 0), report


@pytest.mark.parametrize("stays", [0, 1], ids=["peer-at-source", "peer-at-destination"])
@pytest.mark.parametrize("ring", ["split", "packed"])
def test_100_000_a_second_to_a_moving_guest(make_pair, ring, stays):
    check(make_pair(stays).run(100_000, 2, "--ring", ring, *DEEP))


@pytest.mark.parametrize("mode", ["server", "client"])
@pytest.mark.parametrize("ring", ["split", "packed"])
def test_both_ways_with_two_queues(make_pair, ring, mode):
    pair = make_pair(queues=2, mode=mode)
    check(pair.run(25_000, 2, "--both", "--verify", "--size", "random:64-1514", "--queues", 2,
                   "--ring", ring, *DEEP))


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_a_million_a_second(make_pair, ring):
    """Until the guest moves; then as many as the uplink takes. A guest at this rate may not keep up
    on a busy machine: what its own full ring did not take is counted."""
    pair = make_pair(park_frames=1 << 18)
    report = pair.run(1_000_000, 1, "--ring", ring, "--rx-queue-size", 32768, "--queue-size", 1024,
                      may_lose=True)
    lost = report.pop("lost")
    check(report | {"lost": 0})
    assert lost == pair.dropped("ring_full"), (lost, report)


def test_memory_is_given_back(hosts):
    """Attached, migrated, detached again and again: after the 10th time nothing is added."""
    sizes = []
    for _ in range(20 if ROUNDS == 1 else 200):
        pair = Pair(*hosts, hosts[0])
        try:
            check(pair.run(10_000, 0.3, *DEEP))
        finally:
            pair.detach()
        sizes.append([memory_kib(host.sluiced.process.pid) for host in hosts])
    for early, late in zip(sizes[9], sizes[-1]):
        assert late <= early + SLACK_KIB, sizes


def memory_kib(pid):
    """Private memory that is there."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file.readlines()[1:])
    return sum(int(lines[f"Private_{kind}"].split()[0]) for kind in ("Clean", "Dirty"))
