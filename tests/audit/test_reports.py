"""The audit's files: each says the finding, none needs anything from outside."""

import copy
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crosscheck.audit import command, findings
from crosscheck.audit.audit import AuditPlan, audit
from crosscheck.audit.reports import (
    github,
    html,
    latex as audit_latex,
    markdown,
    words as audit_summaries,
)
from crosscheck.audit.reports.formulas import Formulas
from crosscheck.paper.equations import EQUATIONS
from crosscheck.paper.unprinted import UNPRINTED


@pytest.fixture(scope="module")
def found():
    return {**audit(AuditPlan(15), judges=[]), "command": "crosscheck audit"}


@pytest.fixture
def other(found):
    """The same with a verdict that is not the known one, a rival that disagrees, one absent."""
    changed = copy.deepcopy(found)
    changed["differences"] = ["S9 under identity at l = N: found FAILS, known is HOLDS"]
    changed["absent"] = {"jax.jacrev": "not installed"}
    row = changed["rows"][0]
    row["rivals"]["mirror"] = {**row["rivals"]["oracle"], "verdict": "FAILS"}
    row["disagreement"] = ["mirror"]
    return changed


@pytest.mark.parametrize("equation", [*EQUATIONS.values(), *UNPRINTED.values()])
def test_every_formula_can_be_set(equation):
    formulas = Formulas()
    for latex in (equation.left, "= " + equation.right):
        drawing = formulas.svg(latex, equation.summary)
        assert drawing.startswith("<svg")
        for name in re.findall(r'href="#(\w+)"', drawing):
            assert f'id="{name}"' in formulas.defs
        outline = formulas.outline(latex)
        assert outline.width > 0 < outline.height


def test_latex_that_cannot_be_set_is_refused():
    with pytest.raises(ValueError, match="frac"):
        Formulas().svg(r"\frac{1", "")


def test_json_is_strict_and_has_what_it_must(found):
    def refuse(constant):
        raise AssertionError(constant)

    read = json.loads(command.as_json(found), parse_constant=refuse)
    assert {"rows", "remedies", "unprinted", "whole", "weakness", "notes"} <= read.keys()
    needed = {
        "equation", "reading", "layer", "verdict", "max_abs_error", "bound_use",
        "architectures", "rivals", "disagreement", "holds_on", "undecided",
    }  # fmt: skip
    assert all(needed <= row.keys() for row in read["rows"])
    assert {row["layer"] for row in read["rows"] if row["equation"] in ("C1", "S0")} == {None}


def test_csv_has_a_line_a_row(found):
    lines = list(csv.DictReader(io.StringIO(command.FORMATS["csv"](found))))
    assert [line["verdict"] for line in lines] == [row["verdict"] for row in found["rows"]]
    assert [float(line["bound_use"] or 0) for line in lines] == [
        row["bound_use"] or 0 for row in found["rows"]
    ]


def test_markdown_begins_with_the_finding_and_its_tables_are_even(found):
    text = markdown.text(found)
    assert "Under neither reading" in text.split("\n\n")[1]
    for block in text.split("\n\n"):
        if block.startswith("| "):
            bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(bars) == 1
    for equation in EQUATIONS:
        assert f"\n| {equation} |" in text


def test_annotations_are_ten_at_most_and_each_is_one(other):
    other["differences"] *= 20
    other["absent"] = {"a\n::error::b": "100 %"}
    for found in (other, {**other, "differences": []}):
        lines = github.text(found).splitlines()
        pattern = r"::(error|warning|notice) title=([^:,\r\n]*)::[^\r\n]*"
        assert all(re.fullmatch(pattern, line) for line in lines)
        assert len(lines) == 10
    assert "::notice title=Not asked::a%0A::error::b was not asked: 100 %25" in lines


