"""The benchmark compares what it says, on the same numbers; its speed is not tested here."""

import numpy as np
import pytest

from crosscheck import bench, cli

TINY = (((3, 4, 2), 3),)


def test_a_ratio_is_taken_round_by_round():
    figure = bench.ratio([2.0, 4.0, 30.0], [1.0, 2.0, 3.0])
    assert figure == (2.0, 2.0, 10.0)
    assert str(figure) == "2 (2 – 10)"


def test_every_action_is_run_in_every_round(monkeypatch):
    monkeypatch.setattr(bench, "ROUND_SECONDS", 0)
    called = []
    actions = {name: lambda name=name: called.append(name) for name in "ab"}
    found = bench.times(actions, rounds=3)
    assert [len(of) for of in found.values()] == [3, 3]
    assert called[-6:] == ["a", "b"] * 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_rivals_compute_our_gradient(dtype):
    torch = pytest.importorskip("torch")
    from crosscheck import verdict
    from crosscheck.engines import names
    from crosscheck.values import Gradients

    case = bench.case_of((3, 4, 2), 3, dtype)
    run = bench.torch_steady(case)
    run()
    parameters = run.__closure__
    found = {cell.cell_contents and id(cell): cell.cell_contents for cell in parameters}
    lists = [v for v in found.values() if isinstance(v, list)]
    weights, biases = sorted(lists, key=lambda some: -some[0].dim())
    gradients = Gradients(
        None, [w.grad.numpy().T for w in weights], [b.grad.numpy() for b in biases]
    )
    promise = names.load("torch.backward").arithmetic(case.dtype)
    judged = verdict.judge(verdict.Evidence(case), promise, gradients)
    assert {row["verdict"] for row in judged} == {"CONSISTENT"}
    assert torch.get_num_threads() >= 1


def test_the_floor_is_three_products_a_layer_and_two_in_the_first(monkeypatch):
    case = bench.case_of((3, 4, 5, 2), 3, "float32")
    run = bench.products(case)
    calls = []
    monkeypatch.setattr(np, "dot", lambda *arrays: calls.append(arrays))
    run()
    assert len(calls) == 3 * 3 - 1


def test_a_rival_that_would_take_too_long_is_extrapolated_and_marked(monkeypatch):
    slow = {"slow": lambda: np.zeros(1)}
    monkeypatch.setattr(bench, "rivals", lambda case: slow)
    monkeypatch.setattr(bench, "RIVAL_SECONDS", 0)
    table = bench.verdicts(1, (((2, 2), 2), ((3, 3), 2)))
    assert "extrapolated" not in table["slow"][0]
    assert "extrapolated" in table["slow"][1]


def test_the_parts_of_a_verdict_have_a_column_each():
    table = bench.costs(1, TINY)
    assert {"B", "ℓ2", "oracle", "double-double", "stagewise (float32)"} <= set(table.columns)


def test_threads_are_as_before_afterwards():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with bench.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_an_unknown_part_is_bad_input(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", "--only", "dreams"])
    assert stopped.value.code == 2
    assert "unknown part 'dreams': known are gradients" in capsys.readouterr().err


def test_the_tables_are_written_with_a_picture_beside(tmp_path, monkeypatch, capsys):
    table = bench.pd.DataFrame(
        {
            "network": ["1-1"],
            "D": [2],
            "dtype": ["float32"],
            "µs": [1.0],
            "/ torch": ["0.5 (0.4 – 0.6)"],
        }
    )
    monkeypatch.setattr(bench, "run", lambda parts, rounds: {"gradients": table})
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", "--only", "gradients", "--out", str(tmp_path / "new" / "speed.md")])
    assert not stopped.value.code
    assert "0.5 (0.4 – 0.6)" in (tmp_path / "new" / "speed.md").read_text()
    assert (tmp_path / "new" / "speed-gradients.png").stat().st_size > 1000
    assert "/ torch" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "number"), [("0.5 (0.4 – 0.6)", 0.5), ("≈ 3.9e+03 (extrapolated)", 3900.0)]
)
def test_the_median_of_a_ratio_is_read_from_its_text(text, number):
    assert bench._median(text) == number
    assert np.isnan(bench._median("–"))
