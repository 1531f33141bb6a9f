"""The audit's verdicts: what is known of the paper, and that each row can say no."""

import dataclasses
import json

import numpy as np
import pytest

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.audit import cancellation, findings, left_sides
from crosscheck.audit.audit import AuditPlan, audit
from crosscheck.audit.judges import table
from crosscheck.audit.symbols import Ingredients
from crosscheck.audit.trial import Place, RivalSides, ruled, tried
from crosscheck.bounds.error_array import Computed
from crosscheck.networks.network import Architecture, Case
from crosscheck.paper.equations import EQUATIONS

PLAN = AuditPlan(architectures=15)


@pytest.fixture(scope="module")
def found():
    """The audit without rivals, which takes a fraction of a second."""
    return audit(PLAN, judges=[])


def verdicts(found):
    return findings.verdicts(found["rows"])


def wrong(name, change):
    """The printed equations with one of them changed after it is evaluated."""
    equation = EQUATIONS[name]
    function = lambda *symbols: change(equation.function(*symbols))  # noqa: E731
    return {**EQUATIONS, name: dataclasses.replace(equation, function=function)}


# --- the outcome -------------------------------------------------------------------------------


def known_verdict(name, reading, layer):
    """What the paper's own contradiction implies, written down apart from the shipped table."""
    undefined = {("S5", "N"), ("S6", "N"), ("S7", "N-1"), ("S8", "N")}
    failing = {
        "sigmoid": {("S1", "N"), ("S2", "N"), ("S3", "N")},
        "identity": {("N2", "N"), ("S4", "N"), ("S5", "N-1"), ("S6", "N-1")},
    }
    if (name, layer) in undefined:
        return "UNDEFINED"
    return "FAILS" if (name, layer) in failing[reading] else "HOLDS"


def test_the_outcome_is_the_known_one(found):
    got = verdicts(found)
    assert len(got) == len(found["rows"]) == 114
    assert got == {key: known_verdict(*key) for key in got}
    assert found["differences"] == []


def test_the_shipped_table_says_what_is_known():
    assert findings.known() == {key: known_verdict(*key) for key in findings.known()}


def test_the_outcome_is_the_same_in_float32():
    assert verdicts(audit(AuditPlan(15, 0, "float32"), judges=[])) == findings.known()


def test_another_seed_has_the_same_outcome():
    assert verdicts(audit(AuditPlan(20, 7), judges=[])) == findings.known()


def test_the_finding_is_in_words(found):
    first, linear, sigmoid, composed, judges = found["finding"]
    assert first.startswith("Under neither reading")
    assert "N2 at l = N, S4 at l = N, S5 at l = N-1, S6 at l = N-1 fail" in linear
    assert "S1, S2, S3 fail" in sigmoid
    assert "(reading identity) only the gradient of b^(N-1) is wrong" in composed
    assert "(reading sigmoid) only the gradient of b^(N-1) is right" in composed
    assert "same verdict on each of the 114 rows" in judges


def test_what_fails_fails_by_far_and_what_holds_holds_to_rounding(found):
    for row in found["rows"]:
        if row["verdict"] == "FAILS":
            assert row["bound_use"] > 1e10
            assert row["max_abs_error"] > 0.05
            assert row["worst"]["right"] != row["worst"]["left"]
        if row["verdict"] == "HOLDS":
            assert row["bound_use"] <= 1
            assert row["fails"] == 0
            assert row["holds"] + row["undecided"] == row["architectures"]


def test_the_same_plan_gives_the_same_rows(found):
    again = audit(PLAN, judges=[])
    assert json.dumps(again, allow_nan=False) == json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [((14,), "15 architectures"), ((15, -1), "negative"), ((15, 0, "float16"), "float16")],
)
def test_a_plan_that_cannot_be_is_refused(plan, complaint):
    with pytest.raises(ValueError, match=complaint):
        AuditPlan(*plan)


# --- the audit can say no ------------------------------------------------------------------------


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_wrong_equation_fails_in_exactly_its_own_rows(name):
    changed = verdicts(audit(PLAN, wrong(name, lambda right: 3 * right), judges=[]))
    for key, verdict in findings.known().items():
        own = key[0] == name and verdict != "UNDEFINED"
        assert changed[key] == ("FAILS" if own else verdict), key


@pytest.mark.parametrize("name", ["N1", "C1", "C2", "C3", "S3", "S6", "S7", "S8", "S9"])
def test_a_mistake_of_one_part_in_a_trillion_is_seen(name):
    changed = audit(PLAN, wrong(name, lambda right: (1 + 1e-12) * right), judges=[])
    assert {k[0] for k, v in verdicts(changed).items() if v != findings.known()[k]} == {name}


