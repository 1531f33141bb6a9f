"""The benchmark compares what it says, on the same numbers; its speed is not tested here."""

from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest

from crosscheck.cli import commands, main
from crosscheck.studies.other_checkers import GRADIENT_CHECKERS
from crosscheck.studies.speed import actions, command, plots
from crosscheck.verdicts.evidence import Evidence

TINY = (((3, 4, 2), 3),)


def judged_as(promise, case, weights, biases):
    """The verdicts on torch's gradients, by tensor."""
    from crosscheck.engines import registry
    from crosscheck.networks.network import Gradients
    from crosscheck.verdicts import verdict

    gradients = Gradients(
        None, [w.grad.numpy().T for w in weights], [b.grad.numpy() for b in biases]
    )
    arithmetic = registry.load(promise).arithmetic(case.dtype)
    return {row["verdict"] for row in verdict.judge(Evidence(case), arithmetic, gradients)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_rivals_compute_our_gradient(dtype, compiled):
    torch = pytest.importorskip("torch")
    if compiled and not actions.has_cpp_compiler():
        pytest.skip("torch.compile needs a C++ compiler")
    case = command.case_of((3, 4, 2), 3, dtype)
    run = command.torch_steady(case, compiled)
    run()
    lists = [c.cell_contents for c in run.__closure__ if isinstance(c.cell_contents, list)]
    weights, biases = sorted(lists, key=lambda some: -some[0].dim())
    assert judged_as("torch.backward", case, weights, biases) == {"CONSISTENT"}
    assert torch.get_num_threads() >= 1


def test_the_floor_is_three_products_a_layer_and_two_in_the_first(monkeypatch):
    case = command.case_of((3, 4, 5, 2), 3, "float32")
    run = command.products(case)
    calls = []
    monkeypatch.setattr(np, "dot", lambda *arrays: calls.append(arrays))
    run()
    assert len(calls) == 3 * 3 - 1


# --- gradients ---------------------------------------------------------------------------------


class Here:
    """What a process is submitted is done here, at once."""

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


@pytest.fixture
def here(monkeypatch):
    """Nothing is measured in another process."""

    @contextmanager
    def processes(counts):
        yield {count: Here() for count in counts}

    monkeypatch.setattr(command.timing, "processes", processes)


def invented(widths, samples, dtype, rounds, threads, literal):
    """Times of one gradient: ours takes 2 seconds, or 1 on two threads."""
    found = {"ours": [2.0 / threads] * rounds, "products": [1.0] * rounds}
    found |= {"torch": [4.0] * rounds, "jax": [8.0] * rounds}
    return found | ({"paper": [40.0]} if literal else {})


def test_gradients_are_compared_for_each_number_of_threads(here, monkeypatch):
    monkeypatch.setattr(command, "gradient_times", invented)
    table = command.gradients(3, TINY)
    assert list(table["threads"]) == [1, 2, 1, 2]
    assert list(table["dtype"]) == ["float32"] * 2 + ["float64"] * 2
    assert list(table[command.FLOOR]) == ["0.125 (0.125 – 0.125)"] * 4
    assert list(table["/ torch"][:2]) == ["0.5 (0.5 – 0.5)", "0.25 (0.25 – 0.25)"]
    assert list(table["/ paper"][:2]) == ["0.05 (0.05 – 0.05)", "0.025 (0.025 – 0.025)"]
    assert list(table[command.ONE_THREAD][:2]) == ["1 (1 – 1)", "0.5 (0.5 – 0.5)"]


def test_without_a_compiler_torch_compile_is_named_as_not_available(here, monkeypatch):
    monkeypatch.setattr(command, "gradient_times", invented)
    table = command.gradients(3, TINY)
    assert set(table["/ torch.compile"]) == {"not available: no C++ compiler"}


def test_the_literal_recursion_is_extrapolated_by_its_work_and_marked(here, monkeypatch):
    monkeypatch.setattr(command, "gradient_times", invented)
    table = command.gradients(3, (((2, 2), 2), ((2, 2), 8)), threads=(1,))
    # Four times as many samples: 160 seconds, more than a minute.
    assert table["/ paper"][2] == "≈ 0.0125 (extrapolated)"
    assert "extrapolated" not in table["/ paper"][0]


@pytest.mark.parametrize("compiler", [True, False])
def test_every_rival_that_is_there_is_measured(compiler, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("jax")
    monkeypatch.setattr(command, "has_cpp_compiler", lambda: compiler)
    monkeypatch.setattr(command, "torch_steady", lambda case, compiled=False: lambda: None)
    monkeypatch.setattr(command.timing, "ROUND_SECONDS", 0)
    found = command.gradient_times((3, 4, 2), 3, "float32", 2, 1, True)
    rivals = {"ours", "products", "torch", "jax", "paper"}
    assert found.keys() == rivals | ({"torch.compile"} if compiler else set())
    assert {len(rounds) for rounds in found.values()} == {2}


# --- verdicts ----------------------------------------------------------------------------------


def test_the_checkers_that_are_timed_are_content_with_our_gradient():
    for library in ("torch", "jax", "autograd"):
        pytest.importorskip(library)
    checks = actions.rivals(command.case_of((3, 4, 2), 3, "float64"))
    assert {name: check() for name, check in checks.items()} == dict.fromkeys(
        GRADIENT_CHECKERS, True
    )


def test_a_rival_that_would_take_too_long_is_extrapolated_and_marked(monkeypatch):
    slow = {"slow": lambda: np.zeros(1)}
    monkeypatch.setattr(command, "rivals", lambda case: slow)
    monkeypatch.setattr(command, "RIVAL_SECONDS", 0)
    table = command.verdicts(1, (((2, 2), 2), ((3, 3), 2)))
    assert "extrapolated" not in table["slow"][0]
    assert "extrapolated" in table["slow"][1]


def test_the_parts_of_a_verdict_have_a_column_each():
    table = command.costs(1, TINY)
    parts = {"B", "ℓ2", "oracle", "slices", "double-double", "stagewise (float32)", "with rows"}
    assert parts <= set(table.columns)


# --- the command -------------------------------------------------------------------------------


def test_an_unknown_part_is_bad_input(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "--only", "dreams"])
    assert stopped.value.code == 2
    assert "unknown part 'dreams': known are gradients" in capsys.readouterr().err


def test_every_part_is_measured_if_nothing_is_said():
    (only,) = [option for option in commands.bench.params if option.name == "only"]
    assert only.default.split(",") == list(command.PARTS) == list(command.HEADINGS)


def test_the_tables_are_written_with_a_picture_beside(tmp_path, monkeypatch, capsys):
    table = command.pd.DataFrame(
        {
            "network": ["1-1"],
            "D": [2],
            "dtype": ["float32"],
            "threads": [1],
            "µs": [1.0],
            "/ torch": ["0.5 (0.4 – 0.6)"],
        }
    )
    monkeypatch.setattr(command, "run", lambda parts, extent: {"gradients": table})
    out = tmp_path / "new" / "speed.md"
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "--only", "gradients", "--largest", "9", "--out", str(out)])
    assert not stopped.value.code
    written = out.read_text()
    assert "0.5 (0.4 – 0.6)" in written
    assert "Made by `crosscheck bench --only gradients --largest 9`." in written
    assert (tmp_path / "new" / "speed-gradients.png").stat().st_size > 1000
    assert "/ torch" in capsys.readouterr().out


