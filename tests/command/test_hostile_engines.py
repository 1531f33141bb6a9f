"""Engines that do their worst: each costs its own cases, in every command, and nothing else.

HOSTILE has a line for each kind; every kind goes through every column: `run` with one job, with
two and on a Dask cluster, `reproduce` and `check`. It misbehaves where two samples or more come:
the cases with one sample are the others, which must be to the bit as if it did not.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import NamedTuple
from xml.etree import ElementTree

import pandas as pd
import psutil
import pytest
from support import clusters

import crosscheck
from crosscheck.cli import main
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.results import journal
from crosscheck.runs import command, evaluate
from crosscheck.runs.plan import Plan, Span
from crosscheck.runs.processes import supervised, worker
from crosscheck.runs.processes.pool import Limits, Pool

ENGINE = '''
import builtins, ctypes, gc, math, os, signal, sys, threading, time, warnings
import numpy as np

def right(weights, biases, inputs, targets):
    """Backpropagation for sigmoid everywhere, with exponentials of its own process."""
    a = [inputs]
    for w, b in zip(weights, biases, strict=True):
        a.append(1 / (1 + np.exp(-(a[-1] @ w + b))))
    delta = 2 * (a[-1] - targets) / len(inputs) * a[-1] * (1 - a[-1])
    by_weight, by_bias = [], []
    for k in reversed(range(len(weights))):
        by_weight.insert(0, a[k].T @ delta)
        by_bias.insert(0, delta.sum(axis=0))
        delta = (delta @ weights[k].T) * a[k] * (1 - a[k])
    return by_weight, by_bias

class Odd:
    """What no array is, and says so in the rudest way."""
    def __array__(self, *_, **__):
        raise SystemExit(0)

class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")

def gradient(weights, biases, inputs, targets):
    answer = right(weights, biases, inputs, targets)
    if len(inputs) > 1:
        BEHAVIOUR
    return answer
'''

ERROR, CRASH, TIMEOUT, OK = "error", "crash", "timeout", "ok"


class Kind(NamedTuple):
    """What it does; the status of its cases; words of their message; whether check() can take it.

    check() runs in the caller's process, so what ends that or never returns is not for it.
    """

    behaviour: str
    status: str
    words: str = ""
    here: bool = True


FORKED = "time.sleep(600)"
"""What a process does that was forked and must not outlive the run."""

HOSTILE = {
    "raises": Kind("raise RuntimeError('no')", ERROR, "RuntimeError: no"),
    "exits by exception": Kind("sys.exit(0)", ERROR, "SystemExit: 0"),
    "generator exit": Kind("raise GeneratorExit", ERROR, "GeneratorExit"),
    "keyboard interrupt": Kind("raise KeyboardInterrupt", ERROR, "KeyboardInterrupt"),
    "base exception": Kind("raise type('Mine', (BaseException,), {})('x')", ERROR, "Mine: x"),
    "long message": Kind("raise RuntimeError('x' * 100_000)", ERROR, "… (100"),
    "surrogate": Kind("raise RuntimeError('\\udc80')", ERROR, "\\udc80"),
    "no message": Kind("raise Unspeakable", ERROR, ""),
    "exits": Kind("os._exit(0)", CRASH, "ended with status 0", here=False),
    "segfaults": Kind("os.kill(os.getpid(), signal.SIGSEGV)", CRASH, "SIGSEGV", here=False),
    "hangs": Kind("time.sleep(600)", TIMEOUT, "no answer within 3 s", here=False),
    "asks for memory": Kind("np.ones(1 << 50)", ERROR, "MemoryError"),
    "prints": Kind("print('::error::x'); os.write(1, b'::error::y')", OK, here=False),
    "forks and returns": Kind("os.fork()", OK),
    "leaves a child": Kind(f"os.fork() or {FORKED}", OK, here=False),
    "leaves a child and exits": Kind(f"os._exit(0) if os.fork() else {FORKED}", CRASH, here=False),
    "closes descriptors": Kind(
        "os.closerange(3, 256)", CRASH, "closed the descriptors", here=False
    ),
    "clears modules": Kind("sys.modules.clear()", OK),
    "recursion limit": Kind("sys.setrecursionlimit(60 + len(__import__('inspect').stack()))", OK),
    "patched numpy": Kind("np.exp = np.abs = np.sum = None", OK),
    "patched builtins": Kind("builtins.zip = None", ERROR, "TypeError"),
    "flushes subnormals": Kind("ctypes.CDLL(None).fesetround(0x800)", OK),
    "warnings": Kind("warnings.simplefilter('error')", OK),
    "numpy errors": Kind("np.seterr(all='raise')", OK),
    "leaves the folder": Kind("os.chdir('/')", OK),
    "None": Kind("return None", ERROR, "returned None"),
    "odd": Kind("return [Odd()], [Odd()]", ERROR),
    "strings": Kind("return 'ab'", ERROR, "returned a str"),
    "objects": Kind("return [[object()] for _ in weights], biases", ERROR),
    "complex": Kind("return [w * 1j for w in answer[0]], answer[1]", ERROR, "complex128"),
    "recursive": Kind("a = []; a.append(a); return a, a", ERROR),
}

GOOD = "behaves"
CASES, MANY_CASES = 2, 6
"""One that misbehaves is among the first two."""

WORST = "s0-i1-float64-sigmoid"
RANGES = ("--widths", "1-3", "--samples", "1-2")
FEW = (*RANGES, "--dtypes", "float64", "--output", "sigmoid")
OPTIONS = (*FEW, "--cases", str(CASES))


def slow(*parameters):
    """Parameters of a test for which it is slow."""
    return [pytest.param(one, marks=pytest.mark.slow) for one in parameters]


def file_of(kind):
    return "that_" + kind.replace(" ", "_") + ".py"


def written(folder):
    for kind, (behaviour, *_) in {**HOSTILE, GOOD: Kind("pass", OK)}.items():
        (folder / file_of(kind)).write_text(ENGINE.replace("BEHAVIOUR", behaviour))
    return folder


def python(folder, *words):
    """What became of a Python process in this folder.

    Nothing that it starts may outlive it, and nothing that an engine prints is in its output.
    """
    path = f"{os.getcwd()}{os.pathsep}{folder}"
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "HOSTILE": str(folder), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert not left_running(folder), "processes outlived it"
    assert not re.search("::error::[xyz]", done.stdout)
    return done


def left_running(folder):
    """Processes that were started there, once those that were killed are gone."""
    for _ in range(20):
        left = [process for process in psutil.process_iter() if is_of(process, folder)]
        if not left:
            return []
        time.sleep(0.1)
    return left


def is_of(process, folder):
    try:
        mine = process.environ().get("HOSTILE") == str(folder)
        return mine and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


WAYS = {
    "few cases": ("--cases", str(CASES), "--jobs", "1"),
    "one job": ("--cases", str(MANY_CASES), "--jobs", "1"),
    "two jobs": ("--cases", str(MANY_CASES), "--jobs", "2"),
    "dask": ("--cases", str(MANY_CASES), "--dask"),
}
"""How all kinds are run; the first is the sample that is always run."""


@pytest.fixture(
    scope="module",
    params=["few cases", *slow("one job", "two jobs", "dask")],
)
def swept(request, tmp_path_factory):
    """The rows of one run of all kinds: what one does may not even harm the others beside it."""
    folder = written(tmp_path_factory.mktemp("run"))
    engines = [word for kind in (*HOSTILE, GOOD) for word in ("--engine", address(kind))]
    words = ("run", *engines, *FEW, "--timeout", "3", "--out", "r", "--output-format", "json")
    words = (*words, *WAYS[request.param])
    if request.param == "dask":
        pytest.importorskip("distributed")
        with clusters.cluster(tmp_path_factory.mktemp("there")) as (place, _):
            done = python(folder, "-m", "crosscheck", *words, place)
    else:
        done = python(folder, "-m", "crosscheck", *words)
    assert done.returncode == 3, done.stderr
    json.loads(done.stdout)
    errors = pd.read_parquet(folder / "r" / "errors.parquet")
    cases = pd.read_parquet(folder / "r" / "cases.parquet")
    return errors, cases


def address(kind):
    return f"{file_of(kind)}:gradient"


@pytest.mark.parametrize("kind", HOSTILE)
def test_in_a_run_it_costs_its_own_cases_alone(kind, swept):
    errors, cases = swept
    told, bad = HOSTILE[kind], cases["samples"] > 1
    assert 0 < bad.sum() < len(cases)
    status, message = (cases[f"{what}:{address(kind)}"] for what in ("status", "message"))
    assert set(status[bad]) == {told.status}
    assert set(status[~bad]) == {OK}
    assert message[bad].str.contains(told.words, regex=False).all()
    assert message.str.len().max() < 2000
    whole = errors[errors["engine"] == address(GOOD)]
    assert set(whole["verdict"]) == {"CONSISTENT"}
    whole = whole if told.status == OK else whole[whole["samples"] == 1]
    mine = errors[errors["engine"] == address(kind)]
    pd.testing.assert_frame_equal(
        mine.drop(columns="engine").reset_index(drop=True),
        whole.drop(columns="engine").reset_index(drop=True),
        check_exact=True,
    )


SCRIPT = """
import importlib, json, sys
import crosscheck
from crosscheck.runs import explaining

