# SPDX-License-Identifier: BSD-3-Clause
"""sluice-frontend: fake guests that send, receive and verify at speed."""

import json
import signal
import subprocess

from proc import Process
from sluice import FRONTEND
from wait import wait_until

RING_SIZE = 256  # sluice-frontend's default

def frontend(*args, deadline_s=60):
    """Runs sluice-frontend on CPU 0. Returns its exit status and its report."""
    done = subprocess.run([str(FRONTEND), "--json", "--cpu", "0", *map(str, args)],
                          capture_output=True, text=True, timeout=deadline_s)
    assert done.returncode in (0, 1) and done.stdout, (args, done)
    return done.returncode, json.loads(done.stdout)


def start_frontend(directory, *args):
    """Leaves sluice-frontend running until end_frontend(); its guests are connected."""
    log = directory / "frontend.log"
    process = Process([FRONTEND, "--json", "--cpu", "0", *args], log)
    process.wait_until(lambda: "ready" in process.output(), "sluice-frontend to be ready", 20)
    return process


def end_frontend(process):
    """Returns its report."""
    process.popen.send_signal(signal.SIGINT)
    process.wait(20)
    return json.loads(process.output().split("ready\n", 1)[1])


def check_books(sluiced, sender, receiver, report):
    """What a guest sent is what the other got, and what sluiced says it dropped on the way.
    `report`: the sender's; sluiced counts the first frames too, by which guests find each other."""

    def balanced():  # frames may be on their way to another lcore
        one, other = sluiced.stats(sender), sluiced.stats(receiver)
        return one["tx_packets"] == other["rx_packets"] + other["rx_dropped"] and (one, other)

    one, other = wait_until(balanced, f"all from {sender} to arrive at {receiver}")
    assert one["tx_dropped"] == sum(one["tx_dropped_by"].values())
    assert other["rx_dropped"] == sum(other["rx_dropped_by"].values())
    # On a busy machine the guest may go while frames of its last ring wait to be taken.
    waiting = max(report["tx"] - one["tx_packets"] - one["tx_dropped"], 0)
    assert waiting <= RING_SIZE, (one, report)
    dropped = one["tx_dropped"] + other["rx_dropped"]
    assert dropped + waiting >= report["lost"], (one, other, report)
