# SPDX-License-Identifier: BSD-3-Clause
"""Runs sluice-frontend, two guests that send to each other, and understands its result."""

import json
import subprocess

from shared import GENERATOR_CPU

WAIT_S = 5
TX_FULL_ENOUGH = 0.5
RX_LATE_TOO_OFTEN = 0.05


class TrialFailed(Exception):
    """No figure: in one sentence, why."""


class Generator:
    def __init__(self, program):
        self.program = str(program)

    def run(self, peer, ports, options, seconds, rate_pps=None):
        """One trial against a running peer. Returns the generator's JSON result."""
        prefix = "server:" if peer.generator_listens else ""
        argv = ["taskset", "-c", str(GENERATOR_CPU), self.program, "--json",
                "--cpu", str(GENERATOR_CPU), "--duration", str(seconds), "--wait", str(WAIT_S),
                *options]
        if rate_pps is not None:
            argv += ["--rate", f"{rate_pps:.0f}"]
        argv += [f"{prefix}{peer.socket(port)}" for port in ports]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False,
                                  timeout=seconds + 2 * WAIT_S + 10)
        except subprocess.TimeoutExpired:
            raise TrialFailed("the generator did not come to an end") from None
        try:
            result = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise TrialFailed(done.stderr.strip()[-300:] or f"status {done.returncode}") from None
        if not result["passed"]:
            raise TrialFailed(result["why"])
        return result


def was_bottleneck(generator):
    """A switch that is slower than the generator leaves the transmit rings full, and never finds a
    receive ring empty since nobody took frames out. `generator`: that part of a result."""
    return (generator["tx_full_share"] < TX_FULL_ENOUGH or
            generator["rx_late_share"] > RX_LATE_TOO_OFTEN)
