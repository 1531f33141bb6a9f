"""The report on detection power: Markdown from frames of counts."""

from collections.abc import Mapping

import pandas as pd


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _markdown(frame: pd.DataFrame) -> str:
    head = "| " + " | ".join(map(str, frame.columns)) + " |"
    rule = "| " + " | ".join("---" for _ in frame.columns) + " |"
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join([head, rule, *lines])


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers with three digits."""
    return frame.map(lambda value: f"{value:.3g}" if isinstance(value, float) else value)


def _shares(frame: pd.DataFrame) -> pd.DataFrame:
    """A column per dtype and scale: per cent caught of the viable, with its interval."""
    cells = frame.assign(
        cell=[
            f"{_percent(share)} [{_percent(low)}, {_percent(high)}] of {viable:.0f}"
            if viable
            else "–"
            for share, low, high, viable in frame[["share", "low", "high", "viable"]].to_numpy()
        ],
        column=frame["dtype"] + " × " + frame["scale"].map("{:g}".format),
    )
    wide = cells.pivot_table(
        index=["family", "variant"], columns="column", values="cell", aggfunc="first", sort=False
    )
    return wide.fillna("–").reset_index().drop(columns="family")


def _beside(rivals: pd.DataFrame) -> pd.DataFrame:
    """A row per kind of mistake, a column per checker: caught of how many."""
    cells = rivals.assign(
        cell=[
            f"{100 * caught / of:.1f} of {of}"
            for caught, of in zip(rivals["caught"], rivals["of"], strict=True)
        ]
    )
    wide = cells.pivot_table(
        index="kind", columns="checker", values="cell", aggfunc="first", sort=False
    )
    return wide.fillna("–").reset_index()


def page(frames: Mapping[str, pd.DataFrame], command: str) -> str:
    """The whole report; `frames` as `crosscheck.power` makes them."""
    runs = frames["runs"]
    uncaught = runs[runs["caught"] < runs["runs"]]
    parts = [
        "# Detection power",
        f"Made by `{command}`.",
        "Every known mistake, made on random networks by an engine that is a black box. A mistake "
        "is viable on a network if an exact entry of the gradient changes by more than 4u|g| "
        "there, which double-doubles decide; of the viable ones, the share that is judged DEFECT, "
        "in per cent, with its Clopper-Pearson interval at 95 %. × 1 are Xavier weights, × 5 and "
        "× 20 are those times 5 and 20: the last saturate.",
        "## By kind",
        _markdown(_shares(frames["families"])),
        "## Correct engines accused",
        _markdown(frames["alarms"]),
    ]
    if len(frames["rivals"]):
        parts += [
            "## Beside the checkers in use",
            "Square networks of 3 or 4 layers, float64, each checker at its defaults: gradcheck "
            "(slow and fast mode), jax.test_util.check_grads, HIPS autograd's check_grads, which "
            "compare with differences of the cost; torch.testing.assert_close and numpy.allclose, "
            "which are given PyTorch's gradient to compare with. Per cent caught; in the row "
            "without a mistake every catch is a false alarm.",
            _markdown(_beside(frames["rivals"])),
        ]
    if "stages" in frames:
        parts += [
            "## Stage by stage",
            "An engine that shows its intermediates, `paper-contracted`, with one operation done "
            "wrong, on networks of the standard distribution, all scales: caught, in per cent of "
            "those where an entry changes by more than 4u.",
            _markdown(frames["stages"]),
            "How much more the bounds allow than is seen of a correct engine: the median over "
            "tensors of bound over largest error, on Xavier networks with N ≤ 4.",
            _markdown(_rounded(frames["slack"])),
        ]
    parts += [
        "## The smallest perturbation of one entry that no network hid",
        _markdown(frames["entries"].fillna("none")),
        "## Runs of 100 cases",
        "Every mistake was caught in every run of 100 cases, all scales together"
        + ("." if not len(uncaught) else ", but for these:"),
    ]
    if len(uncaught):
        parts.append(_markdown(uncaught))
    parts += ["## Every mistake", _markdown(_shares(frames["variants"]))]
    return "\n\n".join(parts) + "\n"


def short(families: pd.DataFrame, alarms: pd.DataFrame, rivals: pd.DataFrame) -> str:
    """What the terminal shows."""
    parts = [_shares(families).to_string(index=False), alarms.to_string(index=False)]
    if len(rivals):
        parts.append(_beside(rivals).to_string(index=False))
    return "\n\n".join(parts)
