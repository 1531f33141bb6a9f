"""Runs that differ in rounding alone, or in one planted mistake: a program for test_gate_kernels.

    python kernels.py FOLDER CASES ORDERS DTYPES SEED

writes one finished run per order of summation into FOLDER, and one run with planted mistakes.
The kernel and the threads of the BLAS are those of the environment variables.
"""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines import registry
from crosscheck.networks.network import Gradients
from crosscheck.results import environment, finished
from crosscheck.runs import evaluate
from crosscheck.runs.output import folder

ENGINES = ("paper-contracted", "torch.backward")


class Permuted:
    """An engine that is given samples and neurons in another order: the same sums, reordered."""

    def __init__(self, engine, order):
        self.engine, self.order, self.name = engine, order, engine.name

    def supports(self, architecture, dtype):
        return self.engine.supports(architecture, dtype)

    def arithmetic(self, dtype):
        return self.engine.arithmetic(dtype)

    def gradients(self, case):
        rng = np.random.default_rng([self.order, case.index])
        sizes = (*case.architecture.widths, case.samples)
        *neurons, samples = [rng.permutation(n) if self.order else np.arange(n) for n in sizes]
        places = [np.ix_(i, j) for i, j in pairwise(neurons)]
        given = replace(
            case,
            weights=tuple(w[p].copy() for w, p in zip(case.weights, places, strict=True)),
            biases=tuple(b[n].copy() for b, n in zip(case.biases, neurons[1:], strict=True)),
            inputs=case.inputs[np.ix_(samples, neurons[0])].copy(),
            targets=case.targets[np.ix_(samples, neurons[-1])].copy(),
        )
        found = self.engine.gradients(given)
        weights = [_put(w, p) for w, p in zip(found.weights, places, strict=True)]
        biases = [_put(b, n) for b, n in zip(found.biases, neurons[1:], strict=True)]
        return Gradients(found.cost, weights, biases)


def _put(values, place):
    back = np.empty_like(values)
    back[place] = values
    return back


class Mistaken:
    """Backpropagation by hand, with a mistake planted in it, or none."""

    def __init__(self, name, mistake=""):
        self.name, self.mistake = name, mistake

    def supports(self, architecture, dtype):
        return architecture.hidden == "sigmoid"

    def arithmetic(self, dtype):
        return Arithmetic(dtype, "contracted")

    def gradients(self, case):
        weights, biases = self._backward(case, case.dtype)
        if self.mistake == "2 bits in 5 %" and case.index % 20 == 7:
            wide = self._backward(case, "longdouble")
            quadrupled = [
                [(4 * g - 3 * exact.astype(g.dtype)) for g, exact in zip(got, right, strict=True)]
                for got, right in zip((weights, biases), wide, strict=True)
            ]
            weights, biases = quadrupled
        if self.mistake == "one defect" and case.index == 613:
            weights[0][0, 0] = weights[0][0, 0] * 2 + 1
        return Gradients(None, weights, biases)

    def _backward(self, case, dtype):
        ws, bs = ([t.astype(dtype) for t in part] for part in (case.weights, case.biases))
        a = [case.inputs.astype(dtype)]
        last = len(ws) - 1
        for k, (w, b) in enumerate(zip(ws, bs, strict=True)):
            z = self._product(a[k], w, k == 0) + b
            with np.errstate(over="ignore"):
                sigmoid = k < last or case.architecture.output == "sigmoid"
                a.append(1 / (1 + np.exp(-z)) if sigmoid else z)
        delta = (a[-1] - case.targets.astype(dtype)) * 2 / case.samples
        if case.architecture.output == "sigmoid":
            delta = delta * self._slope(a[-1])
        weights, biases = [], []
        for k in reversed(range(len(ws))):
            weights.insert(0, a[k].T @ delta)
            biases.insert(0, delta.sum(0))
            if k:
                delta = (delta @ ws[k].T) * self._slope(a[k])
        return weights, biases

    def _product(self, a, w, first):
        if self.mistake == "tf32" and first and a.dtype == np.float32:
            return _tf32(a) @ _tf32(w)
        return a @ w

    def _slope(self, a):
        if self.mistake == "slope in float32" and a.dtype == np.float64:
            narrow = a.astype(np.float32)
            return (narrow * (1 - narrow)).astype(np.float64)
        return a * (1 - a)


def _tf32(array):
    """Ten bits of significand, rounded to nearest."""
    bits = array.view(np.uint32) + np.uint32(1 << 12)
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)


MISTAKES = ("", "tf32", "slope in float32", "2 bits in 5 %", "one defect")


def crew_of(orders):
    """Each engine in each order, and the planted mistakes, all judged by the same evidence."""
    crew = {}
    for order in range(orders):
        for name in ENGINES:
            crew[f"{name}#{order}"] = Permuted(registry.load(name), order)
    for mistake in MISTAKES:
        crew[f"by hand#planted {mistake}"] = Mistaken("by hand", mistake)
    return crew


def split(frames, record, out):
    """A finished run for each mark after the # of an engine's name."""
    marks = sorted({name.partition("#")[2] for name in frames.errors["engine"].unique()})
    for mark in marks:
        errors = frames.errors[frames.errors["engine"].str.endswith(f"#{mark}")]
        errors = errors.assign(engine=errors["engine"].str.partition("#")[0])
        others = [c for c in frames.cases if "#" in c and c.partition("#")[2] != mark]
        cases = frames.cases.drop(columns=others)
        cases = cases.rename(columns=lambda column: column.partition("#")[0])
        place = out / mark.replace(" ", "-").replace("%", "percent")
        place.mkdir(parents=True)
        tables = {"errors": errors.reset_index(drop=True), "cases": cases}
        folder.write(place, {**tables, "pairs": frames.pairs.head(0)}, record)
        finished.seal(place)


def main(out, cases, orders, dtypes, seed):
    crew = crew_of(orders)
    plan = evaluate.Plan(tuple(crew), dtypes, cases, seed, deep="none", certify="none")
    portions = list(evaluate.evaluate_block(plan, crew, plan.whole))
    record = {
        "schema_version": 1,
        "command": "crosscheck run",
        "plan": plan.as_json(),
        "exit_status": 0,
        "environment": environment.describe(),
    }
    split(evaluate.as_frames(portions, list(crew)), record, Path(out))


if __name__ == "__main__":
    out, cases, orders, dtypes, seed = sys.argv[1:]
    main(out, int(cases), int(orders), tuple(dtypes.split(",")), int(seed))
