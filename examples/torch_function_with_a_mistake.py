"""A softmax whose backward forgets what is off the diagonal of its Jacobian.

Prints:

DEFECT  Softmax, gradient by args[0] (2x3), torch backward, float32   (case g0-i0-float32)
The rule is wrong (shown in exact arithmetic: no rounding is involved)
Mismatched entries: 6 / 6 (100.0%), the bound allows 2.3e-07
Greatest absolute difference: 0.3537 at args[0][0, 2]: got -0.06972509, exact -0.4234498 (0.1647 times)
First wrong operation: Softmax, mul (torch_function_with_a_mistake.py:27): another derivative; with the exact value in its place the gradient is right
"""  # noqa: E501

import torch

import crosscheck


class Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.softmax(x, -1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, cotangent):
        (y,) = ctx.saved_tensors
        return cotangent * y * (1 - y)


x = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 0.25]])
print(crosscheck.gradcheck(Softmax.apply, x, modes="backward").message())