def test_differences_are_named():
    changed = audit(PLAN, wrong("S9", lambda right: 3 * right), judges=[])
    assert len(changed["differences"]) == 10
    assert changed["differences"][0] == "S9 under identity at l = N: found FAILS, known is HOLDS"
    rows = [row for row in changed["rows"] if row["equation"] != "C1"]
    assert "C1 under identity: found no row, known is HOLDS" in findings.differences(rows)


def test_an_equation_whose_symbol_no_trial_knows_is_refused():
    strange = dataclasses.replace(EQUATIONS["S1"], symbols=("momentum",))
    with pytest.raises(ValueError, match="S1 needs 'momentum'"):
        audit(PLAN, {**EQUATIONS, "S1": strange}, judges=[])


def test_an_equation_without_a_subject_is_refused():
    silent = dataclasses.replace(EQUATIONS["S1"], subject=None)
    with pytest.raises(ValueError, match="S1 does not say"):
        audit(PLAN, {**EQUATIONS, "S1": silent}, judges=[])


# --- one trial -----------------------------------------------------------------------------------


def case_with(weights, biases, inputs, output, dtype="float64"):
    """A case with these numbers; its targets are 0.25."""
    arrays = [[np.array(x, dtype) for x in part] for part in (weights, biases)]
    inputs = np.array(inputs, dtype)
    widths = (inputs.shape[1], *(len(b) for b in arrays[1]))
    targets = np.full((len(inputs), widths[-1]), 0.25, dtype)
    architecture = Architecture(widths, "sigmoid", output)
    return Case(architecture, dtype, 0, 0, tuple(arrays[0]), tuple(arrays[1]), inputs, targets)


def verdict(name, case, layer):
    ingredients = Ingredients(case, left_sides.left_sides(case))
    return tried(EQUATIONS[name], Place(layer, ""), ingredients, [])["oracle"].verdict


TWO_LAYERS = ([[[1.5], [-0.5]]], [[0.3]])


@pytest.mark.parametrize(
    ("name", "reading", "holds_at", "numbers"),
    [
        ("S1", "sigmoid", "w = 0", ([[[0.0], [0.0]]], [[0.3]], [[0.7, 0.2]])),
        ("S6", "identity", "w = 0", ([[[0.0], [0.0]]], [[0.3]], [[0.7, 0.2]])),
        ("S2", "sigmoid", "zero inputs", (*TWO_LAYERS, [[0.0, 0.0]])),
        ("S4", "identity", "zero inputs", (*TWO_LAYERS, [[0.0, 0.0]])),
    ],
)
def test_a_wrong_equation_happens_to_hold_where_its_factor_is_zero(
    name, reading, holds_at, numbers
):
    """And nowhere else: with the same net and other numbers it fails."""
    layer = 1 if name == "S6" else 2
    assert verdict(name, case_with(*numbers, reading), layer) == "HOLDS"
    others = case_with(*TWO_LAYERS, [[0.7, 0.2]], reading)
    assert verdict(name, others, layer) == "FAILS"


def test_s5_happens_to_hold_where_the_output_weights_are_zero():
    weights = [[[1.0, 2.0]], [[0.0], [0.0]]]
    biases = [[0.1, 0.2], [0.3]]
    assert verdict("S5", case_with(weights, biases, [[0.5]], "identity"), 2) == "HOLDS"
    weights[1][0] = [0.5]
    assert verdict("S5", case_with(weights, biases, [[0.5]], "identity"), 2) == "FAILS"


@pytest.mark.parametrize("numbers", [TWO_LAYERS, ([[[0.0], [0.0]]], [[0.0]])])
def test_s3_never_holds_under_sigmoid(numbers):
    assert verdict("S3", case_with(*numbers, [[0.0, 0.0]], "sigmoid"), 2) == "FAILS"


def test_n2_meets_a_linear_output_at_the_fixed_point_of_sigma():
    """σ(z) = z at z = 0.659046…: the nearest float32 is within N2's bound, another is not."""
    z = 0.65904607
    near = case_with([[[0.0], [0.0]]], [[z]], [[1.0, 1.0]], "identity", "float32")
    assert verdict("N2", near, 2) == "HOLDS"
    away = case_with([[[0.0], [0.0]]], [[z + 1e-4]], [[1.0, 1.0]], "identity", "float32")
    assert verdict("N2", away, 2) == "FAILS"


