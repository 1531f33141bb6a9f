"""A case by its id, what an engine does there entry by entry, and a test to copy."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from crosscheck.arithmetic.conventions import READINGS
from crosscheck.arithmetic.formats import FORMATS
from crosscheck.engines.interface import Engine, require
from crosscheck.engines.user import function as user_engine
from crosscheck.faults.shrinking import Failure, failure, shrink
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Array, Case, Gradients
from crosscheck.networks.ranges import whole
from crosscheck.results import outcome
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.measures import flat

CASE_ID = re.compile(r"s(\d+)-i(\d+)-([a-z0-9]+)(?:-([a-z_]+))?")

ENTRIES_SHOWN = 40


def rebuild(case_id: str, of: Distribution) -> Case:
    """The case of this id, drawn from the distribution.

    Raises ValueError for what is no id of a case.
    """
    match = CASE_ID.fullmatch(case_id)
    if match is None:
        raise ValueError(f"{case_id!r} is no case: a case reads like s0-i17-float64-sigmoid")
    seed, index, dtype, output = match.groups()
    if dtype not in FORMATS:
        raise ValueError(f"unknown dtype {dtype!r} in {case_id}: known are {', '.join(FORMATS)}")
    if output is None and of.output not in ("both", *READINGS):
        output = of.output
    if output is not None and output not in (*READINGS, of.output):
        of = replace(of, output=output)
    places = whole("seed", int(seed)), whole("index", int(index))
    return sampling.draw(of, *places, dtype, output)


def entries(engine: Engine, case: Case) -> pd.DataFrame:
    """A row per entry of the gradient: tensor, got, exact, error, bound and whether it is right."""
    gradients: Gradients = engine.gradients(case)
    require(case, gradients)
    evidence = Evidence(case)
    allowed, got = (
        flat([[tensors]])
        for tensors in (
            evidence.bound(engine.arithmetic(case.dtype)).tensors,
            gradients.tensors(),
        )
    )
    ruler, architecture = evidence.ruler, case.architecture
    error = ruler.error(got)
    return pd.DataFrame(
        {
            "entry": [
                f"{name}{list(place)}"
                for name, shape in zip(
                    architecture.tensor_names, architecture.tensor_shapes, strict=True
                )
                for place in np.ndindex(shape)
            ],
            "got": got[0],
            "exact": ruler.hi,
            "error": error[0],
            "bound": allowed[0],
            "wrong": ruler.beyond(got, error, allowed)[0],
        }
    )


NATIVE = {
    "torch": ("import torch", "torch.from_numpy(x)", "{}.detach().numpy()"),
    "jax": ("import jax.numpy as jnp", "jnp.asarray(x)", "np.asarray({})"),
}
"""For native arrays: what to import, how to make one of x, and how NumPy sees it again."""


def as_test(address: str, case: Case, expected: pd.DataFrame | None, arrays: str = "numpy") -> str:
    """A test to copy: pytest and NumPy alone, the numbers as exact literals.

    `expected` is the frame of `entries`, or None where the function raises or returns no
    gradient, so that calling it is the test.
    """
    place, _, function = address.rpartition(":")
    if place.endswith(".py"):
        imports = ["import runpy", "import sys", "", "import numpy as np", ""]
        imports += [f"sys.path.insert(0, {str(Path(place).parent)!r})  # for its neighbours"]
        imports += [f"{function} = runpy.run_path({place!r})[{function!r}]"]
    else:
        imports = ["import numpy as np", f"from {place} import {function}"]
    name = re.sub(r"\W", "_", case.id)
    body = [f"def test_gradient_of_{name}():", *_literals(case)]
    call = f"    by_weight, by_bias = {function}(weights, biases, inputs, targets)"
    if arrays in NATIVE:
        native, make, back = NATIVE[arrays]
        imports.insert(imports.index("import numpy as np") + 1, native)
        body += [
            f"    weights, biases = [{make} for x in weights], [{make} for x in biases]",
            f"    inputs, targets = [{make} for x in (inputs, targets)]",
            call,
            *(f"    {t} = [{back.format('g')} for g in {t}]" for t in ("by_weight", "by_bias")),
        ]
    else:
        body.append(call)
    body += _assertions(case, expected)
    return "\n".join([*imports, "", "", *body, ""])


def _literals(case: Case) -> list[str]:
    def one(array: Array) -> str:
        numbers = np.asarray(array, np.float64).tolist()
        kind = "" if case.dtype == "float64" else f", np.{case.dtype}"
        return f"np.array({numbers!r}{kind})"

    return [
        f"    # {case.architecture.label}, D = {case.samples}, {case.architecture.hidden} hidden "
        f"layers, {case.architecture.output} output, {case.architecture.cost}",
        f"    weights = [{', '.join(map(one, case.weights))}]",
        f"    biases = [{', '.join(map(one, case.biases))}]",
        f"    inputs = {one(case.inputs)}",
        f"    targets = {one(case.targets)}",
    ]


def _assertions(case: Case, expected: pd.DataFrame | None) -> list[str]:
    """Shapes, and each tensor within what its rounding errors can be."""
    lines = []
    start = 0
    for which, (name, shape) in enumerate(
        zip(case.architecture.tensor_names, case.architecture.tensor_shapes, strict=True)
    ):
        got = f"{('by_weight', 'by_bias')[which % 2]}[{which // 2}]"
        lines.append(f"    assert {got}.shape == {shape}")
        if expected is None:
            continue
        rows = expected.iloc[start : start + int(np.prod(shape))]
        start += len(rows)
        exact, bound = (np.array(rows[c]).reshape(shape).tolist() for c in ("exact", "bound"))
        lines += [
            f"    exact_{name} = np.array({exact!r})",
            f"    bound_{name} = np.array({bound!r})  # what rounding alone may be off by",
            f"    assert np.all(np.abs({got} - exact_{name}) <= bound_{name}), {got}",
        ]
    return lines


class Reproduction(NamedTuple):
    """What `crosscheck reproduce` prints, and its exit status: 1 a defect, 3 no gradient."""

    text: str
    exit_status: int

    @property
    def fails(self) -> bool:
        return self.exit_status != outcome.OK


def describe(
    engine: Engine, address: str, case: Case, seconds: float | None, full: bool = False
) -> Iterator[Reproduction]:
    """What the engine does on the case; with `seconds`, then on the smallest that fails as well.

    That is looked for so long. `address` is how a test finds the function, or empty. Of what a
    function raised the last lines are shown, or all: `full`.
    """
    found = failure(engine, case)
    of = case.architecture
    head = f"{case.id}: {of.label}, {of.output} output, D = {case.samples}, {case.dtype}"
    if found is None:
        text = f"{head}\n{engine.name} is within its bound here.\n\n{_table(engine, case)}"
        yield Reproduction(text, outcome.OK)
        return
    status = outcome.DEFECT if found.kind == "DEFECT" else outcome.FAILED
    parts = [head, f"{engine.name} fails: {found.message}"]
    cause = getattr(engine, "cause", None)
    if cause is not None:
        parts.append(user_engine.their_traceback(cause, full))
    yield Reproduction("\n\n".join([*parts, *_shown(engine, address, case, found)]), status)
    if seconds is not None:
        try:
            case = shrink(engine, case, seconds)
            sentence = f"Smallest case that fails: {case.architecture.label}, D = {case.samples}"
        except ValueError as why:  # it fails no more
            sentence = str(why)
        parts.append(sentence)
        yield Reproduction("\n\n".join([*parts, *_shown(engine, address, case, found)]), status)


def _shown(engine: Engine, address: str, case: Case, found: Failure) -> list[str]:
    """The entries, where there are some, and a test to copy, of a function that it can find."""
    parts, computed = [], None
    if found.kind == "DEFECT":
        parts.append(_table(engine, case))
        computed = entries(engine, case)
    if address:
        arrays = getattr(engine, "arrays", "numpy")
        parts.append("A test to copy:\n\n" + as_test(address, case, computed, arrays))
    return parts


def _table(engine: Engine, case: Case) -> str:
    frame = entries(engine, case)
    frame = frame.sort_values("wrong", ascending=False, kind="stable")
    shown = frame.head(ENTRIES_SHOWN)
    more = f"\n… and {len(frame) - len(shown)} more" if len(frame) > len(shown) else ""
    return shown.to_string(index=False, float_format=lambda x: f"{x:.17g}") + more
