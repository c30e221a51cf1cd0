# SPDX-License-Identifier: BSD-3-Clause
"""Rounds of trials. In a round every entrant runs the same scenario, one after the other, each between
two probes of the regime. Before a trial the CPUs are brought near each other, as far as the hypervisor
lets them (or far, where that is asked for), and a trial in which they did not stay is measured again:
a few times, for a run is to come to an end on a host that never rests. Only rounds of one regime
are kept."""

import contextlib
import statistics
import time
from dataclasses import dataclass

from generator import TrialFailed, was_bottleneck
from regime import regime_of
from rpc import Refused
from scenarios import Variant

TRIES_OF_TRIAL = 3
VAIN_MOVES_MAX = 10  # in a row: this machine's CPUs stay where they are
EXTRA_S_OF_SCENARIO, EXTRA_S_OF_RUN = 60, 300  # for rounds beyond those that were asked for
WARM_UPS_MAX, WARM_UP_S = 3, 0.2
FAILURES = (TrialFailed, Refused, RuntimeError, AssertionError, OSError)


@dataclass(frozen=True)
class Entrant:
    """Who runs in a round: a peer, or sluice in one of several variants."""

    name: str
    peer: object
    variant: Variant


def entrants_of(scenario, peers):
    if not scenario.variants:
        return [Entrant(peer.name, peer, Variant(peer.name, scenario.settings)) for peer in peers]
    return [Entrant(variant.name, peer, variant)
            for peer in peers if peer.name == "sluice" for variant in scenario.variants]


class Bench:
    """Owns nothing: peers, generator, probe and spinners are the caller's."""

    def __init__(self, peers, generator, probe, spinners, seconds, say, wanted="near"):
        self.peers = peers
        self.generator = generator
        self.probe = probe
        self.spinners = spinners
        self.seconds = seconds
        self.say = say
        self.wanted = wanted
        self.trials = []
        self._vain_moves = 0
        self._extra_s_left = EXTRA_S_OF_RUN

    def run_scenario(self, scenario, rounds):
        """Measures until `rounds` rounds of one regime are there, of the wanted one if it can be.
        Peers must be paused."""
        if not entrants_of(scenario, self.peers):
            return
        rate_pps = self._half_rate(scenario) if scenario.half_of else None
        kept = {"near": 0, "far": 0}
        extra_s = 0
        number = 0
        while not self._enough(kept, rounds, number, extra_s):
            began = time.monotonic()
            trials = [self._trial(entrant, scenario, number, rate_pps)
                      for entrant in self._order(scenario, number)]
            regimes = {trial["regime"] for trial in trials}
            steady = len(regimes) == 1 and "changed" not in regimes
            for trial in trials:
                trial["kept"] = steady
            if steady:
                kept[regimes.pop()] += 1
            self.trials += trials
            self._say_round(scenario, number, trials)
            number += 1
            if number > rounds:
                extra_s += time.monotonic() - began
                self._extra_s_left -= time.monotonic() - began

    def _enough(self, kept, rounds, number, extra_s):
        if number < rounds:
            return False
        if kept[self.wanted] >= rounds or (max(kept.values()) >= rounds and not kept[self.wanted]):
            return True
        return extra_s > EXTRA_S_OF_SCENARIO or self._extra_s_left <= 0

    def warm_up(self, scenario):
        """Has every peer forward once, unrecorded: OVS still sorts out its memory when the first
        guests connect, and may turn them away. What goes on failing shows in the trials."""
        for entrant in entrants_of(scenario, self.peers):
            for _ in range(WARM_UPS_MAX):
                with contextlib.suppress(*FAILURES):
                    self._measure(entrant, scenario, WARM_UP_S)
                    break

    def _order(self, scenario, number):
        """Each is the first in turn."""
        entrants = entrants_of(scenario, self.peers)
        first = number % len(entrants)
        return entrants[first:] + entrants[:first]

    def _move(self, roundtrip_ns):
        """Has the CPUs moved where they are wanted. Returns the round trip as it is then."""
        if regime_of(roundtrip_ns) == self.wanted or self._vain_moves >= VAIN_MOVES_MAX:
            return roundtrip_ns
        if self.wanted == "far":
            self.spinners.push()
        else:
            with self.spinners.paused():
                self.probe.pull()
        roundtrip_ns = self.probe.roundtrip_ns()
        self._vain_moves = 0 if regime_of(roundtrip_ns) == self.wanted else self._vain_moves + 1
        return roundtrip_ns

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

    def _trial(self, entrant, scenario, number, rate_pps):
        for tries in range(TRIES_OF_TRIAL):
            trial = {"scenario": scenario.name, "round": number, "peer": entrant.name,
                     "entrant": entrants_of(scenario, self.peers).index(entrant),
                     "tries": tries + 1, "rate_pps": rate_pps,
                     "before_ns": self._move(self.probe.roundtrip_ns())}
            try:
                trial.update(self._measure(entrant, scenario, self.seconds, rate_pps))
            except FAILURES as failure:
                trial["error"] = str(failure).splitlines()[0]
            trial["after_ns"] = self.probe.roundtrip_ns()
            before, after = regime_of(trial["before_ns"]), regime_of(trial["after_ns"])
            trial["regime"] = before if before == after else "changed"
            if trial["regime"] == self.wanted or self._vain_moves >= VAIN_MOVES_MAX:
                break
        return trial

    def _measure(self, entrant, scenario, seconds, rate_pps=None):
        peer = entrant.peer
        if not peer.process.alive():
            peer.stop()
            peer.start(tso=scenario.tso)
        peer.resume()
        try:
            peer.configure(entrant.variant)
            with self.spinners.paused():
                peer.mark()
                options = scenario.options + entrant.variant.options + peer.options
                result = self.generator.run(peer, peer.ports, options, seconds, rate_pps)
                own_cycles = peer.cycles_per_packet()
        finally:
            if peer.process.alive():
                peer.pause()
        measured = {key: result[key] for key in ("pps", "gbps", "tx", "rx", "lost")}
        measured["generator"] = result["generator"]
        measured["tx_pps"] = result["tx"] / result["seconds"]
        measured["own_cycles_per_packet"] = own_cycles
        if rate_pps is not None:
            measured["latency_us"] = result["latency_us"]
            measured["generator_bound"] = False
        else:
            # a poll-mode core that always finds work spends all of its cycles on what it delivers
            if result["pps"] > 0:
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
