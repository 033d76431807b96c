"""Draw plots as SVG that takes its colours from the page.

    figures -> matplotlib, in marker colours -> SVG -> markers replaced by the page's CSS variables

So one plot suits the light and the dark page. Text stays text. The SVG holds no date: the same
figures give the same bytes.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.runtime.evaluation.calibration_error import ECE_BINS
from training.report import private_matplotlib
from training.report.content import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _FAINT, _FIRST, _SECOND, _THIRD = "#010203", "#010204", "#010205", "#010206", "#010207"
_VARIABLES = {
    _INK: "var(--ink)",
    _FAINT: "var(--line)",
    _FIRST: "var(--accent)",
    _SECOND: "var(--second)",
    _THIRD: "var(--third)",
}
_LINES = (_FIRST, _SECOND, _THIRD)
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
_WIDTH, _HEIGHT = 4.8, 3.1
"""Inches, each 72 units of the SVG."""
_BARS = 40
_MAX_MARKERS = 40
"""The largest number of points of a line that are drawn with markers."""

Floats = NDArray[np.floating]


def curve(data: Curve) -> str:
    """Draw a plot of lines."""

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator, NullFormatter

        for line, colour in zip(data.lines, _colours(), strict=False):
            x = range(1, len(line.values) + 1) if line.x is None else line.x
            points = "o" if len(line.values) <= _MAX_MARKERS else ""
            axes.plot(x, line.values, points + "-", color=colour, label=line.name, markersize=3.5)
        if data.logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif all(line.x is None for line in data.lines):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if data.selected is not None:
            axes.axvline(data.selected, color=_INK, linewidth=1, linestyle=":", label="selected")
        axes.set(xlabel=data.x, ylabel=data.y)
        if len(data.lines) > 1 or data.selected is not None:
            _legend(axes)

    return _svg(f"curve {data.title}", draw)


def _colours() -> Iterator[str]:
    while True:
        yield from _LINES


@dataclass(frozen=True, eq=False)
class Bins:
    """The bins of confidence that hold a photo; each array is (B,)."""

    edges: Floats
    """The lower edge of each bin, which is 1/15 wide."""
    photos: NDArray[np.intp]
    right: Floats
    """The share of its photos that are predicted correctly."""
    confidence: Floats
    """The mean confidence of its photos."""


def reliability_bins(probabilities: Floats, truth: NDArray[np.intp]) -> Bins:
    """Put probabilities (T, K) and classes (T,) into the 15 bins of the ECE, by confidence."""
    return _bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)


def _bins(sure: Floats, right: NDArray[np.bool_]) -> Bins:
    bin_of = np.clip(np.ceil(sure * ECE_BINS).astype(np.intp) - 1, 0, ECE_BINS - 1)
    photos = np.bincount(bin_of, minlength=ECE_BINS)
    filled = np.flatnonzero(photos)
    return Bins(
        edges=filled / ECE_BINS,
        photos=photos[filled],
        right=np.bincount(bin_of, weights=right, minlength=ECE_BINS)[filled] / photos[filled],
        confidence=np.bincount(bin_of, weights=sure, minlength=ECE_BINS)[filled] / photos[filled],
    )


def reliability(probabilities: Floats, truth: NDArray[np.intp], name: str) -> str:
    """Draw the share of correct predictions over their confidence, in the 15 bins of the ECE.

    Args:
        probabilities: (T, K).
        truth: (T,) class indices.
        name: the name of this plot, unique in the page.
    """
    return _reliability(reliability_bins(probabilities, truth), name, "mean confidence", "accuracy")


def label_reliability(probabilities: Floats, truth: NDArray[np.bool_], name: str) -> str:
    """Draw how often labels are right over their probability, of all photos and labels together.

    Args:
        probabilities: (T, K).
        truth: (T, K) whether each photo has each label.
        name: the name of this plot, unique in the page.
    """
    bins = _bins(probabilities.ravel().astype(np.float64), truth.ravel())
    return _reliability(bins, name, "mean probability of a label", "share that has the label")


def _reliability(bins: Bins, name: str, x: str, y: str) -> str:
    def draw(axes: "Axes") -> None:
        axes.bar(
            bins.edges,
            bins.right,
            1 / ECE_BINS,
            align="edge",
            color=_FIRST,
            alpha=0.55,
            linewidth=0,
        )
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=1, linestyle=":", label="calibrated")
        areas = 14 + 130 * np.sqrt(bins.photos / bins.photos.max())
        axes.scatter(bins.confidence, bins.right, areas, color=_SECOND, zorder=3)
        axes.plot([], [], "o", color=_SECOND, label="bins, by size")
        axes.set(xlim=(0, 1.02), ylim=(0, 1.05))
        axes.set(xlabel=x, ylabel=y)
        _legend(axes)

    return _svg(f"reliability {name}", draw)


def histogram(groups: Mapping[str, Floats], x: str, threshold: float) -> str:
    """Draw a histogram of the scores, with the groups stacked, and the threshold."""
    everything = np.append(np.concatenate(list(groups.values())), threshold)
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, high if high > low else low + 1, _BARS + 1)

    def draw(axes: "Axes") -> None:
        below = np.zeros(_BARS)
        for (name, scores), colour in zip(groups.items(), _colours(), strict=False):
            counts, _ = np.histogram(scores, edges)
            style: dict[str, Any] = {"color": colour, "alpha": 0.7, "linewidth": 0, "label": name}
            axes.bar(edges[:-1], counts, edges[1] - edges[0], below, align="edge", **style)
            below += counts
        axes.axvline(threshold, color=_INK, linewidth=1.2, linestyle="--", label="threshold")
        axes.set(xlabel=x, ylabel="photos")
        _legend(axes)

    return _svg(f"histogram {x}", draw)


def _legend(axes: "Axes") -> None:
    """Draw the legend above the plot, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0, handlelength=1.2)


def _svg(name: str, draw: Callable[["Axes"], None]) -> str:
    with _drawing(name):
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        figure = Figure((_WIDTH, _HEIGHT), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        file = io.StringIO()
        without = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=without)
    return _embeddable(file.getvalue())


@contextmanager
def _drawing(name: str) -> Iterator[None]:
    """Set the style, and ids that depend on `name` alone."""
    mpl = private_matplotlib.load()
    with mpl.rc_context():
        for setting, value in _STYLE.items():
            mpl.rcParams[setting] = value
        mpl.rcParams["svg.hashsalt"] = name
        yield


def _embeddable(document: str) -> str:
    """Return the svg element alone, without rules for the whole page or ids of other plots."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<style.*?</style>|<metadata.*?</metadata>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r' id="[A-Za-z0-9_.]*_[0-9]+"', "", svg)
    svg = re.sub(r' (width|height)="[0-9.]+pt"', "", svg, count=2)
    svg = re.sub(r"font-family: [^;\"]*; ", "", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r"\n\s*", "\n", svg)
