"""The gate says no where something got worse, and never by chance."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import rankdata, wilcoxon
from support.invented import changed, mutations

from crosscheck.results import outcome
from crosscheck.results.baseline import comparing, recording, shifts, stored
from crosscheck.results.finished import FinishedRun


def gate(run, base, **options):
    return comparing.compare(run, recording.record(base), **options)


def without(run, **of):
    """The run without the cases whose column has this value."""
    ((column, value),) = of.items()
    gone = set(run.cases.loc[run.cases[column] == value, "case"])
    errors = run.errors[~run.errors["case"].isin(gone)]
    return FinishedRun(errors, run.cases[run.cases[column] != value], run.pairs, run.record)


def with_cases(run, **columns):
    """The run with these columns of the case of index 3 set."""
    cases = run.cases.copy()
    for column, value in columns.items():
        cases.loc[cases["index"] == 3, column] = value
    return FinishedRun(run.errors, cases, run.pairs, run.record)


# --- on the same machine, exactly ------------------------------------------------------------


def test_the_same_run_is_the_same(made):
    found = gate(made(), made())
    assert found.status(strict=True) == outcome.OK
    assert found.exact["identical"] == found.exact["gradients"] == 80
    assert set(found.groups["mark"]) == {""}


def test_one_error_that_grew_fails_where_machine_and_code_are_the_same(made):
    base = made()
    ulps = float(base.errors["max_ulp"].max())
    found = gate(changed(base, max_ulp=2 * ulps), base)
    assert found.status() == outcome.DEFECT
    worse = found.groups[found.groups["mark"] == "+"]
    assert set(worse["engine"]) == {"a"}
    assert "all" in set(worse["group"])


def test_an_error_that_shrank_is_shown_and_fails_only_when_strict(made):
    base = made()
    found = gate(changed(base, max_ulp=0.5), base)
    assert (found.status(), found.status(strict=True)) == (outcome.OK, outcome.DEFECT)


def test_errors_below_half_a_unit_are_all_as_good(made):
    base = changed(made(), max_ulp=0.1)
    assert gate(changed(base, max_ulp=0.5), base).status(strict=True) == outcome.OK


# --- elsewhere, by size and significance -------------------------------------------------------


def test_another_kernel_raises_no_alarm(made):
    base = recording.record(made(cases=100))
    for kernel in range(1, 31):
        found = comparing.compare(made(cases=100, kernel=kernel, cpu="two"), base)
        assert found.status(strict=True) == outcome.OK, kernel
        assert found.differs == ["cpu: one, now two"]


@pytest.mark.parametrize("bits", [0.4, 1.0, 13.0])
def test_a_shift_of_all_cases_is_caught(made, bits):
    shifted = made(100, kernel=1, cpu="two", shift=lambda engine, index: bits * (engine == "a"))
    found = gate(shifted, made(100))
    assert found.status() == outcome.DEFECT
    assert set(found.groups.loc[found.groups["mark"] == "+", "engine"]) == {"a"}
    assert gate(made(100), shifted).status() == outcome.OK
    assert gate(made(100), shifted).status(strict=True) == outcome.DEFECT


def test_a_shift_below_a_quarter_bit_is_none_however_significant(made):
    shifted = made(400, kernel=1, cpu="two", shift=lambda engine, index: 0.15)
    found = gate(shifted, made(400))
    assert found.status(strict=True) == outcome.OK
    assert found.groups["p"].min() < 1e-6


def test_two_bits_in_one_case_of_twenty_are_caught(made):
    """In 1000 cases; in the median there is nothing to see."""
    shifted = made(1000, kernel=1, cpu="two", shift=lambda engine, index: 2.0 * (index % 20 == 7))
    found = gate(shifted, made(1000))
    assert found.status() == outcome.DEFECT
    worse = found.groups[found.groups["mark"] == "+"]
    assert (worse["shift"].abs() < 0.25).all()
    assert (worse["grown"] > worse["shrunk"]).all()


# --- verdicts, statuses, cases -------------------------------------------------------------------


@pytest.mark.parametrize("cpu", ["one", "two"])
@pytest.mark.parametrize("now", ["SUSPECT", "INCONCLUSIVE", "DEFECT"])
def test_a_verdict_that_got_worse_always_fails(made, now, cpu):
    base, run = made(), changed(made(cpu=cpu), verdict=now)
    found = gate(run, base)
    assert found.status() == outcome.DEFECT
    assert set(found.changes["mark"]) == {"!" if now == "DEFECT" else "+"}
    assert set(found.changes["case"]) == {"s0-i3-float32-sigmoid"}
    back = gate(base, run)
    assert back.status() == outcome.OK
    assert set(back.changes["mark"]) == {"*" if now == "DEFECT" else "-"}


def test_a_defect_that_the_baseline_has_is_no_regression(made):
    base = changed(made(), verdict="DEFECT", max_ulp=1e9)
    assert gate(base, base).status(strict=True) == outcome.OK


@pytest.mark.parametrize("status", ["error", "timeout", "crash"])
def test_an_engine_that_newly_fails_is_a_regression(made, status):
    run = with_cases(without_rows(made(), "a", 3), **{"status:a": status})
    found = gate(run, made())
    assert found.status() == outcome.DEFECT
    assert list(found.changes["mark"]) == ["!"]
    assert list(gate(made(), run).changes["mark"]) == ["*"]


def without_rows(run, engine, index):
    errors = run.errors
    errors = errors[~((errors["index"] == index) & (errors["engine"] == engine))]
    return FinishedRun(errors, run.cases, run.pairs, run.record)


@pytest.mark.parametrize("status", ["unsupported", "not sampled"])
def test_an_engine_that_is_not_tried_now_is_not_comparable(made, status):
    run = with_cases(without_rows(made(), "a", 3), **{"status:a": status})
    assert gate(run, run).status(strict=True) == outcome.OK
    assert gate(made(), run).status() == outcome.OK
    found = gate(run, made())
    assert found.status() == outcome.NOT_COMPARABLE
    assert found.lacking == ["a does not run here any more on s0-i3-float32-sigmoid"]


def test_a_run_that_lacks_a_case_or_an_engine_is_not_comparable(made):
    base = made()
    fewer = gate(without(made(), index=3), base)
    assert fewer.status() == outcome.NOT_COMPARABLE
    assert fewer.missing == ["s0-i3-float32-sigmoid"]
    alone = gate(made(engines=("a",)), base)
    assert alone.status() == outcome.NOT_COMPARABLE
    assert "the run lacks the engine b" in alone.lacking
    assert gate(made(cases=0), base).status() == outcome.NOT_COMPARABLE


def test_a_changed_definition_is_not_comparable(made):
    found = gate(with_cases(made(), definition="another"), made())
    assert found.status() == outcome.NOT_COMPARABLE
    assert found.changed == ["s0-i3-float32-sigmoid"]
    assert found.missing == found.new == []


def test_a_case_of_another_name_is_paired_by_its_definition(made):
    run = made()
    cases = run.cases.replace({"case": {"s0-i3-float32-sigmoid": "s0-i99-float32-sigmoid"}})
    errors = run.errors.replace({"case": {"s0-i3-float32-sigmoid": "s0-i99-float32-sigmoid"}})
    found = gate(FinishedRun(errors, cases, run.pairs, run.record), made())
    assert found.status() == outcome.OK
    assert found.exact["gradients"] == 80


def test_new_cases_and_engines_are_named_and_do_not_fail(made):
    found = gate(made(cases=41, engines=("a", "b", "c")), made())
    assert found.status() == outcome.OK
    assert found.new == ["s0-i40-float32-identity"]


def test_a_regression_goes_before_what_is_not_comparable(made):
    run = without(changed(made(), verdict="DEFECT"), index=5)
    assert gate(run, made()).status() == outcome.DEFECT


# --- speed ---------------------------------------------------------------------------------------


def slower(run, times):
    cases = run.cases.assign(**{"seconds:b": run.cases["seconds:b"] * times})
    return FinishedRun(run.errors, cases, run.pairs, run.record)


def test_speed_is_compared_only_on_request_and_only_on_one_machine(made):
    base = made()
    assert gate(slower(base, 3), base).status() == outcome.OK
    found = gate(slower(base, 3), base, speed=True)
    assert found.status() == outcome.DEFECT
    assert list(found.speed["engine"][found.speed["mark"] == "+"]) == ["b"]
    assert gate(slower(base, 1.1), base, speed=True).status() == outcome.OK
    assert gate(base, slower(base, 3), speed=True).status() == outcome.OK
    elsewhere = gate(made(cpu="two"), base, speed=True)
    assert elsewhere.status() == outcome.NOT_COMPARABLE


def test_a_machine_that_is_slower_altogether_is_no_regression(made):
    base = made()
    times = {name: base.cases[name] * 2 for name in ("seconds:a", "seconds:b")}
    doubled = base.cases.assign(**times)
    run = FinishedRun(base.errors, doubled, base.pairs, base.record)
    assert gate(run, base, speed=True).status(strict=True) == outcome.OK


# --- statistics ----------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_no_correction_and_bonferroni(p_values):
    p = np.array(p_values)
    adjusted = shifts.holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, len(p) * p)).all()
    assert adjusted.min() == min(1, len(p) * p.min())
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()


def test_the_sign_test_is_a_coin():
    found = shifts.of_cases(np.array([1.5] * 9 + [-2.0]))
    assert (found.grown, found.shrunk) == (9, 1)
    assert found.worse[1] == 11 / 2**10
    assert shifts.of_cases(np.array([])).worse == (1.0, 1.0, 1.0)
    assert shifts.of_cases(np.zeros(5)).worse == (1.0, 1.0, 1.0)


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_the_signed_rank_test_is_every_combination_of_signs(bits):
    moved = np.array([bit for bit in bits if bit], float)
    ranks = rankdata(np.abs(moved))
    seen = ranks[moved > 0].sum()
    tried = [ranks[np.array(heads, bool)].sum() for heads in product((0, 1), repeat=len(moved))]
    assert shifts.signed_rank(np.array(bits, float)) == np.mean(np.array(tried) >= seen)


def test_the_signed_rank_test_is_scipys():
    for seed in range(20):
        drawn = np.random.default_rng(seed).normal(0.3, 1, 40)
        exact = wilcoxon(drawn, alternative="greater", method="exact").pvalue
        assert shifts.signed_rank(drawn) == pytest.approx(exact, rel=1e-12)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.integers(0, 1800))
def test_what_stands_in_for_many_signs_is_never_below_the_chance(weights, least):
    weights = np.array(weights)
    assert shifts.bounded_chance(weights, least) >= shifts.exact_chance(weights, least) * (
        1 - 1e-12
    )


def test_many_signs_are_bounded_close_by(monkeypatch):
    """Within the constant 3.18 of the chance itself, far out in the tail as well."""
    drawn = np.random.default_rng(0).normal(0.4, 1, shifts.EXACT)
    exact = shifts.signed_rank(drawn)
    monkeypatch.setattr(shifts, "EXACT", 0)
    assert exact < 1e-6
    assert exact < shifts.signed_rank(drawn) < 10 * exact


def ruled(*bits_and_counts):
    """The row of a group of 1000 cases, so many of which moved by so many bits, among five."""
    far = [bits for bits, count in bits_and_counts for _ in range(count)]
    near = [0.9 * (-1) ** case for case in range(1000 - len(far))]
    group = shifts.of_cases(np.array(far + near))
    return shifts.ruled([group] + 4 * [shifts.of_cases(np.zeros(9))]).iloc[0]


def test_few_that_grew_by_two_bits_are_not_lost_among_those_that_moved_by_one():
    found = ruled((1.2, 12), (-1.2, 23), (2.0, 48))
    assert (found["grown"], found["shrunk"], found["mark"]) == (60, 23, "+")
    assert ruled((1.2, 60), (-1.2, 23))["mark"] == "~"


def test_many_that_grew_by_a_bit_are_not_lost_among_few_that_moved_by_two():
    assert ruled((1.1, 80), (2.0, 20), (-2.0, 30))["mark"] == "+"


@given(st.lists(st.floats(0.01, 20), min_size=1, max_size=300))
def test_shifts_of_either_sign_are_no_alarm(bits):
    both = np.array([*bits, *(-bit for bit in bits)])
    found = shifts.of_cases(both)
    assert min(found.worse + found.better) >= 0.5
    assert shifts.ruled([found])["mark"][0] == "~"


def test_the_tests_hold_their_level():
    """Under noise that is symmetric, a p-value below x comes with a chance of at most x."""
    rng = np.random.default_rng(0)
    drawn = [shifts.of_cases(rng.standard_t(3, 50)).worse for _ in range(400)]
    for which in range(3):
        assert np.mean([p[which] < 0.05 for p in drawn]) < 0.05 + 4 * np.sqrt(0.05 / 400)


# --- the file ------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path, made):
    path = tmp_path / "base.jsonl"
    stored.write(path, recording.record(made(cases=6)))
    return path


def test_what_is_written_is_read(file, made):
    recorded, read = recording.record(made(cases=6)), stored.read(file)
    assert read.header == recorded.header
    assert read.groups == recorded.groups
    for name in ("attempts", "tensors"):
        one, other = getattr(recorded, name), getattr(read, name)
        keys = ["definition", "engine"] + ["tensor"] * (name == "tensors")
        shared = [column for column in one.columns if column in other.columns]
        one, other = (f[shared].sort_values(keys).reset_index(drop=True) for f in (one, other))
        assert one.astype(object).equals(other.astype(object))


def test_infinities_survive_the_file(tmp_path, made):
    base = changed(made(), max_ulp=np.inf, verdict="DEFECT")
    stored.write(tmp_path / "b", recording.record(base))
    found = comparing.compare(base, stored.read(tmp_path / "b"))
    assert found.status(strict=True) == outcome.OK


def test_the_same_rows_give_the_same_bytes_in_any_order(file, made, tmp_path):
    run = made(cases=6)
    shuffled = FinishedRun(
        run.errors.sample(frac=1, random_state=0).sort_values("tensor", key=tensor_order),
        run.cases.sample(frac=1, random_state=1),
        run.pairs,
        run.record,
    )
    stored.write(tmp_path / "again", recording.record(shuffled))
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def tensor_order(names):
    return names.map({"w2": 0, "b2": 1, "w3": 2, "b3": 3})


def test_a_damaged_baseline_is_refused_in_one_sentence(file):
    good = file.read_bytes()
    for bad in mutations(good, 300):
        file.write_bytes(bad)
        with pytest.raises(stored.NotComparable) as caught:
            stored.read(file)
        assert "\n" not in str(caught.value)


def rewritten(head=None, header=None):
    """A change to the first line, or to the second with the digest made right."""

    def change(path):
        first, second, *rest = path.read_text().splitlines(keepends=True)
        body = (
            json.dumps(json.loads(second) | (header or {})) + "\n" if header else second
        ).encode()
        body += "".join(rest).encode()
        digest = {"digest": stored.digest_of(body)}
        first = json.dumps(json.loads(first) | digest | (head or {})) + "\n"
        path.write_bytes(first.encode() + body)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.unlink(), "there is no baseline"),
        (lambda path: path.write_bytes(b""), "no crosscheck baseline"),
        (lambda path: path.write_bytes(b"\x00\xff" * 50), "no crosscheck baseline"),
        (lambda path: path.write_text('{"format": "benchmark"}\n'), "no crosscheck baseline"),
        (lambda path: path.write_text("[" * 100_000), "no crosscheck baseline"),
        (rewritten(head={"schema_version": 2}), "install a newer one"),
        (rewritten(head={"schema_version": "1"}), "damaged"),
        (rewritten(header={"command": "another"}), None),
        (lambda path: (path.unlink(), path.mkdir()), "cannot read"),
    ],
    ids=["missing", "empty", "binary", "other project", "deep", "newer", "text", "right", "folder"],
)
def test_what_is_wrong_with_a_baseline_is_said(file, change, words):
    change(file)
    if words is None:
        assert stored.read(file).header["command"] == "another"
        return
    with pytest.raises(stored.NotComparable, match=words):
        stored.read(file)


def test_recording_leaves_other_files_alone(tmp_path, made):
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    with pytest.raises(ValueError, match="is no baseline"):
        stored.write(other, recording.record(made(cases=2)))
    assert other.read_text() == "mine"
    with pytest.raises(ValueError, match="no case"):
        recording.record(made(cases=0))


def test_groups_hold_quantiles_and_exceedances(made):
    run = made(cases=30)
    for group in recording.record(run).groups:
        output, kind = group["group"].split()
        ulps = run.errors[
            (run.errors["engine"] == group["engine"])
            & (run.errors["output"] == output)
            & (run.errors["tensor"].str[0] == kind[0])
        ]["max_ulp"]
        assert group["tensors"] == len(ulps) == group["verdicts"]["CONSISTENT"]
        assert group["exceeding"]["16"] == (ulps > 16).sum()
        assert group["ulp_quantiles"]["1"] == float(f"{ulps.max():.3g}")
