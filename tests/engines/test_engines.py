"""Every engine × cases: the right shapes and numbers, and the user's settings as they were."""

import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest

import crosscheck
from crosscheck.arithmetic.costs import COSTS
from crosscheck.engines import interface, registry
from crosscheck.engines.interface import Engine
from crosscheck.exact import oracle
from crosscheck.networks.network import Architecture, Gradients
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge

RIGHT = [name for name in registry.NAMES if name != "paper-printed"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RIGHT)
def test_right_engines_are_never_accused(name, dtype, small):
    engine = registry.load(name)
    assert isinstance(engine, Engine)
    assert engine.name == name
    verdicts = []
    for index in range(12):
        case = small(index, dtype)
        gradients = engine.gradients(case)
        interface.require(case, gradients)
        rows = judge(Evidence(case), engine.arithmetic(dtype), gradients)
        verdicts += [row["verdict"] for row in rows]
    assert "DEFECT" not in verdicts
    assert verdicts.count("CONSISTENT") > len(verdicts) / 2


@pytest.mark.parametrize("name", RIGHT)
def test_cost_is_the_exact_cost(name, small):
    for index in (8, 9, 10):
        case = small(index)
        hi, lo, _ = oracle.enclose(case).cost
        assert registry.load(name).gradients(case).cost == pytest.approx(hi + lo, rel=1e-12)


@pytest.mark.parametrize("cost", [name for name, cost in COSTS.items() if cost.quick])
@pytest.mark.parametrize("output", ["identity", "sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("name", ["torch.backward", "jax.grad"])
def test_every_activation_and_cost(name, hidden, output, cost, small):
    """One case each: all combinations that an engine takes are right in float64."""
    engine, case = registry.load(name), small(13)
    architecture = Architecture((3, 4, 2), hidden, output, cost)
    rng = np.random.default_rng(5)
    case = dataclasses.replace(
        case,
        architecture=architecture,
        weights=tuple(rng.standard_normal(s) for s in architecture.weight_shapes),
        biases=tuple(rng.standard_normal(s[1]) for s in architecture.weight_shapes),
        inputs=rng.standard_normal((3, 3)),
        targets=rng.standard_normal((3, 2)),
    )
    rows = judge(Evidence(case), engine.arithmetic("float64"), engine.gradients(case))
    assert {row["verdict"] for row in rows} == {"CONSISTENT"}


def test_the_paper_speaks_of_no_other_activation():
    engine = registry.load("paper")
    assert not engine.supports(Architecture((2, 2, 2), "tanh"), "float64")
    assert not engine.supports(Architecture((2, 2, 2), cost="sum_squared_error"), "float64")


def test_users_settings_are_left_alone(small):
    import jax
    import torch

    before = (
        jax.config.jax_enable_x64,
        torch.get_num_threads(),
        torch.get_default_dtype(),
        np.geterr(),
    )
    for name in registry.NAMES:
        for dtype in ("float32", "float64"):
            registry.load(name).gradients(small(7, dtype))
    after = (
        jax.config.jax_enable_x64,
        torch.get_num_threads(),
        torch.get_default_dtype(),
        np.geterr(),
    )
    assert before == after


def test_engines_do_not_change_the_case(small):
    case = small(9)
    kept = [w.copy() for w in case.weights]
    for name in registry.NAMES:
        registry.load(name).gradients(case)
    for w, k in zip(case.weights, kept, strict=True):
        np.testing.assert_array_equal(w, k)


@pytest.mark.parametrize("module", ["engines/torch.py", "engines/jax.py", "exact/oracle.py"])
def test_rivals_share_no_code_with_the_paper(module):
    source = (Path(crosscheck.__file__).parent / module).read_text(encoding="utf-8")
    imported = {
        node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)
    }
    assert not any(name and name.startswith("crosscheck.paper") for name in imported)


def test_unknown_engine_names_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean torch\.backward\?"):
        registry.load("torch.backwards")


def wrong_forms(good):
    yield "1 bias gradients came", Gradients(None, good.weights, good.biases[:1])
    yield "looks transposed", Gradients(None, [good.weights[0].T, *good.weights[1:]], good.biases)
    yield (
        "float32, expected float64",
        Gradients(None, [w.astype(np.float32) for w in good.weights], good.biases),
    )
    yield "expected an array", Gradients(None, [None, *good.weights[1:]], good.biases)
    yield "shape", Gradients(None, good.weights, [b[None] for b in good.biases])


def test_wrong_forms_get_a_sentence(mazur):
    good = registry.load("paper").gradients(mazur)
    interface.require(mazur, good)
    case = dataclasses.replace(
        mazur,
        architecture=Architecture((2, 3, 2), "sigmoid", "sigmoid"),
        weights=(np.ones((2, 3)), np.ones((3, 2))),
        biases=(np.ones(3), np.ones(2)),
    )
    good = registry.load("paper").gradients(case)
    for sentence, bad in wrong_forms(good):
        with pytest.raises(interface.Malformed, match=sentence):
            interface.require(case, bad)
