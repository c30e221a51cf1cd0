# SPDX-License-Identifier: BSD-3-Clause
"""What sluice is to reach, as ratios to its peers in the same run, and whether it does. Pure.

Issue 3 has set the bars: those of BARS for CPUs near each other, FAR for all others, and CYCLES for
what a packet costs at most.
"""

from dataclasses import dataclass

from summary import OURS

OVS = ("ovs-flow", "ovs-normal")  # the better of the two counts


@dataclass(frozen=True)
class Bar:
    what: str
    scenario: str
    kind: str  # key of the rows' ratios
    least: dict  # {peer: how many times better}


def _bars(what, kind, scenarios, **least):
    return tuple(Bar(what, scenario, kind, least) for scenario in scenarios)


BARS = (
    *_bars("cycles per packet", "cycle_ratios", ("64", "64-both"), testpmd=2.5, ovs=3.5),
    *_bars("packets", "ratios", ("64", "64-both"), testpmd=2.2, ovs=3),
    *_bars("packets", "ratios", ("two-segment", "indirect"), testpmd=2, ovs=2.8),
    *_bars("packets", "ratios", ("512",), testpmd=1.8, ovs=2.5),
    *_bars("packets", "ratios", ("1518",), testpmd=2, ovs=2.2),
    *_bars("packets", "ratios", ("9000",), testpmd=2.5, ovs=2),
    *_bars("packets", "ratios", ("64k-tso",), testpmd=4, ovs=4),
    *_bars("packets", "ratios", ("imix",), testpmd=1.8, ovs=2.8),
    *_bars("packets", "ratios", ("packed", "packed-both"), testpmd=2, ovs=3),
    *_bars("packets", "ratios", ("dirty-log",), without=0.8),
    *_bars("p99 latency", "p99_ratios", ("latency-64", "latency-1518"), testpmd=1, ovs=2),
)
FAR = {"testpmd": 1, "ovs": 1.2}
CYCLES = {"64": 85, "64-both": 85, "packed": 70, "packed-both": 70}


def _ratio(row, kind, peer):
    """(ratio, whether sluice could have more: the generator gave out)"""
    names = OVS if peer == "ovs" else (peer,)
    ratios = [row[kind][name] for name in names if row[kind].get(name) is not None]
    bound = kind == "ratios" and row["peers"].get(OURS, {}).get("generator_bound", False)
    return min(ratios, default=None), bound


def _verdict(bar, row, peer, least):
    ratio, bound = _ratio(row, bar.kind, peer)
    return {"what": bar.what, "title": row["title"], "regime": row["regime"], "rounds": row["rounds"],
            "against": "OVS" if peer == "ovs" else peer, "bar": f"{least:g} times", "bound": bound,
            "figure": None if ratio is None else f"{'>' if bound else ''}{ratio:.2f}",
            "met": None if ratio is None else ratio >= least}


def _cycles_verdict(row):
    most = CYCLES[row["scenario"]]
    figure = row["peers"].get(OURS, {}).get("own_cycles_per_packet")
    return {"what": "cycles per packet", "title": row["title"], "regime": row["regime"],
            "rounds": row["rounds"], "against": "", "bar": f"at most {most}", "bound": False,
            "figure": None if figure is None else f"{figure:.0f}",
            "met": None if figure is None else figure <= most}


def judge(rows):
    """A verdict for each bar and peer that was measured, in the regime it was measured in."""
    verdicts = []
    for row in rows:
        if row["regime"] == "near" and row["scenario"] in CYCLES:
            verdicts.append(_cycles_verdict(row))
        for bar in BARS:
            if bar.scenario != row["scenario"] or row["regime"] is None:
                continue
            if row["regime"] == "near":
                least = bar.least
            elif bar.kind == "ratios" and "testpmd" in bar.least:
                least = FAR
            else:
                continue
            verdicts += [_verdict(bar, row, peer, least[peer]) for peer in least]
    return verdicts