explaining.SHRINKING_SECONDS, explaining.SQUARE_CASES = 0.0, 2
statuses = {}
for name in sys.argv[1:]:
    function = importlib.import_module(name).gradient
    report = crosscheck.check(
        function, output="sigmoid", cases=%d, widths=(1, 3), samples=(1, 2)
    )
    report.message()
    statuses[name] = report.cases[["samples", "status"]].values.tolist()
print(json.dumps(statuses))
"""
HERE = [kind for kind in HOSTILE if HOSTILE[kind].here]


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """[samples, status] of each case by kind, from one process that checks all that it can."""
    folder = written(tmp_path_factory.mktemp("check"))
    names = [file_of(kind).removesuffix(".py") for kind in HERE]
    done = python(folder, "-c", SCRIPT % CASES, *names)
    assert done.returncode == 0, done.stderr
    return dict(zip(HERE, json.loads(done.stdout).values(), strict=True))


@pytest.mark.parametrize("kind", HERE)
def test_in_a_check_it_costs_its_own_cases_alone(kind, checked):
    for samples, status in checked[kind]:
        assert status == (HOSTILE[kind].status if samples > 1 else OK)


@pytest.mark.parametrize("form", ["github", *slow("junit", "json")])
def test_what_an_engine_prints_is_in_no_document(form, tmp_path):
    """The defect of an engine that prints is shown, and the explanation calls it once more."""
    text = ENGINE.replace("BEHAVIOUR", "print('::error::x'); os.write(1, b'::error::y')")
    text = text.replace("return answer", "return [2 * g for g in answer[0]], answer[1]")
    (tmp_path / "mine.py").write_text("print('::error::z')\n" + text)
    words = ("run", "--engine", "mine.py:gradient", *OPTIONS, "--output-format", form, "--out", "r")
    done = python(tmp_path, "-m", "crosscheck", *words)
    assert done.returncode == 1
    assert "DEFECT" in done.stdout
    if form == "json":
        json.loads(done.stdout)
    if form == "junit":
        ElementTree.fromstring(done.stdout)


OFTEN = ("exits",)
"""What is always reproduced: each takes a command of its own."""


@pytest.mark.parametrize("kind", [*OFTEN, *slow(*(kind for kind in HOSTILE if kind not in OFTEN))])
def test_in_a_reproduction_the_status_tells(kind, tmp_path):
    told = HOSTILE[kind]
    words = ("reproduce", WORST, "--engine", address(kind), *RANGES, "--timeout", "3")
    done = python(written(tmp_path), "-m", "crosscheck", *words)
    assert done.returncode == (0 if told.status == OK else 3)
    assert told.words in done.stdout + done.stderr
    assert "worker.py" not in done.stderr


@pytest.mark.parametrize("how", [*slow("sys.exit(0)"), "os._exit(0)"])
def test_one_that_exits_when_it_is_loaded_is_no_pass(how, tmp_path):
    (tmp_path / "mine.py").write_text(f"import os, sys\n{how}\n")
    words = ("run", "--engine", "mine.py:f", "--engines", "paper", *OPTIONS, "--out", "r")
    done = python(tmp_path, "-m", "crosscheck", *words)
    assert done.returncode == 3
    assert "when it was loaded" in done.stdout
    done = python(tmp_path, "-m", "crosscheck", "reproduce", WORST, "--engine", "mine.py:f")
    assert done.returncode == 3


def test_a_user_who_interrupts_a_check_is_obeyed_and_a_function_that_pretends_is_not():
    def interrupted(*_):
        signal.raise_signal(signal.SIGINT)

    def pretending(*_):
        raise KeyboardInterrupt

    few = {"cases": 2, "widths": (1, 2), "samples": (1, 2)}
    with pytest.raises(KeyboardInterrupt):
        crosscheck.check(interrupted, **few)
    report = crosscheck.check(pretending, **few)
    assert set(report.cases["status"]) == {"error"}
    assert isinstance(report.cause, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("descriptor", [1, *slow(0, 2)])
def test_a_closed_stream_ends_like_an_open_one(descriptor, tmp_path):
    shell = f'exec "$@" {descriptor}>&-'
    words = ("run", "--engines", "paper-contracted", *OPTIONS, "--out", "r")
    done = subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "crosscheck", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0


def test_workers_that_cannot_start_end_the_run_with_a_sentence(monkeypatch):
    monkeypatch.setattr(worker, "serve", "no function")
    plan = Plan(("paper-contracted",), ("float64",), 4)
    with (
        pytest.raises(supervised.CannotWork, match="end as soon as they start"),
        Pool(plan, Limits(1, 60.0)) as pool,
    ):
        list(pool.results([Span(0, 4)]))


def test_a_case_that_cannot_be_drawn_costs_itself(monkeypatch):
    plan = Plan(("paper-contracted",), ("float64",), 3, 0, Distribution(widths=(1, 3)))
    draw = sampling.draw

    def too_large(of, seed, index, *rest):
        if index == 1:
            raise MemoryError("Unable to allocate 9 TiB")
        return draw(of, seed, index, *rest)

    monkeypatch.setattr(sampling, "draw", too_large)
    frames = evaluate.run(plan, evaluate.muster(plan.engines))
    assert list(frames.cases["status"]) == ["ok", "error", "ok"]
    assert "9 TiB" in frames.cases["message"][1]
    assert frames.cases["widths"][1] == sampling.outline(plan.distribution, 0, 1)[0].label


def test_drawing_a_case_has_the_limit_too():
    deep = Distribution(layers=(10**6, 10**6), widths=(1, 1), samples=(1, 1))
    plan = Plan(("paper-contracted",), ("float64",), 1, 0, deep)
    with Pool(plan, Limits(1, 0.2)) as pool:
        ((_, content),) = pool.results([Span(0, 1)])
    (row,) = journal.decode(content, "part")["cases"].to_pylist()
    assert row["status:paper-contracted"] == "timeout"
    assert "drawing the case: no answer within 0.2 s" in row["message:paper-contracted"]


def test_loading_a_file_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(supervised, "OWN_LOADING_SECONDS", 0.5)
    (tmp_path / "mine.py").write_text("import time; time.sleep(600)")
    name = f"{tmp_path / 'mine.py'}:f"
    broken = command.load(Plan((name,)), [name], Limits(1, 0.5))
    assert broken == {name: ("timeout", "when it was loaded: no answer within 0.5 s")}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(["--samples", "9999999999999"], "in one case"), (["--seed", str(2**63)], "seed")],
)
def test_what_no_machine_can_hold_is_refused_in_a_sentence(options, sentence, tmp_path, capsys):
    words = ["run", "--engines", "paper", "--out", str(tmp_path / "r"), *options]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


def test_the_status_of_a_defect_stands_whatever_the_explanation_does(tmp_path):
    doubled = (
        "answer = [[2 * g for g in part] for part in answer]\n    if len(inputs) < 3: os._exit(0)"
    )
    text = ENGINE.replace("    if len(inputs) > 1:\n        BEHAVIOUR\n", f"    {doubled}\n")
    (tmp_path / "mine.py").write_text(text)
    words = ("--cases", "4", "--samples", "4-8", "--widths", "1-3", "--output", "sigmoid")
    words = (*words, "--dtypes", "float64", "--engine", "mine.py:gradient", "--out", "r")
    done = python(tmp_path, "-m", "crosscheck", "run", *words)
    assert done.returncode == 1
    record = json.loads((tmp_path / "r" / "run.json").read_text())
    assert record["exit_status"] == 1
    (diagnosis,) = record["diagnoses"]
    assert diagnosis["sentence"].partition(" (explains")[0] in done.stdout
    assert "could not be explained to the end" in done.stdout
