# SPDX-License-Identifier: BSD-3-Clause
"""Rows to tables: the same text for the terminal and for report.md. Pure."""

from bars import judge
from shared import facts_as_markdown
from summary import OURS

HOW_TO_READ = """\
- Ratios: how many times better sluice is, the median over rounds; in a round all peers ran one after
  the other. `>` sluice kept up with the generator, so the ratio is a lower bound; `<` the peer did; `~` both.
- near, far: a cache line went between the two CPUs and back in less, or more, than 150 ns at the
  probes before and after each trial; rounds in which that changed were dropped (second number).
- Cycles: TSC cycles of the forwarding core per delivered packet, rate of the counter / packets per
  second, which is right for a core that always finds work; in brackets what the peer itself counts.
- `*` the generator was the bottleneck: its transmit rings were seldom full, or it emptied receive
  rings late. The last table tells how busy it was."""


def table(head, rows):
    """A Markdown table that is also readable as it stands."""
    lines = [head] + rows
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]

    def text(cells):
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths)) + " |"

    return "\n".join([text(head), "|" + "|".join("-" * (w + 2) for w in widths) + "|",
                      *map(text, rows)])


def peers_of(rows):
    names = {name for row in rows for name in row["peers"]}
    return sorted(names, key=lambda name: (name != OURS, name))


def _labels(row):
    rounds = f"{row['rounds']}" + (f" (-{row['rounds_dropped']})" if row["rounds_dropped"] else "")
    regime = f"{row['regime']} {row['roundtrip_ns']:.0f} ns" if row["regime"] else "changing"
    return [row["title"], regime, rounds]


def _bound(row, name):
    return row["peers"].get(name, {}).get("generator_bound", False)


def _ratio_cell(row, name):
    ratio = row["ratios"].get(name)
    if ratio is None:
        return "-"
    mark = {(False, False): "", (True, False): ">", (False, True): "<", (True, True): "~"}
    return f"{mark[_bound(row, OURS), _bound(row, name)]}{ratio:.2f}"


def ratio_table(rows):
    names = [name for name in peers_of(rows) if name != OURS]
    return table(["scenario", "CPUs", "rounds", *(f"{OURS} : {name}" for name in names)],
                 [_labels(row) + [_ratio_cell(row, name) for name in names] for row in rows])


def _figure_cell(row, name):
    figures = row["peers"].get(name)
    if figures is None:
        return "-"
    if "pps" not in figures:
        return "failed"
    rate = f"{figures['gbps']:.1f} Gbit/s" if row["in_gbps"] else f"{figures['pps'] / 1e6:.2f}"
    own = figures["own_cycles_per_packet"]
    cycles = f"{figures['cycles_per_packet']:.0f}" + ("" if own is None else f" [{own:.0f}]")
    failed = f", {figures['failed']} failed" if figures["failed"] else ""
    return f"{rate}{'*' if figures['generator_bound'] else ''}, {cycles}{failed}"


def figure_table(rows):
    names = peers_of(rows)
    return table(["scenario", "CPUs", "rounds", *names],
                 [_labels(row) + [_figure_cell(row, name) for name in names] for row in rows])


def _latency_cell(row, name):
    latency = row["peers"].get(name, {}).get("latency_us")
    if latency is None:
        return "failed" if name in row["peers"] else "-"
    return f"{latency['p50']:.2f} / {latency['p99']:.2f} / {latency['p999']:.2f}"


def latency_table(rows):
    names = peers_of(rows)
    return table(["scenario", "CPUs", "rounds", "Mpps", *names],
                 [_labels(row) + ["-" if row["rate_pps"] is None else f"{row['rate_pps'] / 1e6:.2f}"]
                  + [_latency_cell(row, name) for name in names] for row in rows])


def _generator_cell(row, name):
    figures = row["peers"].get(name, {})
    if "busy_share" not in figures:
        return "-"
    return (f"{100 * figures['busy_share']:.0f} / {100 * figures['tx_full_share']:.0f} / "
            f"{100 * figures['rx_late_share']:.1f} / {100 * (figures['lost_share'] or 0):.1f}")


def generator_table(rows):
    names = peers_of(rows)
    return table(["scenario", "CPUs", "rounds", *names],
                 [_labels(row) + [_generator_cell(row, name) for name in names] for row in rows])


def bars_table(rows):
    marks = {True: "yes", False: "**no**", None: "-"}
    return table(["scenario", "CPUs", "rounds", "figure", "against", "bar", "is", "met"],
                 [[v["title"], v["regime"], str(v["rounds"]), v["what"], v["against"], v["bar"],
                   v["figure"] or "-", marks[v["met"]]] for v in judge(rows)])


def failures(rows):
    return [f"- {row['title']}: {name}: {figures['error']}"
            for row in rows for name, figures in row["peers"].items() if "error" in figures]


def render(rows, facts, settings):
    """The whole report. `settings`: what the run was asked for, in one sentence."""
    alone = [row for row in rows if row["is_alone"]]
    compared = [row for row in rows if not row["is_alone"]]
    traffic = [row for row in compared if not row["is_latency"]]
    latency = [row for row in compared if row["is_latency"]]
    parts = ["# sluice and its peers, guest to guest", facts_as_markdown(facts) + ".", settings]
    parts += ["## Bars", bars_table(rows), "## Ratios", ratio_table(compared)]
    if traffic:
        parts += ["## Mpps delivered, cycles per packet", figure_table(traffic)]
    if latency:
        parts += ["## Latency, us: p50 / p99 / p99.9", latency_table(latency)]
    if alone:
        parts += ["## sluice against itself", ratio_table(alone), figure_table(alone)]
    if failures(rows):
        parts += ["## Failed", "\n".join(failures(rows))]
    parts += ["## The generator, %: busy / transmit ring full / receive ring late / frames lost",
              generator_table(compared), "## How to read this", HOW_TO_READ]
    return "\n\n".join(parts) + "\n"