@pytest.mark.parametrize(("z", "expected_verdict"), [(5.0, "HOLDS"), (40.0, "UNDECIDED")])
def test_saturation_is_undecided_and_never_taken_for_holding(z, expected_verdict):
    """At z = 40 a is 1 in float64, a (1 - a) is 0, and its bound exceeds σ′ = 4e-18."""
    case = case_with([[[0.0], [0.0]]], [[z]], [[1.0, 1.0]], "sigmoid")
    assert verdict("S4", case, 2) == expected_verdict


def test_saturation_still_convicts_what_is_far_off():
    case = case_with([[[1.0], [1.0]]], [[40.0]], [[1.0, 1.0]], "sigmoid")
    assert verdict("S1", case, 2) == "FAILS"


def test_a_radius_that_straddles_the_bound_is_undecided():
    right = Computed.exact(np.array([1.0]), FORMATS["float64"])
    one, zero = np.array([1.0]), np.zeros(1)
    for radius, verdict in ((0.0, "HOLDS"), (2.0**-50, "UNDECIDED")):
        left = left_sides.EnclosedSide(one, zero, np.array([radius]))
        assert ruled(right, left, np.zeros(())).verdict == verdict
    far = left_sides.EnclosedSide(one + 2.0**-40, zero, np.array([2.0**-50]))
    assert ruled(right, far, np.zeros(())).verdict == "FAILS"


def test_a_value_that_is_no_number_never_holds():
    right = Computed.exact(np.array([np.nan]), FORMATS["float64"])
    left = left_sides.EnclosedSide(np.ones(1), np.zeros(1), np.zeros(1))
    assert ruled(right, left, np.zeros(())).verdict == "UNDECIDED"


# --- the rivals ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FromTheOracle:
    """A rival that reads the exact left sides off, but for one key that it doubles."""

    liar: str = ""
    name: str = "mirror"
    flushes: bool = False

    def left_sides(self, case):
        facts = left_sides.left_sides(case)
        start = case.architecture.layers
        return {
            key: part.hi * (2 if self.liar and key.endswith(self.liar) else 1)
            for key, part in facts.items()
            if key not in ("a1", f"a{start}/a{start}")
        }


def test_a_rival_that_lies_is_shown_to_disagree():
    honest = audit(PLAN, judges=[FromTheOracle()])
    assert [row for row in honest["rows"] if row["disagreement"]] == []
    lying = audit(PLAN, judges=[FromTheOracle("/b2")])
    rows = [row for row in lying["rows"] if row["disagreement"]]
    assert {row["equation"] for row in rows} == {"C2", "S3", "S5", "S8"}
    assert all(row["verdict"] == "HOLDS" for row in rows)
    assert all(row["rivals"]["mirror"]["verdict"] == "FAILS" for row in rows)
    assert lying["differences"] == []
    assert "disagree on" in lying["finding"][-1]


def test_all_rivals_give_the_same_verdict_on_every_row():
    judges, absent = table.load()
    if absent:
        pytest.skip("; ".join(absent.values()))
    found = audit(PLAN, judges=judges)
    assert found["rivals"] == list(table.RIVALS)
    for row in found["rows"]:
        assert row["disagreement"] == []
        assert list(row["rivals"]) == ["oracle", *table.RIVALS]
        for judge in row["rivals"].values():
            assert judge["verdict"] == row["verdict"]
            assert judge["architectures"] == row["architectures"]
    assert verdicts(found) == findings.known()


def test_a_rival_without_a_left_side_is_left_out():
    case = PLAN.case(8, "sigmoid")
    ingredients = Ingredients(case, left_sides.left_sides(case))
    silent = RivalSides("silent", {}, {})
    assert set(tried(EQUATIONS["N1"], Place(2, ""), ingredients, [silent])) == {"oracle"}


def test_a_missing_library_is_named_and_the_others_go_on(monkeypatch):
    def without_jax(module):
        if "jax" in module:
            raise ModuleNotFoundError("No module named 'jax'", name="jax.numpy")
        return original(module)

    original = table.import_module
    monkeypatch.setattr(table, "import_module", without_jax)
    judges, absent = table.load()
    assert not any(judge.name.startswith("jax") for judge in judges)
    assert "pip install 'gradcrosscheck[jax]'" in absent["jax.jacrev"]


# --- remedies, the unprinted, the whole ----------------------------------------------------------


def test_every_failing_row_has_a_remedy_that_holds(found):
    failing = [k for k, v in verdicts(found).items() if v == "FAILS"]
    remedies = found["remedies"]
    assert [(r["equation"], r["reading"], r["layer"]) for r in remedies] == failing
    assert [r["correction"] for r in remedies] == [name + "′" for name, _, _ in failing]
    assert all(r["verdict"] == "HOLDS" and r["fails"] == 0 for r in remedies)


