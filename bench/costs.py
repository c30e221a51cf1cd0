# SPDX-License-Identifier: BSD-3-Clause
"""What a packet costs sluice in one setting as against another, by its own count. Pure."""

import statistics

from report import table


def costs_of(trials, base):
    """A row for each entrant, in the order of the trials: medians over the kept rounds of the regime
    with the most of them; differences and ratios are taken within a round."""
    kept = [t for t in trials if t["kept"] and "error" not in t and t["own_cycles_per_packet"]]
    regimes = [regime for regime in ("near", "far") if any(t["regime"] == regime for t in kept)]
    if not regimes:
        return []
    regime = max(regimes, key=lambda r: sum(t["regime"] == r for t in kept))
    rounds = {}
    for trial in kept:
        if trial["regime"] == regime:
            rounds.setdefault(trial["round"], {})[trial["peer"]] = trial
    names = list(dict.fromkeys(t["peer"] for t in sorted(trials, key=lambda t: t["entrant"])))
    return [row for row in (_row(name, base, regime, rounds) for name in names) if row]


def _row(name, base, regime, rounds):
    pairs = [(r[name], r[base]) for r in rounds.values() if name in r and base in r]
    if not pairs:
        return None
    cycles = [own["own_cycles_per_packet"] for own, _ in pairs]
    bases = [of_base["own_cycles_per_packet"] for _, of_base in pairs]
    return {
        "name": name, "regime": regime, "rounds": len(pairs),
        "cycles": statistics.median(cycles),
        "more": statistics.median(own - of_base for own, of_base in zip(cycles, bases)),
        "ratio": statistics.median(own / of_base for own, of_base in zip(cycles, bases)),
        "pps": statistics.median(own["pps"] or own["tx_pps"] for own, _ in pairs),
        "roundtrip_ns": statistics.median(own["before_ns"] for own, _ in pairs),
    }


def cost_table(rows, head):
    """Markdown: `head` names the first column."""
    return table([head, "CPUs", "rounds", "cycles", "more", "times", "Mpps"],
                 [[row["name"], f"{row['regime']} {row['roundtrip_ns']:.0f} ns", str(row["rounds"]),
                   f"{row['cycles']:.1f}", f"{row['more']:+.1f}", f"{row['ratio']:.3f}",
                   f"{row['pps'] / 1e6:.2f}"] for row in rows])


def failures(trials):
    return [f"- {t['peer']}: {t['error']}" for t in trials if "error" in t]
