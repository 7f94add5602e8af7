"""Plots of ``lab perf`` by matplotlib, as SVG texts that need nothing else."""

from __future__ import annotations

import io
from collections.abc import Sequence

from testbed.perf.results import FIGURES, RAW, Cell, Figure, Measure, Path, Result, models_of
from testbed.perf.statistics import Quantity, raw_of, value
from testbed.report.perf_grids import figure_title, paths_of

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
"""Okabe and Ito's, told apart by everybody."""

_SIZE = (7.2, 3.2)
_GROUP = 0.8


def plot_figure(result: Result, measure: Measure, figure: Figure) -> str:
    """Bars by path and model: medians, whiskers from lowest to highest, a line for the raw veth pair."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure as Canvas

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lab perf", "font.family": "sans-serif"})
    canvas = Canvas(figsize=_SIZE, layout="constrained")
    axes = canvas.add_subplot()
    models, paths = models_of(result), paths_of(result, measure)
    width = _GROUP / max(1, len(models))
    for position, model in enumerate(models):
        found = [value(result, Cell(model, path, measure), figure) for path in paths]
        places = [number + (position - (len(models) - 1) / 2) * width for number in range(len(paths))]
        _bars(axes, places, found, width, model, COLOURS[position % len(COLOURS)], FIGURES[figure].scale)
    _raw_line(axes, value(result, raw_of(Cell(RAW, Path.PAIR, measure)), figure), FIGURES[figure].scale)
    axes.set_xticks(range(len(paths)), [path.value for path in paths])
    axes.set_ylabel(FIGURES[figure].unit)
    axes.set_title(figure_title(measure, figure), fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize="small", ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    text = io.StringIO()
    canvas.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _bars(
    axes: object, places: Sequence[float], found: Sequence[Quantity | None], width: float, name: str, colour: str,
    scale: float,
) -> None:  # fmt: skip
    there = [(place, item) for place, item in zip(places, found, strict=True) if item is not None]
    heights = [item.median * scale for _, item in there]
    below = [(item.median - item.low) * scale for _, item in there]
    above = [(item.high - item.median) * scale for _, item in there]
    axes.bar(  # type: ignore[attr-defined]
        [place for place, _ in there], heights, width * 0.92, yerr=[below, above], label=name, color=colour,
        error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "#444444"},
    )  # fmt: skip


def _raw_line(axes: object, raw: Quantity | None, scale: float) -> None:
    """Where the pair is far beyond the bars it would press them flat: then only the legend tells it."""
    if raw is None:
        return
    height, top = raw.median * scale, axes.get_ylim()[1]  # type: ignore[attr-defined]
    name = f"raw veth pair {height:.3g}"
    if height <= 2 * top:
        axes.axhline(height, color="#555555", linestyle="--", linewidth=1, label=name)  # type: ignore[attr-defined]
    else:
        axes.plot([], [], color="#555555", linestyle="--", label=f"{name} (off the scale)")  # type: ignore[attr-defined]
