# SPDX-License-Identifier: BSD-3-Clause
"""sluice-frontend as the guests: verified payload at speed, every ring, and hostile guests."""

import json
import os
import subprocess

import pytest

from frontend import check_books, frontend
from sluice import FRONTEND
from wait import wait_until

SECONDS = 1
COUNT = 10000  # frames; a rate and a number, as a busy machine takes longer for them
MTU = 9702


def hostile_kinds():
    if not FRONTEND.exists():
        return []
    done = subprocess.run([str(FRONTEND), "--hostile", "list"], capture_output=True, text=True,
                          timeout=10, check=True)
    return [line.split()[0] for line in done.stdout.splitlines()]


@pytest.fixture
def ports(sluiced):
    """Makes ports on a bridge; their socket paths. Gone afterwards."""
    sluiced.rpc("bridge.add", name="front")

    def make(*names, **params):
        return [sluiced.rpc("port.attach", name=name, bridge="front", mtu=MTU, **params)["socket"]
                for name in names]

    yield make
    for port in sluiced.rpc("port.list"):
        if port["bridge"] == "front":
            sluiced.rpc("port.detach", name=port["name"])
    sluiced.rpc("bridge.del", name="front")


RINGS = {
    "split": [],
    "packed": ["--ring", "packed"],
    "two": ["--layout", "two"],
    "chain": ["--layout", "chain", "--segments", 5],
    "indirect": ["--layout", "indirect"],
    "packed-indirect": ["--ring", "packed", "--layout", "indirect", "--segments", 3],
    "packed-chain": ["--ring", "packed", "--layout", "chain", "--segments", 3],
    "event-idx": ["--event-idx", "--calls"],
    "packed-event-idx": ["--ring", "packed", "--event-idx", "--calls"],
    "in-order": ["--in-order"],
    "not-mergeable": ["--no-mergeable"],
    "small-ring": ["--queue-size", 64, "--shuffle"],
    "regions": ["--regions", 8],
    "calls": ["--calls"],
}


@pytest.mark.parametrize("ring", RINGS)
def test_random_sizes_both_ways(sluiced, ports, ring):
    paths = ports("a", "b")
    status, report = frontend("--both", "--verify", "--size", "random:64-1514", "--rate", "20k",
                              "--count", COUNT, *RINGS[ring], *paths)
    assert status == 0, report["why"]
    assert (report["corrupt"], report["dup"], report["malformed"]) == (0, 0, 0), report
    assert (report["missed_calls"], report["tx"]) == (0, 2 * COUNT), report
    assert report["rx"] > 0, report
    for one, other in ((0, 1), (1, 0)):
        check_books(sluiced, "ab"[one], "ab"[other], report["guests"][one])
    for guest in "ab":
        wrong = sluiced.stats(guest)["tx_dropped_by"]
        assert wrong["bad_frame"] == wrong["bad_ring"] == wrong["mtu"] == 0, wrong


@pytest.mark.parametrize("size", ["64", "1514", "9702", "64,9000,128,4000"])
def test_as_fast_as_possible(sluiced, ports, size):
    """Full rings all the time: what is lost is in ring_full."""
    paths = ports("a", "b")
    status, report = frontend("--both", "--verify", "--size", size, "--duration", SECONDS, *paths)
    assert status == 0 and report["corrupt"] == 0, report["why"]
    for one, other in ((0, 1), (1, 0)):
        check_books(sluiced, "ab"[one], "ab"[other], report["guests"][one])
    for guest in "ab":
        stats = sluiced.stats(guest)
        assert stats["rx_dropped"] == stats["rx_dropped_by"]["ring_full"], stats["rx_dropped_by"]
        assert stats["tx_dropped"] == 0, stats["tx_dropped_by"]


@pytest.mark.parametrize("offload", ["tso", "csum", "none"])
def test_large_sends(ports, offload):
    """TCP frames of 64 KiB, whole or cut, verified."""
    paths = ports("a", "b")
    status, report = frontend("--verify", "--size", "60000", "--gso-size", 1448, "--rate", "500",
                              "--rx-offload", offload, "--count", 500, *paths)
    assert status == 0, report["why"]
    assert report["corrupt"] == 0 and report["rx"] > 0, report


def test_checksum_requests(ports):
    paths = ports("a", "b")
    for offload in ("csum", "none"):
        status, report = frontend("--both", "--verify", "--csum", "--size", "random", "--rate",
                                  "10k", "--rx-offload", offload, "--count", COUNT, *paths)
        assert status == 0 and report["corrupt"] == 0, report


