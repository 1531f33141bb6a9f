"""gradcheck() of kernels that cannot be read, held to a reference and to the sums they declare."""

# ruff: noqa: E402

import pytest

torch = pytest.importorskip("torch")

import crosscheck


def squares(x):
    return (x * x).sum(-1)


def kernel(name, forward):
    """A custom operator with a hidden body, and the right backward."""
    operator = torch.library.custom_op(f"crosscheck_tests::{name}", mutates_args=())
    called = operator(forward)
    called.register_fake(lambda x: x.new_empty(x.shape[:-1]))

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g[..., None]

    called.register_autograd(
        backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs)
    )
    return called


def wide(x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy((x.float().numpy() ** 2).sum(-1)).to(x.dtype)


def narrow(x: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(x.shape[:-1], dtype=x.dtype)
    for column in x.unbind(-1):
        total = total + column * column
    return total


@pytest.mark.parametrize(
    ("name", "forward", "verdict"),
    [("wide", wide, "CONSISTENT"), ("narrow", narrow, "DEFECT")],
)
def test_a_kernel_in_bfloat16_has_to_sum_as_wide_as_it_declares(name, forward, verdict):
    x = torch.randn(2, 600, generator=torch.Generator().manual_seed(3)).to(torch.bfloat16)
    report = crosscheck.gradcheck(
        kernel(name, forward), x, reference=squares, accumulate="float32", modes="backward"
    )
    verdicts = dict(zip(report.errors["tensor"], report.errors["verdict"], strict=True))
    assert verdicts == {"value": verdict, "args[0]": "CONSISTENT"}, report.message()
