"""A layer norm stored in bfloat16 that sums in float32, held to a plain one that it promises.

Prints:

LayerNorm: 2 CONSISTENT, 0 SUSPECT, 0 DEFECT, 0 INCONCLUSIVE of 2 arrays
"""

import torch

import crosscheck


def plain(x):
    centred = x - x.mean(-1, keepdim=True)
    return centred * torch.rsqrt((centred * centred).mean(-1, keepdim=True) + 1e-5)


class LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        wide = x.float()
        mean = wide.mean(-1, keepdim=True)
        inverse = torch.rsqrt(wide.var(-1, unbiased=False, keepdim=True) + 1e-5)
        ctx.save_for_backward(wide, mean, inverse)
        return ((wide - mean) * inverse).to(x.dtype)

    @staticmethod
    def backward(ctx, cotangent):
        wide, mean, inverse = ctx.saved_tensors
        h, c = (wide - mean) * inverse, cotangent.float()
        means = c.mean(-1, keepdim=True) + h * (c * h).mean(-1, keepdim=True)
        return (inverse * (c - means)).to(cotangent.dtype)


x = torch.tensor([[1.0, -2.0, 0.5, 3.0], [0.25, 0.75, -1.5, 2.0]], dtype=torch.bfloat16)
given = {"reference": plain, "accumulate": "float32", "modes": "backward"}
print(crosscheck.gradcheck(LayerNorm.apply, x, **given))
