"""Pictures of a run as SVG that takes its colours and its typeface from the page around it.

matplotlib draws with colours that stand for names; they become CSS variables, so that one
picture serves light, dark and print. The same data give the same bytes.
"""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from crosscheck.networks.network import Array
from crosscheck.reports.words import power_of_ten

INK, MUTED, LINE = "#010101", "#020202", "#030303"
"""Stand for --ink, --muted and --line."""

COLOURS = tuple(f"#0{n}0a0b" for n in range(8))
"""Stand for --e0 … --e7, the colours of engines."""

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (2, 1.2)), (0, (7, 1.5, 1.5, 1.5)))
"""Engines differ in their dashes too, for who cannot tell the colours."""

WIDE, NARROW, HEIGHT = 3.7, 2.9, 2.4
"""Of a panel, in inches of 72 points: three in a row, or two beside a table."""

POINTS = 160
"""Points of a cumulative curve, at most."""

BEYOND = 1e3
"""How far beyond its limit the axis of a distribution goes."""

Curves = Mapping[str, Array]


def _figure(width: float, height: float = HEIGHT) -> tuple[Any, Any]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=9, length=3, which="both", color=LINE)
    axes.grid(color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    return figure, axes


def _title(axes: Any, title: str, x: str, y: str) -> None:
    """Names of the panel and its axes; a $ in them is a $."""
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", parse_math=False)
    axes.set_xlabel(x, fontsize=9, color=MUTED)
    axes.set_ylabel(y, fontsize=9, color=MUTED)


def _logarithmic(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(base=10, numticks=7))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: power_of_ten(round(np.log10(value))) if value > 0 else "")
    )


def style(which: int) -> dict[str, Any]:
    """Colour and dashes of the engine of this number."""
    return {
        "color": COLOURS[which % len(COLOURS)],
        "linestyle": DASHES[which % len(DASHES)],
        "linewidth": 1.8,
    }


def distribution(
    title: str, x: str, curves: Curves, least: float, limit: float | None = None
) -> str:
    """Cumulative distributions on a logarithmic axis that begins at `least`.

    What is infinite is never reached; a line stands at `limit`, and the axis ends soon after.
    """
    figure, axes = _figure(NARROW)
    largest = least * 10
    for which, values in enumerate(curves.values()):
        if len(values):
            at, share = cumulative(values)
            shown = np.isfinite(at)
            axes.plot(np.maximum(at[shown], least), share[shown], **style(which))
            largest = max(largest, float(np.max(at[shown], initial=least)))
    axes.set_xscale("log")
    axes.set_xlim(least, min(largest * 1.5, limit * BEYOND if limit else np.inf))
    axes.set_ylim(0, 1.02)
    _logarithmic(axes.xaxis)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    if limit is not None:
        axes.axvline(limit, color=INK, linewidth=1)
    _title(axes, title, x, "share of tensors")
    return svg(figure, title)


def cumulative(values: Array) -> tuple[Array, Array]:
    """(value, share of values up to it), at no more than POINTS ranks, the largest included."""
    ordered = np.sort(values)
    ranks = np.unique(np.linspace(0, len(ordered) - 1, POINTS).round().astype(int))
    return ordered[ranks], (ranks + 1) / len(ordered)


Bands = Mapping[str, tuple[Sequence[float], Array, Array, Array]]
"""Engine to (positions, 10 %, 50 % and 90 % quantiles)."""


def bands(title: str, x: str, labels: Sequence[str], engines: Bands) -> str:
    """Medians in lines and 10 … 90 % in bands, over named positions 0, 1, 2, …"""
    figure, axes = _figure(WIDE)
    for which, (at, low, middle, high) in enumerate(engines.values()):
        known = style(which)
        shade = max(0.04, 0.3 / len(engines))
        axes.fill_between(at, low, high, color=known["color"], alpha=shade, linewidth=0)
        axes.plot(at, middle, marker="o", markersize=3.5, **known)
    axes.set_yscale("log")
    _logarithmic(axes.yaxis)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.3, len(labels) - 0.7)
    _title(axes, title, x, "error, ulp")
    return svg(figure, title)


def ranges(title: str, x: str, engines: Mapping[str, tuple[float, float, float]]) -> str:
    """(10 %, median, 90 %) per engine on a logarithmic axis, with a name at each."""
    figure, axes = _figure(NARROW, max(1.5, 0.9 + 0.34 * len(engines)))
    for which, (low, middle, high) in enumerate(engines.values()):
        colour = COLOURS[which % len(COLOURS)]
        axes.plot([low, high], [which, which], color=colour, linewidth=2.2, alpha=0.55)
        axes.plot([middle], [which], "o", color=colour, markersize=6)
    axes.set_xscale("log")
    _logarithmic(axes.xaxis)
    axes.set_ylim(len(engines) - 0.5, -0.5)
    axes.set_yticks(range(len(engines)), [""] * len(engines))
    for which, name in enumerate(engines):
        axes.text(
            -0.02, which, clip(name), transform=axes.get_yaxis_transform(), ha="right",
            va="center", fontsize=9, color=INK, parse_math=False,
        )  # fmt: skip
    _title(axes, title, x, "")
    return svg(figure, title)


def clip(name: str, most: int = 26) -> str:
    """A name that fits beside a picture."""
    name = " ".join(name.split())
    return name if len(name) <= most else name[: most - 1] + "…"


def svg(figure: Any, label: str) -> str:
    """The figure as an <svg> element with no identifier, date or colour of its own."""
    import matplotlib

    buffer = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": "crosscheck", "path.simplify": True}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the page's font may well have it
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return _for_page(text[text.index("<svg") :], label)


REPLACED: Sequence[tuple[str, str | Callable[[re.Match[str]], str]]] = (
    (r"<metadata>.*?</metadata>\s*", ""),
    (r"<style[^>]*>.*?</style>\s*", ""),
    (r"<!--.*?-->\s*", ""),
    (r"\s*\n\s*", "\n"),
    (r' id="(?![mp][0-9a-f]{10}"|C[0-9a-f]_)[^"]*"', ""),
    (r"font-family: [^;\"]*", "font-family: var(--sans)"),
    (r' transform="rotate\(-0 [^"]*"', ""),
    (r'(?<= d=")[^"]*', lambda path: re.sub(r"(\d\.\d)\d+", r"\1", path[0]).replace("\n", "")),
    (f"(?<=: ){INK}", "var(--ink)"),
    (f"(?<=: ){MUTED}", "var(--muted)"),
    (f"(?<=: ){LINE}", "var(--line)"),
    (r"(?<=: )#0([0-7])0a0b", r"var(--e\1)"),
)
"""What makes matplotlib's SVG a part of the page."""


def _for_page(text: str, label: str) -> str:
    for pattern, new in REPLACED:
        text = re.sub(pattern, new, text, flags=re.DOTALL)
    size = re.search(r'viewBox="([^"]*)"', text)
    assert size is not None
    from html import escape

    head = f'<svg viewBox="{size[1]}" role="img" aria-label="{escape(label)}">'
    return head + text[text.index(">") + 1 :].strip()
