"""Functions in PyTorch that people differentiate: name -> (function, make_arguments(rng, dtype)).

`dtype` is a torch.dtype; what `rng` (NumPy's) draws is rounded to it.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812


def normal(rng, dtype, *shape, scale=1.0):
    return torch.from_numpy(np.asarray(scale * rng.standard_normal(shape))).to(dtype)


def normals(*shapes, scale=1.0):
    return lambda rng, dtype: tuple(normal(rng, dtype, *shape, scale=scale) for shape in shapes)


def positive(*shapes, least=0.2):
    def make(rng, dtype):
        return tuple(
            torch.from_numpy(least + rng.gamma(2.0, 0.5, shape)).to(dtype) for shape in shapes
        )

    return make


# Nets, with the activations and losses in use


def net(activation, loss):
    def function(params, x, y):
        h = activation(F.linear(x, params["w1"], params["b1"]))
        return loss(activation(h @ params["w2"] + params["b2"]) @ params["w3"], y)

    return function


def net_arguments(rng, dtype):
    params = {
        "w1": normal(rng, dtype, 4, 3),
        "b1": normal(rng, dtype, 4),
        "w2": normal(rng, dtype, 4, 3),
        "b2": normal(rng, dtype, 3),
        "w3": normal(rng, dtype, 3, 2),
    }
    return params, normal(rng, dtype, 5, 3), normal(rng, dtype, 5, 2)


def cross_entropy(z, y):
    return F.cross_entropy(z, (y[:, 0] > 0).long(), label_smoothing=0.1)


def bernoulli(z, y):
    return F.binary_cross_entropy_with_logits(z, torch.sigmoid(y))


def divergence(z, y):
    return F.kl_div(F.log_softmax(z, 1), F.softmax(y, 1), reduction="batchmean")


NETS = {
    f"net of {name}": (net(activation, loss), net_arguments)
    for name, activation, loss in (
        ("tanh, squared error", torch.tanh, F.mse_loss),
        ("sigmoid, bernoulli", torch.sigmoid, bernoulli),
        ("relu, cross entropy", torch.relu, cross_entropy),
        ("leaky relu, huber", F.leaky_relu, F.huber_loss),
        ("elu, smooth l1", F.elu, F.smooth_l1_loss),
        ("selu, l1", F.selu, F.l1_loss),
        ("softplus, divergence", F.softplus, divergence),
        ("silu, squared error", F.silu, F.mse_loss),
        ("gelu, cross entropy", F.gelu, cross_entropy),
        ("tanh gelu, squared error", lambda x: F.gelu(x, approximate="tanh"), F.mse_loss),
        ("mish, huber", F.mish, F.huber_loss),
        ("hardtanh, squared error", F.hardtanh, F.mse_loss),
        ("hardswish, bernoulli", F.hardswish, bernoulli),
        ("softsign, squared error", F.softsign, F.mse_loss),
        ("logsigmoid, squared error", F.logsigmoid, F.mse_loss),
        ("celu, squared error", F.celu, F.mse_loss),
    )
}


# Normalization


def layer_norm(x, weight, bias):
    return F.layer_norm(x, (4,), weight, bias)


def layer_norm_by_hand(x, weight, bias):
    mean, var = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias


def batch_norm(x, weight, bias):
    return F.batch_norm(x, None, None, weight, bias, training=True)


def group_norm(x, weight, bias):
    return F.group_norm(x, 2, weight, bias)


def rms_norm(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight


# Attention


def attention(q, k, v):
    return F.scaled_dot_product_attention(q, k, v)


def causal_attention(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def masked_attention(q, k, v):
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(1)
    return torch.softmax(scores.masked_fill(~mask, float("-inf")), -1) @ v


def streaming_attention(q, k, v):
    """One key at a time, rescaled by the largest score so far."""
    top = torch.full_like(q[..., :1], -30.0)
    total, out = torch.zeros_like(top), torch.zeros_like(q)
    for j in range(k.shape[-2]):
        score = (q * k[..., j : j + 1, :]).sum(-1, keepdim=True)
        larger = torch.maximum(top, score)
        old, new = torch.exp(top - larger), torch.exp(score - larger)
        total = total * old + new
        out = out * old + new * v[..., j : j + 1, :]
        top = larger
    return out / total


def residual_block(x, w1, w2):
    return x + F.gelu(F.layer_norm(x, (4,)) @ w1) @ w2


# Recurrent nets


def lstm_steps(x, w, u, b):
    h = c = torch.zeros(x.shape[1], 3, dtype=x.dtype)
    for step in x:
        i, f, g, o = (step @ w + h @ u + b).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return h


class Recurrent(torch.nn.Module):
    """A layer of PyTorch over steps, its last state."""

    def __init__(self, kind, dtype):
        super().__init__()
        self.layer = kind(3, 2, dtype=dtype)

    def forward(self, x):
        return self.layer(x)[0][-1]


# Images and embeddings


def convolution_net(x, w, b):
    return F.avg_pool2d(F.max_pool2d(torch.relu(F.conv2d(x, w, b, padding=1)), 2), 2)


def strided_convolution(x, w):
    return F.conv2d(x, w, stride=2, dilation=(1, 2), groups=2)


def transposed_convolution(x, w, b):
    return F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1)


def embedded(table, w):
    return torch.tanh(F.embedding(torch.tensor([[0, 1], [3, 1]]), table) @ w)


# Distances and contrasts


def contrastive(a, b):
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    return F.cross_entropy(a @ b.T / 0.5, torch.arange(len(a)))


def triplet(a, b, c):
    return F.triplet_margin_loss(a, b, c)


def sorting_loss(x, y):
    return (x.sort(-1).values - y.sort(-1).values).square().sum()


def mixture_of_experts(x, gate, experts):
    weights, chosen = torch.topk(x @ gate, 2, dim=-1)
    weights = torch.softmax(weights, -1)
    return torch.einsum("nk,nkij,ni->nj", weights, experts[chosen], x)


# Likelihoods and recursions


def log_space_recursion(emit, trans):
    """The forward algorithm of a hidden Markov chain."""
    alpha = emit[0]
    for step in emit[1:]:
        alpha = step + torch.logsumexp(alpha[:, None] + trans, 0)
    return torch.logsumexp(alpha, 0)


def gaussian_mixture(x, logits, means, spreads):
    each = (x[:, None] - means) / F.softplus(spreads)
    log = -0.5 * each.square() - torch.log(F.softplus(spreads)) - 0.5 * math.log(2 * math.pi)
    return torch.logsumexp(torch.log_softmax(logits, 0) + log.sum(-1), -1).sum()


def gaussian(x, mean, log_scale):
    return torch.distributions.Normal(mean, log_scale.exp(), validate_args=False).log_prob(x).sum()


def gamma(x, shape, rate):
    return torch.distributions.Gamma(shape, rate, validate_args=False).log_prob(x).sum()


def kalman_step(x, p, z):
    f = torch.tensor([[1.0, 0.5], [0.0, 1.0]], dtype=x.dtype)
    x, p = f @ x, f @ (p @ p.T) @ f.T + 0.1 * torch.eye(2, dtype=x.dtype)
    gain = p[:, :1] / (p[0, 0] + 0.25)
    return x + gain[:, 0] * (z - x[0]), p - gain @ p[:1]


# Physics and optimization


def runge_kutta(y, k):
    def slope(y):
        return torch.stack([y[1], -k[0] * torch.sin(y[0]) - k[1] * y[1]])

    for _ in range(4):
        a = slope(y)
        b = slope(y + 0.05 * a)
        c = slope(y + 0.05 * b)
        d = slope(y + 0.1 * c)
        y = y + 0.1 / 6 * (a + 2 * b + 2 * c + d)
    return y


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def branches(x):
    near = x.abs() < 1
    safe = torch.where(near, torch.ones_like(x), x)
    return torch.where(near, x.sin() * x, safe.abs().log() + 1)


def written_in_place(x):
    y = torch.zeros(8, dtype=x.dtype)
    y[1:7] = x
    y[2:4] *= x[:2]
    y.view(2, 4)[0].add_(1.5)
    y[::2].copy_(x[:4].exp())
    return y.tanh_()


def volume(x):
    return x.prod(1).sum() + x.cumprod(0).sum() + x.norm() + x.std(0).sum()


def image(*sizes):
    return normals((2, 4, 6, 6), *sizes)


ZOO = {
    **NETS,
    "layer norm": (layer_norm, normals((3, 5, 4), (4,), (4,))),
    "layer norm by hand": (layer_norm_by_hand, normals((5, 4), (4,), (4,))),
    "batch norm": (batch_norm, normals((6, 4, 3), (4,), (4,))),
    "group norm": (group_norm, normals((3, 4, 5), (4,), (4,))),
    "rms norm": (rms_norm, normals((5, 4), (4,))),
    "attention": (attention, normals((2, 5, 4), (2, 5, 4), (2, 5, 4))),
    "causal attention": (causal_attention, normals((2, 5, 4), (2, 5, 4), (2, 5, 4))),
    "masked attention": (masked_attention, normals((5, 4), (5, 4), (5, 4))),
    "streaming attention": (streaming_attention, normals((3, 4), (4, 4), (4, 4))),
    "residual block": (residual_block, normals((5, 4), (4, 6), (6, 4))),
    "lstm by hand": (lstm_steps, normals((3, 2, 3), (3, 12), (3, 12), (12,))),
    "convolution, pooling": (convolution_net, image((3, 4, 3, 3), (3,))),
    "strided convolution": (strided_convolution, image((6, 2, 3, 2))),
    "transposed convolution": (transposed_convolution, normals((2, 3, 3, 4), (3, 2, 3, 3), (2,))),
    "embedding": (embedded, normals((5, 3), (3, 2))),
    "cosine similarity": (F.cosine_similarity, normals((5, 4), (5, 4))),
    "contrastive loss": (contrastive, normals((4, 3), (4, 3))),
    "triplet loss": (triplet, normals((4, 3), (4, 3), (4, 3))),
    "sorting loss": (sorting_loss, normals((3, 5), (3, 5))),
    "mixture of experts": (mixture_of_experts, normals((5, 3), (3, 4), (4, 3, 2))),
    "log-space recursion": (log_space_recursion, normals((4, 3), (3, 3))),
    "gaussian mixture": (gaussian_mixture, normals((5, 2), (3,), (3, 2), (3, 2))),
    "gaussian likelihood": (gaussian, normals((5,), (5,), (5,))),
    "gamma likelihood": (gamma, positive((5,), (5,), (5,))),
    "kalman step": (kalman_step, normals((2,), (2, 2), ())),
    "runge-kutta": (runge_kutta, normals((2,), (2,))),
    "rosenbrock": (rosenbrock, normals((6,))),
    "physics by branches": (branches, normals((8,), scale=2.0)),
    "written in place": (written_in_place, normals((6,))),
    "products and norms": (volume, normals((5, 3))),
}
