# SPDX-License-Identifier: BSD-3-Clause
"""A QEMU that was taken over: what it shares with sluiced it can take away, or make a trap of.

Each kind of harm must end in the same way: the front-end is cut off, the operator is told why, the
other guests go on, and the port serves its next front-end.
"""

import json
import subprocess

import pytest

from frontend import frontend
from rpc import Connection
from sluice import FRONTEND

SET_VRING_CALL = 13

MEMORY_GONE = ("port.memory_gone", {})
CALL_BLOCKED = ("peer.bad_message", {"request": SET_VRING_CALL})

KINDS = {
    "truncated-memory": MEMORY_GONE,
    "truncated-buffers": MEMORY_GONE,
    "truncated-log": MEMORY_GONE,
    "full-call": CALL_BLOCKED,
}


@pytest.fixture(params=["direct", "library"])
def ports(request, sluiced):
    """Two ports for the hostile one and who sends to it; two for who is not concerned."""
    paths = []
    for bridge, names in (("harm", "ab"), ("calm", "cd")):
        sluiced.rpc("bridge.add", name=bridge)
        paths += [sluiced.rpc("port.attach", name=name, bridge=bridge,
                              datapath=request.param)["socket"] for name in names]
    yield paths[:2], paths[2:]
    for name in "abcd":
        sluiced.rpc("port.detach", name=name)
    for bridge in ("harm", "calm"):
        sluiced.rpc("bridge.del", name=bridge)


@pytest.fixture
def subscription(sluiced):
    with Connection(sluiced.control, deadline_s=20) as connection:
        connection.call("events.subscribe")
        yield connection


@pytest.fixture
def bystanders(sluiced, ports):
    """Frames between the two other guests, verified to the last."""
    with open(sluiced.directory / "calm.json", "w+", encoding="utf-8") as result:
        calm = subprocess.Popen(
            [str(FRONTEND), "--json", "--both", "--verify", "--rate", "500", "--duration", "0",
             "--cpu", "0", "--memory", "plain", *ports[1]],
            stdout=result, stderr=subprocess.DEVNULL)
        try:
            for name in "cd":
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


@pytest.mark.parametrize("ring", ["split", "packed"])
@pytest.mark.parametrize("kind", KINDS)
def test_front_end_is_cut_off_and_nobody_else_is(sluiced, ports, bystanders, subscription, kind,
                                                 ring):
    hostile, _ = ports
    pid = sluiced.process.pid
    for _ in range(2):
        done = subprocess.run(
            [str(FRONTEND), "--json", "--hostile", kind, "--ring", ring, "--duration", "10",
             "--memory", "plain", "--wait", "10", "--cpu", "0", *hostile],
            capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["connection"] == "closed"
        event, details = KINDS[kind]
        told = subscription.next_event(lambda e, event=event: e["type"] == event)
        assert told["port"] == "a" and told.items() >= details.items(), told
        for name in "cd":
            sluiced.wait_stat(name, "rx_packets", deadline_s=10,
                              at_least=sluiced.stats(name)["rx_packets"] + 20)
        assert bystanders.poll() is None
    status, report = frontend("--both", "--verify", "--rate", "1k", "--count", 50, "--memory",
                              "plain", "--ring", ring, *hostile)
    assert status == 0 and report["corrupt"] == 0, report
    assert sluiced.process.pid == pid and sluiced.process.alive()


def test_hugepages_that_go(sluiced, ports, subscription):
    """The same with the pages that guests have."""
    done = subprocess.run(
        [str(FRONTEND), "--json", "--hostile", "truncated-memory", "--duration", "10",
         "--memory", "huge", "--cpu", "0", *ports[0]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["connection"] == "closed"
    assert subscription.next_event(lambda e: e["type"] == "port.memory_gone")["port"] == "a"
    status, report = frontend("--both", "--verify", "--rate", "1k", "--count", 50, *ports[0])
    assert status == 0 and report["corrupt"] == 0, report
