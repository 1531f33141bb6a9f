"""The benchmark's tables as pictures: a median is a point, and its rounds are not shown."""

import io
from collections.abc import Callable, Mapping
from typing import Any

from crosscheck.studies.speed.timing import median_of


def picture(name: str, heading: str, frame: Any) -> Any:
    """The picture of a part, as a matplotlib figure."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(8, 3.8), layout="constrained")
    drawing.suptitle(heading, fontsize=10)
    PICTURES[name](drawing, frame)
    return drawing


def png(name: str, heading: str, frame: Any) -> bytes:
    """The picture of a part, as the content of a PNG file."""
    content = io.BytesIO()
    picture(name, heading, frame).savefig(content, dpi=100, format="png")
    return content.getvalue()


def _gradients(drawing: Any, frame: Any) -> None:
    """A panel for each number of threads, a line for each rival that is not far slower."""
    panels = drawing.subplots(1, frame["threads"].nunique(), sharey=True, squeeze=False)[0]
    for axes, (count, part) in zip(panels, frame.groupby("threads"), strict=True):
        _ratios(
            axes, part, [f"{n} {d}" for n, d in zip(part["network"], part["dtype"], strict=True)]
        )
        axes.set_title(f"{count} threads" if count > 1 else "one thread", fontsize=9)
    panels[0].set_ylim(bottom=LEAST_RATIO)
    panels[-1].legend(fontsize=7)


LEAST_RATIO = 0.02


def _verdicts(drawing: Any, frame: Any) -> None:
    axes = drawing.subplots()
    _ratios(axes, frame, [f"{count} parameters" for count in frame["parameters"]])
    axes.legend(fontsize=7)


NO_RATIO = {
    *("network", "parameters", "D", "dtype", "threads", "µs", "ms"),
    *("/ ours on one thread", "products / jax"),
}


def _ratios(axes: Any, frame: Any, labels: list[str]) -> None:
    """A line a rival, from the smallest network to the largest; 1 is as fast."""
    for column in frame.columns:
        if column not in NO_RATIO:
            axes.plot(labels, [median_of(text) for text in frame[column]], "o-", label=column)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.tick_params(axis="x", labelrotation=60, labelsize=7)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")


def _stages(drawing: Any, frame: Any) -> None:
    """A bar for each dtype, of the stages on top of each other."""
    axes = drawing.subplots()
    parts = frame[frame["stage"] != "whole"]
    left = dict.fromkeys(parts["dtype"], 0.0)
    for number, (stage, lines) in enumerate(parts.groupby("stage", sort=False)):
        widths = {d: median_of(text) for d, text in zip(lines["dtype"], lines["µs"], strict=True)}
        color = f"C{number}" if number < 10 else "black"
        axes.barh(
            list(widths), list(widths.values()), left=list(left.values()), label=stage, color=color
        )
        left = {dtype: left[dtype] + width for dtype, width in widths.items()}
    axes.set_xlabel("µs an architecture")
    axes.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _growth(drawing: Any, frame: Any) -> None:
    """A panel for each thing that grows, a line for each dtype."""
    panels = drawing.subplots(1, frame["grows"].nunique(), sharey=True, squeeze=False)[0]
    for axes, (grows, part) in zip(panels, frame.groupby("grows", sort=False), strict=True):
        for dtype, lines in part.groupby("dtype"):
            axes.plot(lines["to"], [median_of(t) for t in lines["a second"]], "o-", label=dtype)
        axes.set(xscale="log", yscale="log", xlabel=grows)
        axes.set_xticks(sorted(set(part["to"])), sorted(set(part["to"])), fontsize=8)
        axes.minorticks_off()
    panels[0].set_ylabel("architectures a second")
    panels[0].legend(fontsize=7)


def _workers(drawing: Any, frame: Any) -> None:
    axes = drawing.subplots()
    times_one = [median_of(text) for text in frame["/ one process"]]
    axes.plot(frame["processes"], times_one, "o-", label="measured")
    axes.plot(frame["processes"], frame["processes"], "k:", label="as many times one")
    axes.set(xlabel="processes", ylabel="speed of one", xticks=list(frame["processes"]))
    axes.legend(fontsize=7)


def _memory(drawing: Any, frame: Any) -> None:
    axes = drawing.subplots()
    for column in ("all, MB", "parent, MB"):
        axes.plot(frame["cases"], [median_of(text) for text in frame[column]], "o-", label=column)
    axes.set(xscale="log", ylim=(0, None), xlabel="cases", ylabel="MB")
    axes.legend(fontsize=7)


PICTURES: Mapping[str, Callable[[Any, Any], None]] = {
    "gradients": _gradients,
    "verdicts": _verdicts,
    "stages": _stages,
    "growth": _growth,
    "workers": _workers,
    "memory": _memory,
}
"""Parts that have a picture."""
