"""A run as JUnit XML: a test case per engine × dtype × group, as CI servers show them."""

import re
from xml.etree import ElementTree

import pandas as pd

from crosscheck.reports import worst
from crosscheck.reports.visible import visible
from crosscheck.reports.words import short
from crosscheck.results.finished import FinishedRun
from crosscheck.results.rows import engine_names

GROUP = ["output", "kind"]
"""A group: the output activation, and weights or biases."""

ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML has no way to hold."""


def report(run: FinishedRun) -> str:
    """A suite per engine × dtype; a DEFECT fails, a crash is an error, what did not run is skipped.

    What a baseline said stands in a suite of its own.
    """
    root = ElementTree.Element("testsuites", name="crosscheck")
    for engine in engine_names(run.cases):
        for dtype in run.cases["dtype"].unique():
            root.append(_suite(run, engine, dtype))
    if run.comparison:
        root.append(_gate(run.comparison))
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, 0)) for suite in root)))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n"


def _suite(run: FinishedRun, engine: str, dtype: str) -> ElementTree.Element:
    name = f"{engine} {dtype}"
    mine = run.errors[(run.errors["engine"] == engine) & (run.errors["dtype"] == dtype)]
    cases = run.cases[run.cases["dtype"] == dtype]
    mine = mine.assign(kind=mine["tensor"].str[0].map({"w": "weights", "b": "biases"}))
    by = ["mode", "tensor"] if run.of_functions else GROUP
    tests = [_ran(cases, engine, name)]
    tests += [
        _group(run, group, " ".join(map(str, key)), name)
        for key, group in mine.groupby(by, sort=True)
    ]
    return _counted(name, tests)


def _counted(name: str, tests: list[ElementTree.Element]) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=legal(name), tests=str(len(tests)))
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(test.find(tag) is not None for test in tests)))
    suite.extend(tests)
    return suite


def _ran(cases: pd.DataFrame, engine: str, suite: str) -> ElementTree.Element:
    """Whether the engine ran at all: an error or a skip, with how often and why."""
    test = _test("runs", suite)
    status = cases[f"status:{engine}"]
    messages = cases[f"message:{engine}"]
    failed = status.isin(["error", "crash", "timeout"])
    if failed.any():
        kind = status[failed].iloc[0]
        text = f"{kind} on {failed.sum()} of {len(cases)} cases: {messages[failed].iloc[0]}"
        ElementTree.SubElement(test, "error", message=legal(text), type=str(kind))
    elif (status == "unsupported").all():
        why = messages.iloc[0] if len(messages) else "the run has no case"
        ElementTree.SubElement(test, "skipped", message=legal(str(why)))
    return test


def _group(run: FinishedRun, group: pd.DataFrame, name: str, suite: str) -> ElementTree.Element:
    test = _test(name, suite)
    wrong = group[group["verdict"] == "DEFECT"]
    if len(wrong):
        row = wrong.sort_values("bound_use", ascending=False, kind="stable").iloc[0]
        text = (
            f"DEFECT in {len(wrong)} of {len(group)} tensors; worst {row['tensor']}"
            f"{row['worst_index']} of {worst.where(row.to_dict())}: got {short(row['got'])}, exact "
            f"{short(row['exact'])}, the bound allows {short(row['bound'])}"
        )
        failure = ElementTree.SubElement(test, "failure", message=legal(text), type="DEFECT")
        failure.text = legal(worst.reproduce(run.record, row["case"], row["engine"]))
    elif (group["verdict"] == "INCONCLUSIVE").all():
        reason = legal(f"INCONCLUSIVE: {group['reason'].iloc[0]}")
        ElementTree.SubElement(test, "skipped", message=reason)
    return test


def _gate(comparison: dict[str, object]) -> ElementTree.Element:
    test = _test("no regression", "baseline")
    if comparison["exit_status"]:
        text = legal(str(comparison["sentence"]))
        kind = "regression" if comparison["exit_status"] == 1 else "not comparable"
        ElementTree.SubElement(test, "failure", message=text, type=kind)
    return _counted(f"baseline {comparison['baseline']}", [test])


def _test(name: str, suite: str) -> ElementTree.Element:
    return ElementTree.Element("testcase", name=legal(name), classname=legal(suite))


def legal(text: str) -> str:
    """The text with an escape for what acts, and without the characters that XML cannot hold."""
    return ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", visible(text))
