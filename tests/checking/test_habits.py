"""gradcheck() and habits of use: what a plain backward does not show, PyTorch's users do."""

# ruff: noqa: E402

import pytest

torch = pytest.importorskip("torch")

import crosscheck


class Tanh(torch.autograd.Function):
    """tanh, whose backward is what its subclasses make of it."""

    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * (1 - y * y)


class AssumesContiguous(Tanh):
    """Reads the cotangent's memory as if it were contiguous."""

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g.as_strided(y.shape, y.contiguous().stride()) * (1 - y * y)


class IgnoresCotangent(Tanh):
    """Right for a sum alone."""

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return 1 - y * y


class Overwrites(Tanh):
    """Computes in place of what it saved, behind autograd's back."""

    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x)
        ctx.save_for_backward(y.clone())
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        slope = y.data.mul_(y.data).neg_().add_(1)
        return g * slope


class KeepsState(Tanh):
    """Saves on the class: the last call's values are every call's."""

    @staticmethod
    def forward(ctx, x):
        KeepsState.y = torch.tanh(x)
        return KeepsState.y.clone()

    @staticmethod
    def backward(ctx, g):
        return g * (1 - KeepsState.y**2)


def wrong_modes(function, *args, **how):
    report = crosscheck.gradcheck(function, *args, **how)
    errors = report.errors
    return set(errors.loc[errors["verdict"] == "DEFECT", "mode"]), report


@pytest.fixture
def x():
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(5))


def test_right_code_is_right_in_every_habit_and_each_has_its_rows(x):
    wrong, report = wrong_modes(Tanh.apply, x)
    assert report.ok, report.message()
    assert not wrong
    modes = set(report.errors["mode"])
    assert modes >= {"backward", "strided cotangents", "zero cotangents", "backward again"}
    assert "the first result alone" not in modes


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        (AssumesContiguous, {"strided cotangents"}),
        (Overwrites, {"backward again"}),
        (KeepsState, {"another call before backward"}),
    ],
)
def test_a_mistake_that_a_plain_backward_hides_is_shown_by_its_habit_alone(x, function, shown):
    wrong, _ = wrong_modes(function.apply, x)
    assert wrong == shown


def test_a_rule_that_ignores_its_cotangent_is_wrong_in_every_way(x):
    wrong, _ = wrong_modes(IgnoresCotangent.apply, x)
    assert {"backward", "zero cotangents", "expanded cotangents"} <= wrong


def test_a_result_without_a_cotangent_gives_no_gradient_and_counts_as_zero(x):
    def two(x, w):
        return torch.sin(x) @ w, w.exp()

    _, report = wrong_modes(two, x, torch.randn(3))
    assert report.ok, report.message()
    assert "the first result alone" in set(report.errors["mode"])


def test_what_refuses_other_layouts_in_words_is_not_accused(x):
    def strict(x):
        if not x.is_contiguous():
            raise RuntimeError("x has to be contiguous")
        return x.sin()

    _, report = wrong_modes(strict, x)
    assert report.ok, report.message()
    assert any("x has to be contiguous" in note for note in report.notes)


def test_habits_are_tried_on_the_first_set_of_arguments_alone():
    report = crosscheck.gradcheck(torch.sin, torch.randn(3), cases=2)
    first, second = (set(part["mode"]) for _, part in report.errors.groupby("index"))
    assert "strided cotangents" in first
    assert second == {"backward", "func", "forward", "vmap"}


def test_a_habit_can_be_asked_for_by_name(x):
    _, report = wrong_modes(Tanh.apply, x, modes=["zero cotangents"])
    assert set(report.errors["mode"]) == {"zero cotangents"}
