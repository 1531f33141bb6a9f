"""Finished runs of invented numbers, for the tests of what knows rows only."""

import random

import numpy as np
import pandas as pd

from crosscheck.results import rows
from crosscheck.results.finished import FinishedRun


def run(cases=40, engines=("a", "b"), dtypes=("float32",), kernel=0, shift=None, cpu="one"):
    places, tensors = [], []
    of_case = np.random.default_rng(1)
    noise = {e: np.random.default_rng([2, kernel, n]) for n, e in enumerate(engines)}
    for index in range(cases):
        for dtype in dtypes:
            place = _place(index, dtype)
            places.append(_case_row(place, engines))
            for tensor in ("w2", "b2", "w3", "b3"):
                level = of_case.normal(5, 2)
                for engine in engines:
                    bits = level + noise[engine].normal(0, 0.3)
                    bits += shift(engine, index) if shift else 0
                    tensors.append(_error_row(place, engine, tensor, 2.0**bits))
    columns = dict(rows.CASES)
    for engine in engines:
        columns.update(rows.engine_columns(engine))
    record = {
        "schema_version": rows.SCHEMA_VERSION,
        "command": "crosscheck run",
        "plan": {"cases": cases, "distribution": {"layers": [3, 3]}},
        "exit_status": 0,
        "environment": {"cpu": cpu, "packages": {"numpy": "2"}},
    }
    frames = frame(tensors, rows.ERRORS), frame(places, columns), frame([], rows.PAIRS)
    return FinishedRun(*frames, record)


def frame(found, columns):
    """A frame with exactly these columns, in this order and of these types, even if empty."""
    types = {name: column.dtype for name, column in columns.items()}
    return pd.DataFrame(list(found), columns=list(columns)).astype(types)


def _place(index, dtype):
    output = ("identity", "sigmoid")[index % 2]
    place = {"case": f"s0-i{index}-{dtype}-{output}", "index": index, "layers": 3}
    place |= {"widths": "3-5-2", "samples": 4, "hidden": "sigmoid", "output": output}
    return place | {"scale": (1.0, 5.0, 20.0)[index % 3], "dtype": dtype}


def _case_row(place, engines):
    row = {"seed": 0, "cost": "squared_error", "special": "", "parameters": 32}
    row |= {"definition": f"definition of {place['case']}", "reference": "float64"}
    row |= {"reference_radius": 1e-9, "status": "ok", "seconds": 0.1, "message": ""}
    for number, engine in enumerate(engines, start=1):
        row |= {f"status:{engine}": "ok", f"message:{engine}": ""}
        row |= {f"seconds:{engine}": 1e-4 * number}
    return place | row


def _error_row(place, engine, tensor, ulps):
    error = ulps * 2.0**-24
    row = {"engine": engine, "tensor": tensor, "entries": 15, "mismatched": 0}
    row |= {"max_abs_error": error, "max_rel_error": error, "max_ulp": ulps}
    row |= {"median_ulp": ulps / 4, "effective_bits": max(0.0, 24 - np.log2(ulps))}
    row |= {"bound_use": error, "power": 1e-4, "verdict": "CONSISTENT", "reason": ""}
    row |= {"worst_index": "[0, 0]", "got": 1 + error, "exact": 1.0, "bound": 1.0}
    return place | row | {"radius": 1e-9, "got_hex": (1 + error).hex(), "exact_hex": "0x1p+0"}


def changed(run, **columns):
    """The run with these columns of its errors set for the case of index 3 and engine a."""
    errors = run.errors.copy()
    where = (errors["index"] == 3) & (errors["engine"] == "a")
    for column, value in columns.items():
        errors.loc[where, column] = value
    return FinishedRun(errors, run.cases, run.pairs, run.record)


def mutations(content, count, seed=0):
    """Bytes flipped, cut off, put in, taken out, doubled, at random places."""
    rng = random.Random(seed)
    for _ in range(count):
        at, length = rng.randrange(len(content)), rng.randrange(1, 40)
        yield rng.choice(
            [
                content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :],
                content[:at],
                content[:at] + rng.randbytes(length) + content[at:],
                content[:at] + content[at + length :],
                content[:at] + content[at : at + length] * 2 + content[at + length :],
            ]
        )


def failing(run, engine, every, status="crash"):
    """The run in which the engine fails on each case whose index is a multiple of `every`."""
    gone = run.cases["index"] % every == 0
    cases = run.cases.copy()
    cases.loc[gone, [f"status:{engine}", "status"]] = status
    cases.loc[gone, f"message:{engine}"] = "killed by signal 11" + "\n<b>\x1b" * ("<" in engine)
    cases.loc[gone, f"seconds:{engine}"] = np.nan
    lost = run.errors["case"].isin(cases.loc[gone, "case"]) & (run.errors["engine"] == engine)
    return FinishedRun(
        run.errors[~lost].reset_index(drop=True), cases, run.pairs, run.record | {"exit_status": 3}
    )
