"""The pool: an engine that hangs, dies, leaks or babbles costs its own cases and no others."""

import signal

import pyarrow as pa
import pytest

from crosscheck.networks.distribution import Distribution
from crosscheck.results import journal, rows
from crosscheck.runs import evaluate
from crosscheck.runs.plan import Plan, Span
from crosscheck.runs.processes.pool import Limits, Pool
from crosscheck.runs.processes.supervised import how_it_ended

ENGINE = '''
import os, signal, sys, time
import numpy as np
from crosscheck.paper import fast

def right(weights, biases, inputs, targets):
    found = fast.gradient(weights, biases, inputs, targets, linear=True)
    return found.weights, found.biases

def chosen(inputs):
    """About a tenth of the cases, by their numbers."""
    return int.from_bytes(inputs.tobytes()[:3], "little") % 10 == 0

def gradient(weights, biases, inputs, targets):
    if chosen(inputs):
        BEHAVIOUR
    return right(weights, biases, inputs, targets)
'''
BEHAVIOURS = {
    "raises": ("raise RuntimeError('no')", "error", "RuntimeError: no"),
    "hangs": ("time.sleep(1000)", "timeout", "no answer within 1 s"),
    "segfaults": ("os.kill(os.getpid(), signal.SIGSEGV)", "crash", "killed by SIGSEGV"),
    "is killed": ("os.kill(os.getpid(), signal.SIGKILL)", "crash", "killed by SIGKILL"),
    "exits": ("os._exit(7)", "crash", "ended with status 7"),
    "exits as if well": ("os._exit(0)", "crash", "ended with status 0"),
    "leaks": (
        "hoard = [np.ones(1 << 22) for _ in range(1000) if not time.sleep(0.002)]",
        "crash",
        "passed the memory limit of 300 MiB",
    ),
}
SMALL = Distribution(layers=(2, 3), widths=(1, 4), samples=(1, 4), output="identity")
LIMITS = Limits(jobs=2, timeout=60, memory=300 << 20)
QUICK = Limits(jobs=2, timeout=1)
CASES = 20


def written(folder, behaviour):
    """The name of an engine that behaves so in a tenth of its cases."""
    path = folder / "engine.py"
    path.write_text(ENGINE.replace("BEHAVIOUR", behaviour))
    return f"{path}:gradient"


def rows_of(plan, limits=LIMITS):
    """errors, cases of a plan, through the pool, in order, without times."""
    with Pool(plan, limits) as pool:
        spans = (Span(start, min(start + 10, plan.cases)) for start in range(0, plan.cases, 10))
        parts = {span: journal.decode(content, "part") for span, content in pool.results(spans)}
    assert sum(span.size for span in parts) == plan.cases
    tables = [parts[span] for span in sorted(parts)]
    errors = [row for table in tables for row in table["errors"].to_pylist()]
    cases = [row for table in tables for row in table["cases"].to_pylist()]
    return errors, [{k: v for k, v in row.items() if "seconds" not in k} for row in cases]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the same engine gives when it behaves."""
    name = written(tmp_path_factory.mktemp("good"), "pass")
    plan = Plan((name, "paper-contracted"), ("float64",), CASES, 3, SMALL)
    return rows_of(plan)


@pytest.mark.parametrize("kind", list(BEHAVIOURS))
def test_only_the_cases_of_the_misbehaviour_are_lost(kind, tmp_path, undisturbed):
    behaviour, status, message = BEHAVIOURS[kind]
    name = written(tmp_path, behaviour)
    plan = Plan((name, "paper-contracted"), ("float64",), CASES, 3, SMALL)
    errors, cases = rows_of(plan, QUICK if kind == "hangs" else LIMITS)
    bad = {row["case"] for row in cases if row[f"status:{name}"] != "ok"}
    assert 1 <= len(bad) < CASES / 3
    for row in cases:
        if row["case"] in bad:
            assert row[f"status:{name}"] == row["status"] == status
            assert message in row[f"message:{name}"]
        assert row["status:paper-contracted"] == "ok"
    whole = [row for row in undisturbed[0] if ":" not in row["engine"] or row["case"] not in bad]
    assert [anonymous(row) for row in errors] == [anonymous(row) for row in whole]


def anonymous(row):
    """A row without the folder that its engine lies in; NaN equals NaN."""
    engine = "own" if ":" in row["engine"] else row["engine"]
    return repr({**row, "engine": engine})


def test_a_megabyte_of_print_reaches_no_terminal(tmp_path, capfd):
    name = written(tmp_path, "print('x' * (1 << 20)); os.write(2, b'y' * (1 << 20))")
    _errors, cases = rows_of(Plan((name,), ("float64",), CASES, 3, SMALL))
    assert {row["status"] for row in cases} == {"ok"}
    out, err = capfd.readouterr()
    assert "xxx" not in out
    assert "yyy" not in err


def test_an_engine_that_ends_the_process_when_it_is_loaded_is_named(tmp_path):
    path = tmp_path / "engine.py"
    path.write_text("import os\nos._exit(9)\n")
    name = f"{path}:gradient"
    errors, cases = rows_of(Plan((name, "paper-contracted"), ("float64",), 3, 3, SMALL))
    assert {row[f"status:{name}"] for row in cases} == {"crash"}
    assert "when it was loaded" in cases[0][f"message:{name}"]
    assert {row["engine"] for row in errors} == {"paper-contracted"}


THREADS = """
import numpy
from threadpoolctl import threadpool_info

def gradient(weights, biases, inputs, targets):
    counts = {pool["num_threads"] for pool in threadpool_info()}
    raise RuntimeError(f"threads {counts}")
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_worker_has_one_thread_at_any_number_of_jobs(jobs, tmp_path):
    (tmp_path / "engine.py").write_text(THREADS)
    name = f"{tmp_path / 'engine.py'}:gradient"
    _, cases = rows_of(Plan((name,), ("float64",), 2, 0, SMALL), Limits(jobs, 60))
    assert cases
    assert all(row["message"].startswith("RuntimeError: threads {1}") for row in cases)


def test_rows_do_not_depend_on_the_process_or_the_spans(undisturbed):
    plan = Plan(("paper-contracted",), ("float64",), CASES, 3, SMALL)
    here = evaluate.run(plan, evaluate.muster(plan.engines)).errors
    there = [row for row in undisturbed[0] if row["engine"] == "paper-contracted"]
    table = pa.Table.from_pylist(there, rows.schema(rows.ERRORS))
    assert here.to_csv() == rows.as_frame(table, rows.ERRORS).to_csv()


@pytest.mark.parametrize(
    ("code", "words"),
    [(-signal.SIGSEGV, "killed by SIGSEGV"), (-99, "killed by signal 99"), (3, "with status 3")],
)
def test_the_end_of_a_process_in_words(code, words):
    assert words in how_it_ended(code)
