# SPDX-License-Identifier: BSD-3-Clause
"""From trials to rows: medians over the kept rounds of one regime. Pure."""

import statistics

OURS = "sluice"


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def summarize(trials, scenarios):
    """A row for each scenario and regime in which rounds were kept, the one with the most rounds
    first; a row without a regime where none was kept."""
    rows = []
    for scenario in scenarios:
        mine = [trial for trial in trials if trial["scenario"] == scenario.name]
        kept = [trial for trial in mine if trial["kept"]]
        dropped = len({t["round"] for t in mine}) - len({t["round"] for t in kept})
        regimes = {regime: [t for t in kept if t["regime"] == regime] for regime in ("near", "far")}
        found = sorted((r for r in regimes if regimes[r]), key=lambda r: -len(regimes[r]))
        for regime in found or [None]:
            rows.append(_row(scenario, regime, regimes.get(regime, []), dropped))
    return rows


def _row(scenario, regime, trials, dropped):
    rounds = sorted({trial["round"] for trial in trials})
    names = sorted({trial["peer"] for trial in trials}, key=lambda name: (name != OURS, name))
    return {
        "scenario": scenario.name, "title": scenario.title, "regime": regime,
        "in_gbps": scenario.in_gbps, "is_latency": scenario.half_of is not None,
        "is_alone": bool(scenario.variants),
        "rounds": len(rounds), "rounds_dropped": dropped,
        "roundtrip_ns": median([t[key] for t in trials for key in ("before_ns", "after_ns")]),
        "rate_pps": median([t["rate_pps"] for t in trials]),
        "peers": {name: _figures([t for t in trials if t["peer"] == name]) for name in names},
        "ratios": {name: _ratio(trials, rounds, name, _better) for name in names if name != OURS},
        "cycle_ratios": {name: _ratio(trials, rounds, name, _cheaper)
                         for name in names if name != OURS},
        "p99_ratios": {name: _ratio(trials, rounds, name, _sooner)
                       for name in names if name != OURS},
    }


def _figures(trials):
    good = [trial for trial in trials if "error" not in trial]
    figures = {"failed": len(trials) - len(good)}
    if not good:
        return {**figures, "error": trials[-1]["error"]}
    for key in ("pps", "gbps", "cycles_per_packet", "own_cycles_per_packet"):
        figures[key] = median([trial.get(key) for trial in good])
    figures["pps_min"] = min(trial["pps"] for trial in good)
    figures["pps_max"] = max(trial["pps"] for trial in good)
    figures["lost_share"] = median([t["lost"] / t["tx"] if t["tx"] else None for t in good])
    figures["generator_bound"] = sum(trial["generator_bound"] for trial in good) * 2 > len(good)
    for key in ("busy_share", "tx_full_share", "rx_late_share"):
        figures[key] = median([trial["generator"][key] for trial in good])
    if "latency_us" in good[0]:
        figures["latency_us"] = {key: median([trial["latency_us"][key] for trial in good])
                                 for key in ("p50", "p99", "p999")}
    return figures


def own_cycles(trial):
    """What a packet costs by the peer's own count; the whole core, where it does not count."""
    return trial.get("own_cycles_per_packet") or trial.get("cycles_per_packet")


def _better(ours, theirs):
    if "latency_us" in ours:
        return theirs["latency_us"]["p50"] / ours["latency_us"]["p50"]
    return ours["pps"] / theirs["pps"]


def _cheaper(ours, theirs):
    ours, theirs = own_cycles(ours), own_cycles(theirs)
    return theirs / ours if ours and theirs else None


def _sooner(ours, theirs):
    if "latency_us" not in ours:
        return None
    return theirs["latency_us"]["p99"] / ours["latency_us"]["p99"]


def _ratio(trials, rounds, peer, compare):
    """How many times better we are: the median of the rounds' ratios, not the ratio of medians,
    since only what ran side by side is comparable."""
    ratios = []
    for number in rounds:
        good = {t["peer"]: t for t in trials if t["round"] == number and "error" not in t}
        if OURS in good and peer in good:
            ratios.append(compare(good[OURS], good[peer]))
    return median(ratios)
