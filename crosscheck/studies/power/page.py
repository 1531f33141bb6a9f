"""The report on detection power: Markdown from frames of counts."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from crosscheck.studies.power.rules import page as rules_page

Frames = Mapping[str, pd.DataFrame]
"""Tables by name, as `crosscheck.studies.power.command` makes them."""


def percent(share: float) -> str:
    """In per cent; a share that is not the whole does not read 100."""
    text = f"{100 * share:.1f}"
    return f"{math.floor(1e4 * share) / 100:.2f}" if text == "100.0" and share < 1 else text


def _markdown(frame: pd.DataFrame) -> str:
    head = "| " + " | ".join(map(str, frame.columns)) + " |"
    rule = "| " + " | ".join("---" for _ in frame.columns) + " |"
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in frame.itertuples(index=False)]
    return "\n".join([head, rule, *lines])


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers with three digits."""
    return frame.map(lambda value: f"{value:.3g}" if isinstance(value, float) else value)


def cell(row: pd.Series) -> str:
    """Caught of the viable with its interval, and where it is another number, flagged."""
    if not row["viable"]:
        return "–"
    text = f"{percent(row['share'])} [{percent(row['low'])}, {percent(row['high'])}]"
    text += f" of {row['viable']:.0f}"
    for word in ("ordered", "flagged"):
        if row[word] > row["caught"]:
            text += f", {word} {percent(row[f'{word}_share'])}"
    return text + (f", {row['timeout']:.0f} timeout" if row["timeout"] else "")


