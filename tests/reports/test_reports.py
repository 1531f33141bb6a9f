"""Reports say what the rows say, in each format, and nothing that came with the rows is obeyed."""

import json
import re
from html.parser import HTMLParser
from importlib import resources

import junitparser
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator, ValidationError
from scipy.stats import binom
from support.invented import changed, failing

from crosscheck.reports import proportions, quantiles, tables, words, worst, written
from crosscheck.reports.formats import github, latex, markdown
from crosscheck.reports.page import svg
from crosscheck.results.finished import FinishedRun
from crosscheck.runs import gating

HOSTILE = "<script>alert(1)</script>|$x^2$`'\"&%\\_\n::error::"
"""An engine's name that is markup to every format."""


@pytest.fixture(scope="module", params=["plain", "hostile", "defect", "half", "none", "silent"])
def run(request, made):
    """Runs of every kind: two dtypes, a hostile name, defects, crashes, no case, no gradient."""
    kinds = {
        "plain": lambda: made(cases=30, dtypes=("float32", "float64")),
        "hostile": lambda: failing(made(cases=12, engines=("a", HOSTILE)), HOSTILE, 2),
        "defect": lambda: changed(made(), verdict="DEFECT", max_ulp=np.inf, got=np.nan),
        "half": lambda: failing(made(), "a", 2),
        "none": lambda: made(cases=0),
        "silent": lambda: failing(failing(made(), "a", 1), "b", 1),
    }
    return kinds[request.param]()


@pytest.mark.parametrize("name", [name for name, made in written.FORMATS.items() if made.module])
def test_the_same_rows_give_the_same_bytes(run, name):
    again = FinishedRun(run.errors.copy(), run.cases.copy(), run.pairs.copy(), dict(run.record))
    assert written.render(run, name) == written.render(again, name)


# --- the page ----------------------------------------------------------------------------------

VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """Tags in balance, their attributes, the text, and the text of scripts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.scripts, self.wrong = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, text):
        (self.scripts if self.open and self.open[-1] == "script" else self.texts).append(text)


def test_the_page_is_whole_and_leaves_nothing_to_fetch(run):
    page = Page(written.render(run, "html"))
    assert (page.open, page.wrong) == ([], [])
    links = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "action", "srcset", "data")
    ]
    assert all(link.startswith("#") or link == "data:," for link in links)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    sections = [name for name in ids if not re.fullmatch(r"[mpC][0-9a-f_]{3,}", name)]
    assert len(sections) == len(set(sections))
    assert "url(http" not in written.render(run, "html")


def test_the_page_runs_its_own_script_and_no_other(run):
    page = Page(written.render(run, "html"))
    assert len(page.scripts) == 1
    assert "alert" not in page.scripts[0]
    handlers = [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert handlers == []
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[\w+/]{43}='", policy)


def test_the_page_goes_in_order(made):
    run = changed(made(dtypes=("float32", "float64")), verdict="DEFECT", mismatched=3)
    text = written.render(run, "html")
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles == [
        "What the verdict covers",
        "Engines and precisions",
        "Errors",
        "Depth, width, saturation",
        "Use of the bound",
        "Power",
        "Layers and parameters",
        "Time",
        "The worst results",
        "Defects by diagnosis",
        "Environment and plan",
    ]
    assert text.count("<figure>") == 2 * (1 + 3 + 1 + 1 + 2 + 1)
    rows = re.findall(r"crosscheck reproduce s0-i3-", text)
    assert rows


def test_the_page_of_a_thousand_cases_is_at_most_a_megabyte_and_a_half(made):
    run = made(cases=1000, engines=("a", "b", "c", "d"), dtypes=("float32", "float64"))
    assert len(written.render(run, "html").encode()) <= 1.5e6


def test_the_page_of_no_case_says_so(made):
    text = written.render(made(cases=0), "html")
    assert "No case was run, so nothing is known." in text
    assert "no engine gave a gradient" in text
    assert "<figure>" not in text


def test_the_page_of_an_engine_that_crashed_half_the_time_says_so(made):
    run = failing(made(), "a", 2)
    text = written.render(run, "html")
    assert "FAILED" in text
    assert "a: crash on 20 of 40 cases: killed by signal 11" in text
    tiles = {name: count for name, count, _ in words.tiles(tables.summary(run))}
    assert tiles["crashed"] == 20
    limits = tables.defect_limits(run.errors, run.cases).set_index("engine")
    assert list(limits["judged"]) == [20, 40]


# --- pictures ----------------------------------------------------------------------------------


def test_pictures_take_names_as_they_are():
    shown = svg.ranges("t", "x", {"$a^2$ <b>1.2345": (1.0, 2.0, 3.0), HOSTILE: (1.0, 2.0, 3.0)})
    assert "$a^2$ &lt;b&gt;1.2345" in shown
    assert "<script" not in shown


def test_pictures_have_no_colour_of_their_own_and_no_date():
    values = {"a": np.exp(np.arange(300) / 30), "b": np.array([])}
    shown = svg.distribution("float32", "ulp", values, 0.25, 1.0)
    assert not re.search(r"#[0-9a-f]{6}", re.sub(r'"#[mpC][^"]*"|url\(#\w+\)', "", shown))
    assert "date" not in shown
    assert "var(--e0)" in shown


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=500))
def test_a_cumulative_curve_is_that_of_the_values(values):
    at, share = svg.cumulative(np.array(values))
    assert len(at) <= svg.POINTS
    assert (at[-1], share[-1]) == (max(values), 1)
    assert (np.diff(at) >= 0).all()
    up_to = [np.sum(np.array(values) <= x) for x in at]
    assert (np.array(up_to) >= share * len(values) - 1e-6).all()


# --- what the verdict covers -------------------------------------------------------------------


@given(st.integers(1, 2000), st.data())
def test_the_upper_limit_is_clopper_and_pearsons(judged, data):
    defective = data.draw(st.integers(0, judged - 1))
    limit = proportions.upper_limit(defective, judged)
    assert abs(binom.cdf(defective, judged, limit) - 0.05) < 1e-6
    assert defective / judged < limit <= proportions.upper_limit(defective + 1, judged)


def test_where_nothing_was_judged_the_limit_is_one():
    assert proportions.upper_limit(0, 0) == proportions.upper_limit(5, 5) == 1


def test_special_and_inconclusive_cases_do_not_count_as_judged(made):
    run = made(cases=10)
    run.cases["special"] = ["all weights zero"] * 2 + [""] * 8
    run = changed(run, verdict="INCONCLUSIVE")
    limits = tables.defect_limits(run.errors, run.cases).set_index("engine")
    assert dict(limits["judged"]) == {"a": 7, "b": 8}


def test_the_word_of_a_strict_run_without_a_defect_is_suspect(made):
    run = changed(made(), verdict="SUSPECT")
    assert words.word(tables.summary(run), 1) == "SUSPECT"
    assert words.word(tables.summary(changed(run, verdict="DEFECT")), 1) == "DEFECT"


# --- the worst results -------------------------------------------------------------------------


def test_the_worst_come_first_and_each_once(made):
    run = changed(made(), verdict="SUSPECT", bound_use=0.1)
    run = FinishedRun(run.errors.copy(), run.cases, run.pairs, run.record)
    wrong = (run.errors["index"] == 7) & (run.errors["tensor"] == "b3")
    run.errors.loc[wrong & (run.errors["engine"] == "b"), ["verdict", "bound_use"]] = [
        "DEFECT",
        3.0,
    ]
    shown = worst.worst(run)
    assert len(shown) == worst.SHOWN
    assert list(shown.iloc[0][["case", "engine", "tensor"]]) == ["s0-i7-float32-sigmoid", "b", "b3"]
    assert shown.iloc[1]["verdict"] == "SUSPECT"
    assert not shown.duplicated(["case", "engine"]).any()
    uses = shown.iloc[2:]["bound_use"]
    assert (uses.diff().dropna() <= 0).all()


def test_the_line_to_copy_has_every_option_that_is_not_the_default():
    plan = {"distribution": {"layers": [3, 3], "widths": [1, 64], "hidden": "tanh"}}
    line = worst.reproduce({"plan": plan}, "s0-i1-float64-sigmoid", "my file.py:f")
    assert line == (
        "crosscheck reproduce s0-i1-float64-sigmoid --engine 'my file.py:f' "
        "--layers 3-3 --hidden tanh"
    )


def test_defects_are_grouped_by_diagnosis_where_there_is_one(made):
    run = changed(made(), verdict="DEFECT", reason="beyond the bound")
    assert set(worst.defects(run)["diagnosis"]) == {
        "weights beyond the bound",
        "biases beyond the bound",
    }
    run.record["diagnoses"] = [{"engine": "a", "dtype": "float32", "sentence": "a factor 2"}]
    grouped = worst.defects(run)
    assert list(grouped["diagnosis"]) == ["a factor 2"]
    assert list(grouped["share"]) == [1 / 40]


# --- json --------------------------------------------------------------------------------------

SCHEMA = json.loads((resources.files("crosscheck.reports") / "report.schema.json").read_text())


def strict_json(text):
    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


def test_the_document_is_what_the_schema_says(run):
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(strict_json(written.render(run, "json")))


def test_the_document_with_a_comparison_is_too(made, put, tmp_path):
    base = tmp_path / "base"
    gating.record(put(made()), base)
    worse = changed(made(kernel=1, cpu="two"), verdict="DEFECT")
    compared = gating.against(worse, base)
    document = strict_json(written.render(compared, "json"))
    Draft202012Validator(SCHEMA).validate(document)
    assert document["comparison"]["exit_status"] == 1
    for name in ("html", "md", "junit", "github"):
        assert "REGRESSION against base" in written.render(compared, name)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"schema_version": 2},
        {"counts": {"CONSISTENT": 1}},
        {"exit_status": 7},
        {"worst": [{}]},
        {"headline": None},
        {"unknown": 1},
    ],
)
def test_the_schema_says_no(made, change):
    document = strict_json(written.render(made(cases=2), "json")) | change
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(document)


# --- junit -------------------------------------------------------------------------------------


def suites(run):
    return list(junitparser.JUnitXml.fromstring(written.render(run, "junit").encode()))


def test_junit_has_a_case_per_engine_dtype_and_group(made):
    found = suites(made(dtypes=("float32", "float64")))
    assert [suite.name for suite in found] == ["a float32", "a float64", "b float32", "b float64"]
    names = [case.name for case in found[0]]
    assert names == [
        "runs", "identity biases", "identity weights", "sigmoid biases", "sigmoid weights",
    ]  # fmt: skip
    assert all(case.is_passed for suite in found for case in suite)


def test_junit_fails_for_a_defect_and_errs_for_a_crash(made):
    defect = suites(changed(made(), verdict="DEFECT"))
    failed = [case for suite in defect for case in suite if case.is_failure]
    assert [case.name for case in failed] == ["sigmoid biases", "sigmoid weights"]
    assert "crosscheck reproduce s0-i3-float32-sigmoid --engine" in failed[0].result[0].text
    crashed = next(iter(suites(failing(made(), "a", 2))[0]))
    assert crashed.is_error
    assert crashed.result[0].message == "crash on 20 of 40 cases: killed by signal 11"
    absent = suites(failing(made(), "a", 1, "unsupported"))
    assert next(iter(absent[0])).is_skipped


@given(st.text())
def test_junit_holds_any_text(text):
    from xml.etree import ElementTree

    from crosscheck.reports.formats import junit
    from crosscheck.reports.visible import visible

    element = ElementTree.Element("a", b=junit.legal(text))
    again = ElementTree.fromstring(ElementTree.tostring(element))
    assert again.get("b") == junit.ILLEGAL.sub("\ufffd", visible(text))


# --- github ------------------------------------------------------------------------------------


def test_annotations_are_ten_at_most_and_each_is_one(run):
    lines = written.render(run, "github").splitlines()
    assert 1 <= len(lines) <= github.MOST
    pattern = r"::(error|warning|notice) title=([^:,\r\n]*)::[^\r\n]*"
    assert all(re.fullmatch(pattern, line) for line in lines)


def test_a_defect_is_an_error_with_its_line_to_copy(made):
    errors = made().errors.assign(verdict="DEFECT")
    whole = made()
    record = whole.record | {"exit_status": 1}
    lines = github.report(FinishedRun(errors, whole.cases, whole.pairs, record)).splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("::error title=crosscheck::DEFECT")
    assert all("%0Acrosscheck reproduce s0-i" in line for line in lines[1:])


@given(st.text(alphabet="%\r\n:,ab0DA253", max_size=40))
def test_escapes_are_undone_as_the_runner_undoes_them(text):
    def undone(escaped, marks):
        for code, mark in marks:
            escaped = escaped.replace(code, mark)
        return escaped

    message = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))
    named = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))
    assert undone(github.escape(text), message) == text
    assert undone(github.escape_property(text), named) == text


# --- markdown, latex, csv, parquet -------------------------------------------------------------


def test_markdown_tables_keep_their_columns(run):
    text = written.render(run, "md")
    block = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            block.append(line.count("|"))
        else:
            assert len(set(block)) <= 1
            block = []
    outside_code = re.sub(r"(`+) .*? \1|`[^`]*`", "", text)
    assert "<script" not in outside_code


@given(st.text(max_size=30))
def test_markdown_code_cannot_be_left(text):
    shown = markdown.code(text)
    ticks = re.match(r"`+", shown)[0]
    inner = shown[len(ticks) : -len(ticks)]
    assert ticks not in inner.strip("` ") or not inner.strip()


def test_latex_is_balanced_and_its_rows_are_full(run):
    text = written.render(run, "latex")
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    widths = {len(re.findall(r"(?<!\\)&", row)) for row in rows}
    assert widths == {len(latex.COLUMNS) - 1}
    assert "<script>" not in text
    assert text.count(r"\begin") == text.count(r"\end")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(float("nan"), "--"), (np.inf, r"$\infty$"), (0.5, "$0.5$"), (1.7e9, r"$1.7{\cdot}10^{9}$"),
     (3, "3"), ("a_b", r"a\_b")],
)  # fmt: skip
def test_latex_cells(value, shown):
    assert latex.cell(value) == shown


def test_the_rows_of_a_run_are_its_csv_and_parquet(run, put, tmp_path):
    folder = put(run)
    own = gating.report(folder, gating.Ending(formats=("csv", "parquet")))
    assert own == [folder / "errors.csv", folder / "errors.parquet"]
    table, frame = gating.report(folder, gating.Ending(formats=("csv", "parquet")), tmp_path / "o")
    assert (table.name, frame.name) == ("report.csv", "report.parquet")
    assert pd.read_parquet(frame).equals(run.errors)
    read = pd.read_csv(table)
    assert list(read.columns) == list(run.errors.columns)
    assert len(read) == len(run.errors)
    assert read["bound_use"].astype(float).equals(run.errors["bound_use"].astype(float))
    own[0].unlink()
    with pytest.raises(ValueError, match=r"the run lacks .*errors\.csv"):
        gating.report(folder, gating.Ending(formats=("csv",)))


# --- numbers and quantiles ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.7e7, "1.7 × 10⁷"), (-2.1e-13, "−2.1 × 10⁻¹³"), (np.inf, "∞"), (-np.inf, "−∞"),
     (float("nan"), "–"), (0.25, "0.25"), (7, "7"), ("x", "x")],
)  # fmt: skip
def test_numbers_for_a_page(value, shown):
    assert words.pretty(value).replace("\N{NARROW NO-BREAK SPACE}", " ") == shown


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=60))
def test_quantiles_are_values_and_in_order(values):
    frame = quantiles.by_group(pd.DataFrame({"v": values, "k": 1}), "v", ["k"])
    line = frame.iloc[0]
    assert line["tensors"] == len(values)
    assert set(line[quantiles.NAMES]) <= set(values)
    assert line["max"] == max(values)
    assert list(line[quantiles.NAMES]) == sorted(line[quantiles.NAMES])


def test_the_widest_layer_falls_into_a_bin():
    found = quantiles.widest(pd.Series(["1-1", "3-5-2", "7-8", "64-1", "9-2048"]))
    assert list(found) == [1, 4, 8, 64, 1024]
    assert [quantiles.width_label(n) for n in (1, 2, 64)] == ["1", "2–3", "64–127"]


def test_an_engine_that_took_a_sample_is_said_to(made):
    run = failing(made(), "a", 2, "not sampled")
    run = FinishedRun(run.errors, run.cases, run.pairs, run.record | {"exit_status": 0})
    for name in ("html", "md", "json"):
        assert "a: a sample, 20 of 40 cases" in written.render(run, name)
    assert tables.summary(run).attempts["crash"] == 0
