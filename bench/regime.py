# SPDX-License-Identifier: BSD-3-Clause
"""How far apart the two CPUs are while a trial runs.

Where a hypervisor places two virtual CPUs under one L3 cache, a cache line goes there and back in
some 55 ns; under two, in some 315 ns, and every vhost switch is 2 to 4 times slower. It may change
within seconds, so each trial is measured between two probes, and rounds in which the regime
changed are not compared. Virtual CPUs that wake each other are mostly placed near each other, and
such that are busy for long are spread: so they can be asked to go where one wants them.
"""

import contextlib
import json
import os
import signal
import time

from proc import Process
from shared import GENERATOR_CPU, SWITCH_CPU, run

PROBE_MS = (20, 200, 2000)  # longer where other programs want the CPUs, too
FAR_NS = 150
PULL_MS, PUSH_S = 800, 2


def regime_of(roundtrip_ns):
    return "near" if roundtrip_ns < FAR_NS else "far"


class Probe:
    def __init__(self, program):
        self._program = program
        self.tsc_hz = self.measure()["tsc_hz"]

    def measure(self):
        """{roundtrip_ns, tsc_hz}; nothing else may be polling on the two CPUs."""
        for ms in PROBE_MS:
            try:
                return json.loads(run([self._program, "roundtrip", SWITCH_CPU, GENERATOR_CPU, ms]))
            except RuntimeError as failure:
                why = failure
        raise why

    def roundtrip_ns(self):
        return self.measure()["roundtrip_ns"]

    def pull(self):
        """Asks the hypervisor to bring the two CPUs together; they must be free to sleep."""
        run([self._program, "pull", SWITCH_CPU, GENERATOR_CPU, PULL_MS])


class Spinners:
    """Keep both CPUs busy at SCHED_IDLE between trials, so that the hypervisor lets them be."""

    def __init__(self, program, log, wanted=True):
        self._process = None
        if wanted:
            self._process = Process([program, "spin", GENERATOR_CPU, SWITCH_CPU], log)

    @contextlib.contextmanager
    def paused(self):
        """During a trial both CPUs are busy anyway, and a spinner would show in its latency."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number):
        if self._process is not None and self._process.alive():
            os.kill(self._process.pid, number)

    def push(self):
        """Asks the hypervisor to take the two CPUs apart."""
        time.sleep(PUSH_S)

    def stop(self):
        if self._process is not None:
            self._process.kill()