def test_latex_tables_are_even(found):
    text = audit_latex.text(found)
    equations, remedies = re.findall(r"\\endhead\n(.*?)\n\\bottomrule", text, re.DOTALL)
    counts = [len(re.findall(r"(?<!\\)&", line)) for line in equations.splitlines()]
    assert counts == [1, 3] * len(EQUATIONS)
    assert {len(re.findall(r"(?<!\\)&", line)) for line in remedies.splitlines()} == {4}
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 2


class Page(HTMLParser):
    """What a page opens and closes, whom it asks for anything, and what it says."""

    VOID = frozenset({"meta", "br", "rect", "use", "path", "line", "circle", "polyline"})

    def __init__(self, text):
        super().__init__()
        self.open, self.asked, self.ids, self.refers, self.words = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "srcset", "data", "action", "poster") or tag in ("script", "link"):
                self.asked.append((tag, name, value))
            if name in ("href", "xlink:href"):
                self.refers.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_well_formed_and_asks_nobody_for_anything(found):
    text = html.text(found)
    page = Page(text)
    assert page.open == []
    assert page.asked == []
    assert len(page.ids) == len(set(page.ids))
    assert {reference[1:] for reference in page.refers} <= set(page.ids)
    assert not re.search(r"https?:|@import|url\(", text)
    assert "default-src 'none'" in text


def test_the_page_begins_with_the_finding_and_shows_every_verdict_in_words(found):
    text = html.text(found)
    body = text[text.index("<body>") :]
    assert body.index("Under neither reading") < body.index("<svg")
    for verdict in ("HOLDS", "FAILS", "UNDEFINED"):
        shown = body[body.index("The equations") :].count(f'<span class="cell {verdict}" title')
        assert shown == sum(row["verdict"] == verdict for row in found["rows"])


def test_a_page_with_an_element_left_open_is_recognised():
    with pytest.raises(AssertionError):
        Page("<div><p></div>")
    assert Page('<img src="x">').asked == [("img", "src", "x")]


def test_maths_raises_lowers_and_escapes():
    assert html.maths("b^(N-1) < x_i") == "b<sup>N-1</sup> &lt; x<sub>i</sub>"
    assert html.maths("e^{-z}, at l = N") == "e<sup>-z</sup>, at l&nbsp;=&nbsp;N"


@pytest.mark.parametrize("report", [html.text, markdown.text])
def test_what_is_not_as_known_is_shown(report, other):
    text = report(other).replace("&nbsp;", " ")
    assert "differs from the known one" in text
    assert "S9 under identity at l = N: found FAILS" in text
    assert "N1 under identity at N: oracle HOLDS, mirror FAILS" in text
    assert "jax.jacrev was not asked: not installed" in text


def test_words_for_rows_and_tensors(found):
    rows = audit_summaries.rows_of(found, "S5", "identity")
    assert audit_summaries.in_words(rows) == "FAILS at N-1; HOLDS at N-2 … N-4; UNDEFINED at N"
    assert audit_summaries.whole_in_words(found, "letter", "identity", 4) == (
        "all but b^(N-1)",
        "b^(N-1)",
        "a^N (1 - a^N) is one too many",
    )
    assert audit_summaries.whole_in_words(found, "letter", "sigmoid", 2)[:2] == ("none", "all")


def test_the_committed_audit_has_the_known_verdicts():
    """reports/paper-audit.md is what the shipped table says, equation by equation."""
    text = (Path(__file__).parents[2] / "reports" / "paper-audit.md").read_text("utf-8")
    table = text[text.index("## The equations") : text.index("## The remedies")]
    lines = {line.split(" | ")[0].strip("| "): line for line in table.splitlines()}
    for equation in EQUATIONS:
        for reading in ("identity", "sigmoid"):
            rows = [
                {"layer": layer, "verdict": verdict}
                for (name, of, layer), verdict in findings.known().items()
                if (name, of) == (equation, reading)
            ]
            words = audit_summaries.in_words(rows).replace("FAILS", "**FAILS**")
            assert f"| {words} |" in lines[equation]
    assert "The outcome is the known one." in text
