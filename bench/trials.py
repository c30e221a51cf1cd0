# SPDX-License-Identifier: BSD-3-Clause
"""Rounds of trials. In a round every peer runs the same scenario, one after the other, each between
two probes of the regime. A round in which the regime changed is measured again, as far as the limits
below go: a run is to come to an end on a host that never rests."""

import contextlib
import statistics

from generator import TrialFailed, was_bottleneck
from peers import PORTS
from regime import regime_of

REPEATS_MAX, REPEATS_OF_RUN_MAX = 2, 6
WARM_UPS_MAX, WARM_UP_S = 3, 0.2
FAILURES = (TrialFailed, RuntimeError, AssertionError, OSError)


class Bench:
    """Owns nothing: peers, generator, probe and spinners are the caller's."""

    def __init__(self, peers, generator, probe, spinners, seconds, say):
        self.peers = peers
        self.generator = generator
        self.probe = probe
        self.spinners = spinners
        self.seconds = seconds
        self.say = say
        self.trials = []
        self._repeats_left = REPEATS_OF_RUN_MAX

    def run_scenario(self, scenario, rounds):
        """Measures until `rounds` rounds of one regime are there. Peers must be paused."""
        rate_pps = self._half_rate(scenario) if scenario.half_of else None
        kept = {"near": 0, "far": 0}
        for number in range(rounds + REPEATS_MAX):
            if max(kept.values()) >= rounds:
                return
            if number >= rounds:
                if self._repeats_left == 0:
                    return
                self._repeats_left -= 1
            trials = [self._trial(peer, scenario, number, rate_pps)
                      for peer in self._order(number)]
            regimes = {trial["regime"] for trial in trials}
            steady = len(regimes) == 1 and "changed" not in regimes
            for trial in trials:
                trial["kept"] = steady
            if steady:
                kept[regimes.pop()] += 1
            self.trials += trials
            self._say_round(scenario, number, trials)

    def warm_up(self, scenario):
        """Has every peer forward once, unrecorded: OVS still sorts out its memory when the first
        guests connect, and may turn them away. What goes on failing shows in the trials."""
        for peer in self.peers:
            for _ in range(WARM_UPS_MAX):
                with contextlib.suppress(*FAILURES):
                    self._measure(peer, scenario, WARM_UP_S)
                    break

    def _order(self, number):
        """Each peer is the first in turn."""
        first = number % len(self.peers)
        return self.peers[first:] + self.peers[:first]

    def _half_rate(self, scenario):
        """Half of what OVS did in the scenario's model; without OVS, of the slowest peer."""
        rates = {}
        for trial in self.trials:
            if trial["scenario"] == scenario.half_of and "pps" in trial:
                rates.setdefault(trial["peer"], []).append(trial["pps"])
        medians = {peer: statistics.median(pps) for peer, pps in rates.items()}
        if not medians:
            return 500e3
        return medians.get("ovs-normal", min(medians.values())) / 2

    def _trial(self, peer, scenario, number, rate_pps):
        trial = {"scenario": scenario.name, "round": number, "peer": peer.name,
                 "before_ns": self.probe.roundtrip_ns(), "rate_pps": rate_pps}
        try:
            trial.update(self._measure(peer, scenario, self.seconds, rate_pps))
        except FAILURES as failure:
            trial["error"] = str(failure).splitlines()[0]
        trial["after_ns"] = self.probe.roundtrip_ns()
        before, after = regime_of(trial["before_ns"]), regime_of(trial["after_ns"])
        trial["regime"] = before if before == after else "changed"
        return trial

    def _measure(self, peer, scenario, seconds, rate_pps=None):
        if not peer.process.alive():
            peer.stop()
            peer.start(tso=scenario.tso)
        peer.resume()
        try:
            with self.spinners.paused():
                peer.mark()
                result = self.generator.run(peer, PORTS, scenario, seconds, rate_pps)
                own_cycles = peer.cycles_per_packet()
        finally:
            if peer.process.alive():
                peer.pause()
        measured = {key: result[key] for key in ("pps", "gbps", "tx", "rx", "lost")}
        measured["generator"] = result["generator"]
        measured["own_cycles_per_packet"] = own_cycles
        if rate_pps is not None:
            measured["latency_us"] = result["latency_us"]
            measured["generator_bound"] = False
        else:
            # a poll-mode core that always finds work spends all of its cycles on what it delivers
            measured["cycles_per_packet"] = self.probe.tsc_hz / result["pps"]
            measured["generator_bound"] = was_bottleneck(result["generator"])
        return measured

    def _say_round(self, scenario, number, trials):
        figures = []
        for trial in sorted(trials, key=lambda t: t["peer"]):
            if "error" in trial:
                text = f"failed ({trial['error']})"
            elif "latency_us" in trial:
                text = f"{trial['latency_us']['p50']:.2f} us"
            elif scenario.in_gbps:
                text = f"{trial['gbps']:.1f} Gbit/s"
            else:
                text = f"{trial['pps'] / 1e6:.2f} Mpps"
            figures.append(f"{trial['peer']} {text}")
        regimes = {trial["regime"] for trial in trials}
        regime = regimes.pop() if len(regimes) == 1 else "changed"
        dropped = "" if trials[0]["kept"] else ": dropped"
        self.say(f"{scenario.title}, round {number + 1} ({regime}{dropped}): {', '.join(figures)}")
