"""The report of one call as HTML: what it shows, that it is closed, and safe in a notebook."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import crosscheck
from crosscheck.reports.page import fragment
from crosscheck.results import outcome

VOID = {"meta", "link", "line", "circle"}


def value(x):
    return np.sum(np.tanh(x) ** 2)


def slope(factor):
    def gradient(x):
        h = np.tanh(x)
        return factor * h * (1 - h * h)

    return gradient


def wrong_network(weights, biases, inputs, targets):
    return [0 * w for w in weights], [0 * b for b in biases]


@pytest.fixture(scope="module")
def wrong():
    return crosscheck.gradcheck(value, np.linspace(-1, 2, 5), gradient=slope(1.0))


class Balanced(HTMLParser):
    """Every element is closed in its order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def balanced(text):
    parser = Balanced()
    parser.feed(text)
    return not parser.open


def test_a_notebook_sees_the_verdict_the_message_the_worst_entries_and_a_picture(wrong):
    text = wrong._repr_html_()
    assert balanced(text)
    assert "<b>DEFECT</b>" in text
    assert "it gives 0.5 times the derivative" in text
    assert text.count("<circle") == len(wrong.errors)
    assert "args[0][" in text
    assert not re.search(r"<script|https?://|on\w+=", text)
    assert "D =" not in text  # no word of networks where a function is judged
    assert "layers" not in text


def test_the_page_is_the_fragment_in_a_document(wrong, tmp_path):
    path = wrong.to_html(tmp_path / "report.html")
    page = path.read_text(encoding="utf-8")
    assert balanced(page.replace("<!doctype html>", ""))
    assert page.startswith("<!doctype html>")
    assert wrong._repr_html_().strip() in page
    with pytest.raises(ValueError, match="cannot write to"):
        wrong.to_html(tmp_path)


def test_what_is_right_is_called_so_in_text_and_in_html():
    report = crosscheck.gradcheck(value, np.linspace(-1, 2, 5), gradient=slope(2.0))
    assert str(report).startswith("value: 2 CONSISTENT, 0 SUSPECT, 0 DEFECT, 0 INCONCLUSIVE of 2")
    assert "<b>No defect</b>" in report._repr_html_()


def test_networks_have_the_same_report():
    report = crosscheck.check(wrong_network, cases=4, widths=(1, 4), samples=(1, 4))
    assert str(report).startswith("wrong_network: ")
    assert "tensors on 4 cases" in str(report)
    assert report.message() in str(report)
    text = report._repr_html_()
    assert balanced(text)
    assert "wrong_network" in text
    assert "D = " in text


def test_names_cannot_act_in_the_page():
    report = crosscheck.gradcheck(value, np.ones(2), gradient=slope(1.0))
    errors = report.errors.assign(tensor="<img src=x onerror=alert(1)>")
    told = fragment.ToldFinding(errors, outcome.DEFECT, "<b>", "<script>")
    text = fragment.fragment(told)
    assert "<img" not in text
    assert "<script" not in text


def test_of_many_arrays_the_picture_keeps_the_largest_errors():
    report = crosscheck.gradcheck(value, np.ones(2), gradient=slope(1.0))
    row = report.errors.iloc[[0]]
    many = row.loc[row.index.repeat(fragment.MARKS + 50)].reset_index(drop=True)
    many["bound_use"] = np.linspace(1e-9, 1e20, len(many))
    marks = fragment.marks(many)
    assert len(marks) == fragment.MARKS
    assert min(mark.y for mark in marks) > 0