RATIO = "0.5 (0.4 – 0.6)"
TABLES = {
    "gradients": {"network": ["1-1", "1-1"], "D": 2, "dtype": "float32", "threads": [1, 2],
                  "µs": 1.0, "/ torch": RATIO, "/ torch.compile": command.NOT_AVAILABLE},
    "verdicts": {"parameters": [2, 4], "D": 2, "ms": 1.0, "slow": [RATIO, "≈ 7 (extrapolated)"]},
    "stages": {"stage": ["bound B", "bound B", "whole", "whole"], "µs": RATIO,
               "dtype": ["float32", "float64"] * 2},
    "growth": {"grows": ["width", "layers"], "to": [4, 2], "dtype": "float32", "a second": RATIO},
    "workers": {"processes": [1, 2], "/ one process": [RATIO, RATIO]},
    "memory": {"cases": [2000, 20000], "all, MB": RATIO, "parent, MB": RATIO},
}  # fmt: skip


@pytest.mark.parametrize("name", plots.PICTURES)
def test_each_table_has_its_picture(name):
    figure = plots.picture(name, "A heading", command.pd.DataFrame(TABLES[name]))
    drawn = [axes for axes in figure.axes if axes.lines or axes.patches]
    assert drawn
    assert figure.get_suptitle() == "A heading"