def test_where_no_correction_is_known_none_is_claimed():
    changed = audit(PLAN, wrong("C1", lambda right: 3 * right), judges=[])
    mine = [r for r in changed["remedies"] if r["equation"] == "C1"]
    assert [r["correction"] for r in mine] == [None, None]


def test_a_correction_is_on_trial_itself(monkeypatch):
    """With the wrong correction in its place, the remedy is seen to fail."""
    from crosscheck.paper.unprinted import CORRECTIONS

    swapped = {**CORRECTIONS, "sigmoid": {**CORRECTIONS["sigmoid"], ("S2", "output"): "S4′"}}
    monkeypatch.setattr(findings, "CORRECTIONS", swapped)
    remedies = audit(PLAN, judges=[])["remedies"]
    assert [r["verdict"] for r in remedies if r["equation"] == "S2"] == ["FAILS"]


def test_what_is_not_printed_is_listed_and_holds(found):
    listed = {(row["equation"], row["reading"]) for row in found["unprinted"]}
    both = {(name, reading) for name in ("U1", "U2", "U3") for reading in ("identity", "sigmoid")}
    assert listed == both | {("S3′", "sigmoid"), ("N2′", "identity")}
    assert {row["status"] for row in found["unprinted"]} == {"UNPRINTED"}
    assert {row["verdict"] for row in found["unprinted"]} == {"HOLDS"}


def is_wrong(route, reading, layers, tensor, layer):
    """What follows from the print for each gradient, on both routes."""
    if route == "letter":
        if reading == "identity":
            return layers > 2 and (tensor, layer) == ("b", "N-1")
        return (tensor, layer) != ("b", "N-1")
    is_last_bias = (tensor, layer) == ("b", "N")
    return is_last_bias if reading == "sigmoid" else not is_last_bias


def test_the_composed_gradients_are_wrong_where_and_as_the_print_implies(found):
    whole = found["whole"]
    assert len(whole) == 2 * 2 * sum(2 * (n - 1) for n in range(2, 7))
    for row in whole:
        about = tuple(row[key] for key in ("route", "reading", "layers", "tensor", "layer"))
        assert (row["verdict"] == "FAILS") == is_wrong(*about), about
        factor = "missing" if row["reading"] == "sigmoid" else "one too many"
        if row["verdict"] == "FAILS":
            assert row["factor"] == f"a^N (1 - a^N) is {factor}"
        else:
            assert row["factor"] == ""
            assert row["verdict"] == "HOLDS"


def test_a_mistake_that_one_factor_does_not_explain_has_no_factor():
    changed = audit(PLAN, wrong("C2", lambda right: 3 * right), judges=[])
    biases = [row for row in changed["whole"] if row["tensor"] == "b"]
    assert {row["verdict"] for row in biases} == {"FAILS"}
    assert {row["factor"] for row in biases} == {""}


# --- the weakness --------------------------------------------------------------------------------


def digits(found, dtype, method):
    return {
        row["z"]: row
        for row in found["weakness"]
        if (row["dtype"], row["method"]) == (dtype, method)
    }


def test_a_times_one_minus_a_loses_its_digits_where_it_is_known_to(found):
    printed = digits(found, "float32", "a(1-a)")
    assert 4e-5 < printed[8.0]["relative_error"] < 5e-5
    assert 0.16 < printed[15.0]["relative_error"] < 0.18
    assert printed[16.5]["relative_error"] < 1
    assert printed[17.0]["relative_error"] == 1
    double = digits(found, "float64", "a(1-a)")
    assert double[36.5]["relative_error"] < 1
    assert double[37.0]["relative_error"] == 1
    assert [row["digits"] for z, row in double.items() if z > 37] == [0.0] * 6


def test_the_stable_product_keeps_them(found):
    assert min(r["digits"] for r in digits(found, "float32", "σ(z)σ(-z)").values()) > 6.5
    assert min(r["digits"] for r in digits(found, "float64", "σ(z)σ(-z)").values()) > 15


@pytest.mark.parametrize("library", ["PyTorch", "JAX"])
def test_the_libraries_share_the_flaw(found, library):
    for dtype in ("float32", "float64"):
        own = digits(found, dtype, library)
        if not own:
            pytest.skip(f"{library} is not installed")
        printed = digits(found, dtype, "a(1-a)")
        assert own[40.0]["digits"] == printed[40.0]["digits"] == 0
        assert abs(own[12.0]["digits"] - printed[12.0]["digits"]) < 1


def test_exact_slopes_are_exact_at_zero():
    assert list(cancellation.exact_slopes(np.array([0.0]))) == [0.25]