def _shares(frame: pd.DataFrame) -> pd.DataFrame:
    """A column per dtype and scale."""
    cells = frame.assign(
        cell=frame.apply(cell, axis=1) if len(frame) else "",
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


def page(frames: Frames, command: str, unseen: tuple[Sequence[str], int] = ((), 0)) -> str:
    """The whole report; `unseen` are mistakes that nobody is cited for, and how many there are."""
    parts = ["# Detection power", f"Made by `{command}`."]
    if "families" in frames:
        parts += [
            *_detection(frames),
            *naming_section(frames),
            *_alarms(frames),
            *_rivals(frames),
            *_stages(frames),
            *_runs(frames),
            *_catalogue(unseen),
            "## Every mistake",
            _markdown(_shares(frames["variants"])),
        ]
    return "\n\n".join([*parts, *_rules(frames)]) + "\n"


def _rules(frames: Frames) -> list[str]:
    if "rules" not in frames:
        return []
    return [
        part
        for title, text, table in rules_page.sections(frames["rules"])
        for part in (f"## {title}", text, _markdown(table))
    ]


def _detection(frames: Frames) -> list[str]:
    missed = frames["missed"]
    parts = [
        "Every known mistake, made on random networks by an engine that is a black box, so that it "
        "may evaluate in any order, as a user's function may. A mistake "
        "is viable on a network if an exact entry of the gradient changes by more than 4u|g| "
        "there, which double-doubles decide; of the viable ones, the share that is judged DEFECT, "
        "in per cent, with its Clopper-Pearson interval at 95 %. Two "
        "shares come after, where they are larger. Ordered: DEFECT where the engine names its "
        "order, as the engines here do (δ carried backward), and the bounds of no other order "
        "protect it. Flagged: DEFECT, which is a proof, or SUSPECT by the ℓ2 bound, which is none. "
        "× 1 are Xavier weights, × 5 and × 20 are those times 5 and 20: the last saturate.",
        "## By kind",
        "The rows hold every mistake that has no free size, and those that have one (a step, a "
        "rate) at the sizes that people make them in; their other sizes, and all sizes of a "
        "perturbed entry, are in the next table.",
        _markdown(_shares(frames["families"])),
        "## At other sizes",
        "One entry × (1 + ε), which is the variant's number, and weights updated too early with "
        "other steps than those that were seen: how small a mistake is still caught.",
        _markdown(_shares(frames["sizes"])),
    ]
    if len(missed):
        parts += [
            "Not proved wrong on Xavier networks as black boxes, precision apart; the flagged are "
            "SUSPECT, the ordered proved wrong where the engine names its order:",
            _markdown(missed),
        ]
    return parts


def naming_section(frames: Frames) -> list[str]:
    """How well mistakes are named; no line where none was examined."""
    if "named" not in frames or not len(frames["named"]):
        return []
    parts = [
        "## The mistake named",
        "A run gives an engine 24 random cases of all scales, square where the mistake runs on no "
        "others; then the diagnosis sees the gradients alone. Right is the mistake's own name, "
        "with its place or step where it has several, or that name beside another that is the "
        "same on every case; where the gradient is wrong in no known way, right is that nothing "
        "is named. In per cent of the runs in which a case is a DEFECT.",
        _markdown(frames["named"]),
    ]
    for title, sentence in (
        ("named wrong", "Named wrong:"),
        (
            "one alone",
            "Two mistakes were made and one was named, which alone explains every number of "
            "every case (not counted as right):",
        ),
        ("unnamed", "Nothing was named:"),
        ("not failing", "No case was a DEFECT, so that there is nothing to name:"),
    ):
        if len(frames[title]):
            parts += [sentence, _markdown(frames[title].drop(columns=_empty(frames[title])))]
    return parts


def _empty(frame: pd.DataFrame) -> list[str]:
    """Columns in which nothing is said."""
    return [name for name in ("said", "also") if frame[name].eq("").all()]


def _alarms(frames: Frames) -> list[str]:
    return [
        "## Correct engines accused",
        "Cases of the standard distribution, special cases too; those judged DEFECT are false "
        "alarms. On some the ℓ2 bound was tried as well, and what follows where it suspects: how "
        "many of them are SUSPECT.",
        _markdown(frames["alarms"]),
    ]


def _rivals(frames: Frames) -> list[str]:
    if not len(frames["rivals"]):
        return []
    return [
        "## Beside the checkers in use",
        "Square networks of 3 or 4 layers, float64, each checker at its defaults: gradcheck "
        "(slow and fast mode), jax.test_util.check_grads, HIPS autograd's check_grads, which "
        "compare with differences of the cost; torch.testing.assert_close and numpy.allclose, "
        "which are given PyTorch's gradient to compare with. Per cent caught; in the row "
        "without a mistake every catch is a false alarm.",
        _markdown(_beside(frames["rivals"])),
    ]


def _stages(frames: Frames) -> list[str]:
    if "stages" not in frames:
        return []
    return [
        "## Stage by stage",
        "An engine that shows its intermediates, `paper-contracted`, with one operation done "
        "wrong, on networks of the standard distribution, all scales: caught, in per cent of "
        "those where an entry changes by more than 4u.",
        _markdown(frames["stages"]),
        "How much more the bounds allow than is seen of a correct engine: the median over "
        "tensors of bound over largest error, on Xavier networks with N ≤ 4.",
        _markdown(_rounded(frames["slack"])),
    ]


def _runs(frames: Frames) -> list[str]:
    runs = frames["runs"]
    uncaught = runs[runs["caught"] < runs["runs"]]
    return [
        "## The smallest perturbation of one entry that no network hid",
        _markdown(frames["entries"].fillna("none")),
        "## Runs of 100 cases",
        "Every mistake was caught in every run of 100 cases, all scales together"
        + ("." if not len(uncaught) else ", but for these:"),
        *([_markdown(uncaught)] if len(uncaught) else []),
    ]


def _catalogue(unseen: tuple[Sequence[str], int]) -> list[str]:
    ids, count = unseen
    if not count:
        return []
    return [
        "## Where the mistakes are from",
        f"Of {count} mistakes, {count - len(ids)} cite a place where somebody made them "
        f"(`seen` in crosscheck/faults); {len(ids)} do not, and are there because they are one "
        f"slip away from right code: {', '.join(ids)}.",
    ]


def short(frames: Frames) -> str:
    """What the terminal shows."""
    shown = [_shares(frames["families"])] if "families" in frames else []
    shown += [frames[name] for name in ("named", "alarms") if name in frames]
    if len(frames.get("rivals", ())):
        shown.append(_beside(frames["rivals"]))
    if "rules" in frames:
        shown += [table for _, _, table in rules_page.sections(frames["rules"])[:3]]
    return "\n\n".join(frame.to_string(index=False) for frame in shown if len(frame))
