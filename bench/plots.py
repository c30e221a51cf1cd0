# SPDX-License-Identifier: BSD-3-Clause
"""The ratios and the rates as pictures, PNG and SVG; needs python3-matplotlib."""

from summary import OURS


def _main_rows(rows):
    """Of each scenario the regime with the most rounds: the first."""
    found = {}
    for row in rows:
        if row["regime"] is not None:
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


def draw(rows, directory):
    """Writes ratios.* and rates.* to the directory, as far as there is something to show. Returns
    the names of the pictures; none where matplotlib is not there."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("Agg")
    from matplotlib import pyplot

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
