# SPDX-License-Identifier: BSD-3-Clause
"""The ratios and the rates as pictures, PNG and SVG; needs python3-matplotlib."""

from summary import OURS


def _main_rows(rows):
    """Of each scenario the regime with the most rounds: the first."""
    found = {}
    for row in rows:
        if row["regime"] is not None and not row["is_alone"]:
            found.setdefault(row["scenario"], row)
    return list(found.values())


def _bars(axes, rows, names, value):
    height = 0.8 / len(names)
    for i, name in enumerate(names):
        places = [n + i * height for n in range(len(rows))]
        axes.barh(places, [value(row, name) or 0 for row in rows], height, label=name)
    axes.set_yticks([n + 0.4 - height / 2 for n in range(len(rows))],
                    [f"{row['title']} ({row['regime']})" for row in rows])
    axes.invert_yaxis()
    axes.legend()


def _save(figure, path):
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), bbox_inches="tight", dpi=150)


def _pyplot():
    """matplotlib, or None where it is not there."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw_costs(series, directory):
    """Writes scale.*: cycles per packet of each series of bench/scale over what grows."""
    pyplot = _pyplot()
    series = [s for s in series.values() if s["rows"]]
    if pyplot is None or not series:
        return
    figure, all_axes = pyplot.subplots(1, len(series), figsize=(4 * len(series), 3.2), squeeze=False)
    for axes, one in zip(all_axes[0], series):
        cycles = [row["cycles"] for row in one["rows"]]
        axes.plot([int(row["name"].replace(",", "")) for row in one["rows"]], cycles, marker="o")
        axes.axhspan(0.9 * cycles[0], 1.1 * cycles[0], alpha=0.15)
        axes.set_xscale("log")
        axes.set_ylim(0, 1.3 * max(cycles))
        axes.set_xlabel(one["what"])
    all_axes[0][0].set_ylabel("cycles per packet")
    _save(figure, directory / "scale")
    pyplot.close("all")


def draw_features(rows, directory):
    """Writes features.*: what each feature adds."""
    pyplot = _pyplot()
    if pyplot is None or not rows:
        return
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.35 * len(rows)))
    axes.barh([row["name"] for row in rows], [row["cycles"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("cycles per 64-byte packet")
    _save(figure, directory / "features")
    pyplot.close("all")


def draw(rows, directory):
    """Writes ratios.* and rates.* to the directory, as far as there is something to show. Returns
    the names of the pictures; none where matplotlib is not there."""
    pyplot = _pyplot()
    if pyplot is None:
        return []
    rows = _main_rows(rows)
    rates = [row for row in rows if not row["is_latency"] and not row["in_gbps"]]
    drawn = []
    names = sorted({name for row in rows for name in row["peers"]}, key=lambda n: (n != OURS, n))
    others = [name for name in names if name != OURS]
    if others and OURS in names:
        figure, axes = pyplot.subplots(figsize=(9, 1 + 0.6 * len(rows)))
        _bars(axes, rows, others, lambda row, name: row["ratios"].get(name))
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xlabel("how many times better sluice is (rate; p50 of latency)")
        _save(figure, directory / "ratios")
        drawn.append("ratios")
    if rates:
        figure, axes = pyplot.subplots(figsize=(9, 1 + 0.7 * len(rates)))
        _bars(axes, rates, names,
              lambda row, name: row["peers"].get(name, {}).get("pps", 0) / 1e6)
        axes.set_xlabel("Mpps delivered")
        _save(figure, directory / "rates")
        drawn.append("rates")
    pyplot.close("all")
    return drawn