def test_four_queue_pairs(sluiced, ports):
    paths = ports("a", "b", queues=4)
    status, report = frontend("--both", "--verify", "--queues", 4, "--flows", 16, "--rate", "10k",
                              "--count", COUNT, *paths)
    assert status == 0 and report["corrupt"] == 0 and report["rx"] > 0, report
    queues = sluiced.rpc("port.stats", name="a")["queues"]
    assert len(queues) == 4 and all(queue["tx_packets"] for queue in queues), queues


def test_rings_stop_and_go_on(ports):
    """GET_VRING_BASE in mid-traffic: the answer is right, and nothing comes twice."""
    paths = ports("a", "b")
    for ring in ("split", "packed"):
        status, report = frontend("--both", "--verify", "--ring", ring, "--stop-after", 2000,
                                  "--rate", "10k", "--count", COUNT, *paths)
        assert status == 0, report
        assert (report["corrupt"], report["dup"]) == (0, 0), report


def test_dirty_log(ports):
    paths = ports("a", "b")
    status, report = frontend("--both", "--verify", "--log", "--rate", "10k", "--count",
                              COUNT, *paths)
    assert status == 0 and report["corrupt"] == 0, report


def test_client_mode(ports):
    paths = [f"server:{path}" for path in ports("a", "b", mode="client")]
    status, report = frontend("--both", "--verify", "--rate", "10k", "--count", COUNT, *paths)
    assert status == 0 and report["corrupt"] == 0, report


def test_256_guests(sluiced, ports):
    """254 are idle and cost no frame, two talk meanwhile."""
    paths = ports(*(f"idle{i}" for i in range(254)))
    idle = subprocess.Popen([str(FRONTEND), "--idle", "--duration", "0", "--memory", "plain",
                             "--calls", "--cpu", "0", *paths], stderr=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: all(port["state"] == "up" for port in sluiced.rpc("port.list")),
                   "254 guests", 30)
        status, report = frontend("--both", "--verify", "--rate", "2k", "--count", 1000,
                                  *ports("a", "b"))
        assert status == 0 and report["corrupt"] == 0, report
    finally:
        idle.terminate()
        idle.wait(10)


# ---- hostile guests

@pytest.fixture(scope="module")
def bystanders(sluiced):
    """Two guests that send to each other for as long as hostile ones are about."""
    sluiced.rpc("bridge.add", name="calm")
    paths = [sluiced.rpc("port.attach", name=name, bridge="calm")["socket"]
             for name in ("calm0", "calm1")]
    with open(sluiced.directory / "calm.json", "w+", encoding="utf-8") as result:
        calm = subprocess.Popen(
            [str(FRONTEND), "--json", "--both", "--verify", "--rate", "200", "--duration", "0",
             "--calls", "--cpu", "0", "--memory", "plain", *paths],
            stdout=result, stderr=subprocess.DEVNULL)
        try:
            for name in ("calm0", "calm1"):
                sluiced.wait_stat(name, "rx_packets", at_least=10, deadline_s=20)
            yield calm
            calm.terminate()
            assert calm.wait(20) == 0
            result.seek(0)
            report = json.load(result)
            assert (report["corrupt"], report["dup"], report["reconnects"]) == (0, 0, 0), report
        finally:
            if calm.poll() is None:
                calm.kill()
                calm.wait()
    for name in ("calm0", "calm1"):
        sluiced.rpc("port.detach", name=name)
    sluiced.rpc("bridge.del", name="calm")


@pytest.mark.parametrize("ring", ["split", "packed"])
@pytest.mark.parametrize("kind", hostile_kinds())
def test_hostile_guest_harms_nobody_else(sluiced, bystanders, ports, kind, ring):
    """sluiced lives, the bystanders' frames go on, and the port serves the next guest."""
    paths = ports("a", "b")
    before = sluiced.process.pid, len(os.listdir(f"/proc/{sluiced.process.pid}/fd"))
    subprocess.run([str(FRONTEND), "--json", "--hostile", kind, "--ring", ring, "--duration",
                    "0.2", "--memory", "plain", "--wait", "5", "--cpu", "0", *paths],
                   capture_output=True, timeout=60)
    assert sluiced.process.alive() and sluiced.answers(), sluiced.process.output()[-2000:]
    for name in ("calm0", "calm1"):
        sluiced.wait_stat(name, "rx_packets", deadline_s=10,
                          at_least=sluiced.stats(name)["rx_packets"] + 5)
    assert bystanders.poll() is None
    status, report = frontend("--both", "--verify", "--rate", "1k", "--count", 50, "--memory",
                              "plain", "--ring", ring, *paths)
    assert status == 0 and report["corrupt"] == 0, report
    wait_until(lambda: len(os.listdir(f"/proc/{before[0]}/fd")) <= before[1] + 8,
               "the hostile guest's descriptors to be closed")
