"""Functions in NumPy with gradients written by hand: a table by name.

An entry is (function, make_arguments(rng, dtype), gradient).
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import special


class Entry(NamedTuple):
    function: Callable
    make: Callable
    gradient: Callable


def _draw(*shapes, scale=1.0):
    def make(rng, dtype):
        return tuple((scale * rng.normal(size=shape)).astype(dtype) for shape in shapes)

    return make


def _softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# Nets


def relu_net(params, x, y):
    h = x
    for w, b in params[:-1]:
        h = np.maximum(h @ w + b, 0)
    w, b = params[-1]
    z = h @ w + b
    m = z.max(axis=1, keepdims=True)
    log_sum = m[:, 0] + np.log(np.exp(z - m).sum(axis=1))
    return (log_sum - z[np.arange(len(y)), y]).mean()


def relu_net_gradient(params, x, y):
    hidden = [x]
    for w, b in params[:-1]:
        hidden.append(np.maximum(hidden[-1] @ w + b, 0))
    w, b = params[-1]
    d = _softmax(hidden[-1] @ w + b)
    d[range(len(y)), y] -= 1
    d /= len(y)
    gradients = []
    for layer in range(len(params) - 1, -1, -1):
        gradients.append((hidden[layer].T @ d, d.sum(axis=0)))
        d = d @ params[layer][0].T
        if layer:
            d[hidden[layer] <= 0] = 0
    return gradients[::-1], d


def _net_arguments(rng, dtype):
    widths = (5, 7, 6, 3)
    params = [
        (rng.normal(size=(n, m)).astype(dtype), rng.normal(size=m).astype(dtype))
        for n, m in pairwise(widths)
    ]
    return params, rng.normal(size=(4, 5)).astype(dtype), np.array([0, 2, 1, 2])


def tanh_net(params, x, y):
    h = np.tanh(x @ params["w1"] + params["b1"])
    return 0.5 * np.mean((h @ params["w2"] - y) ** 2)


def tanh_net_gradient(params, x, y):
    h = np.tanh(x @ params["w1"] + params["b1"])
    d = (h @ params["w2"] - y) / y.size
    dz = (d @ params["w2"].T) * (1 - h**2)
    return (
        {"w1": x.T @ dz, "b1": dz.sum(0), "w2": h.T @ d},
        dz @ params["w1"].T,
        -d,
    )


def _tanh_arguments(rng, dtype):
    params = {
        "w1": rng.normal(size=(4, 6)).astype(dtype),
        "b1": rng.normal(size=6).astype(dtype),
        "w2": rng.normal(size=(6, 2)).astype(dtype),
    }
    return params, *_draw((5, 4), (5, 2))(rng, dtype)


def logistic_regression(w, x, y):
    z = x @ w
    return np.sum(np.logaddexp(0, z) - y * z) + 0.1 * np.sum(w**2)


def logistic_regression_gradient(w, x, y):
    z = x @ w
    d = special.expit(z) - y
    return x.T @ d + 0.2 * w, np.outer(d, w), -z


def gelu(x, w):
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    return np.sum(w * 0.5 * x * (1 + np.tanh(inner)))


def gelu_gradient(x, w):
    c = np.sqrt(2 / np.pi)
    t = np.tanh(c * (x + 0.044715 * x**3))
    slope = 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * c * (1 + 3 * 0.044715 * x**2)
    return w * slope, 0.5 * x * (1 + t)


def gelu_exact(x):
    return x * special.ndtr(x)


def gelu_exact_gradient(x, cotangent):
    bell = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    return cotangent * (special.ndtr(x) + x * bell)


def silu(x):
    return x * special.expit(x)


def silu_gradient(x, cotangent):
    s = special.expit(x)
    return cotangent * (s + x * s * (1 - s))


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def elu_gradient(x, cotangent):
    return cotangent * np.where(x > 0, 1.0, np.exp(np.minimum(x, 0)))


def leaky_relu(x):
    y = x.copy()
    y[x < 0] *= 0.01
    return y


def leaky_relu_gradient(x, cotangent):
    g = np.ones_like(x)
    g[x < 0] = 0.01
    return g * cotangent


def mish(x):
    return x * np.tanh(np.log1p(np.exp(x)))


def mish_gradient(x, cotangent):
    t = np.tanh(np.log1p(np.exp(x)))
    return cotangent * (t + x * (1 - t * t) / (1 + np.exp(-x)))


# Normalization


def layer_norm(x, gain, bias):
    mean = x.mean(-1, keepdims=True)
    std = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return (x - mean) / std * gain + bias


def layer_norm_gradient(x, gain, bias, cotangent):
    std = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    hat = (x - x.mean(-1, keepdims=True)) / std
    d = cotangent * gain
    dx = (d - d.mean(-1, keepdims=True) - hat * (d * hat).mean(-1, keepdims=True)) / std
    return dx, (cotangent * hat).sum(0), cotangent.sum(0)


def batch_norm(x, gain, bias):
    centred = x - np.mean(x, axis=0)
    return gain * centred / np.sqrt(np.mean(centred**2, axis=0) + 1e-5) + bias


def batch_norm_gradient(x, gain, bias, cotangent):
    n = x.shape[0]
    centred = x - x.mean(0)
    inverse = 1 / np.sqrt((centred**2).mean(0) + 1e-5)
    hat = centred * inverse
    d = cotangent * gain
    dx = inverse / n * (n * d - d.sum(0) - hat * (d * hat).sum(0))
    return dx, (cotangent * hat).sum(axis=0), np.add.reduce(cotangent)


def group_norm(x):
    n, c = x.shape
    groups = x.reshape(n, 2, c // 2)
    centred = groups - groups.mean(axis=2, keepdims=True)
    return (centred / np.sqrt(np.square(centred).mean(axis=2, keepdims=True) + 1e-5)).reshape(n, c)


def group_norm_gradient(x, cotangent):
    n, c = x.shape
    groups, d = x.reshape(n, 2, c // 2), cotangent.reshape(n, 2, c // 2)
    std = np.sqrt(groups.var(axis=2, keepdims=True) + 1e-5)
    hat = (groups - groups.mean(axis=2, keepdims=True)) / std
    dx = (d - d.mean(2, keepdims=True) - hat * (d * hat).mean(2, keepdims=True)) / std
    return dx.reshape(x.shape)


def rms_norm(x, gain):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-6) * gain


def rms_norm_gradient(x, gain, cotangent):
    r = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-6)
    d = cotangent * gain
    dx = r * d - r**3 * x * np.mean(d * x, axis=-1, keepdims=True)
    return dx, np.einsum("ij,ij->j", cotangent, x * r)


# Attention, recurrence, convolution


def attention(q, k, v):
    n = q.shape[0]
    scores = q @ k.T / np.sqrt(q.shape[1])
    scores = np.where(np.tril(np.ones((n, n))) > 0, scores, -np.inf)
    return _softmax(scores) @ v


def attention_gradient(q, k, v, cotangent):
    n, scale = q.shape[0], 1 / np.sqrt(q.shape[1])
    mask = np.tril(np.ones((n, n), bool))
    p = _softmax(np.where(mask, (q @ k.T) * scale, -np.inf))
    dp = cotangent @ v.T
    ds = p * (dp - np.sum(p * dp, axis=1, keepdims=True)) * scale
    return ds @ k, ds.T @ q, p.T @ cotangent


def heads(x, w):
    """Two heads by einsum."""
    split = np.einsum("td,dhe->hte", x, w.reshape(w.shape[0], 2, -1))
    scores = np.einsum("hte,hse->hts", split, split)
    return np.einsum("hts,hse->the", scores, split).reshape(x.shape[0], -1)


def heads_gradient(x, w, cotangent):
    w3 = w.reshape(w.shape[0], 2, -1)
    s = np.einsum("td,dhe->hte", x, w3)
    a = np.einsum("hte,hse->hts", s, s)
    g = np.transpose(cotangent.reshape(x.shape[0], 2, -1), (1, 0, 2))
    da = np.matmul(g, np.swapaxes(s, 1, 2))
    ds = np.matmul(np.swapaxes(a, 1, 2), g) + np.matmul(da + np.swapaxes(da, 1, 2), s)
    dx = np.einsum("hte,dhe->td", ds, w3)
    return dx, np.einsum("hte,td->dhe", ds, x).reshape(w.shape)


def residual(x, w1, w2):
    return x + np.maximum(x @ w1, 0.0) @ w2


def residual_gradient(x, w1, w2, cotangent):
    z = x @ w1
    h = np.maximum(z, 0.0)
    dz = (cotangent @ w2.T) * (z > 0)
    return cotangent + dz @ w1.T, x.T @ dz, h.T @ cotangent


def lstm(w, u, b, xs, h, c):
    n = h.size
    for x in xs:
        z = x @ w + h @ u + b
        i, f, o = (special.expit(z[k * n : (k + 1) * n]) for k in range(3))
        c = f * c + i * np.tanh(z[3 * n :])
        h = o * np.tanh(c)
    return np.sum(h * h)


def lstm_gradient(w, u, b, xs, h, c):
    n, saved = h.size, []
    for x in xs:
        z = x @ w + h @ u + b
        i, f, o = np.split(special.expit(z[: 3 * n]), 3)
        g = np.tanh(z[3 * n :])
        new = f * c + i * g
        saved.append((x, h, c, i, f, o, g, np.tanh(new)))
        h, c = o * saved[-1][7], new
    dw, du, db = np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)
    dxs = np.zeros_like(xs)
    dh, dc = 2 * h, np.zeros_like(c)
    for step in range(len(xs) - 1, -1, -1):
        x, before, cell, i, f, o, g, t = saved[step]
        dc = dc + dh * o * (1 - t**2)
        parts = [
            dc * g * i * (1 - i),
            dc * cell * f * (1 - f),
            dh * t * o * (1 - o),
            dc * i * (1 - g**2),
        ]
        dz = np.concatenate(parts)
        dw += np.outer(x, dz)
        du += np.outer(before, dz)
        db += dz
        dxs[step] = w @ dz
        dh, dc = u @ dz, dc * f
    return dw, du, db, dxs, dh, dc


def gru(wz, wr, wn, x, h):
    both = np.hstack([x, h])
    z, r = special.expit(both @ wz), special.expit(both @ wr)
    n = np.tanh(np.hstack([x, r * h]) @ wn)
    return (1 - z) * n + z * h


def gru_gradient(wz, wr, wn, x, h, cotangent):
    m = x.size
    both = np.hstack([x, h])
    z, r = special.expit(both @ wz), special.expit(both @ wr)
    inner = np.hstack([x, r * h])
    n = np.tanh(inner @ wn)
    dn = cotangent * (1 - z) * (1 - n * n)
    dz = cotangent * (h - n) * z * (1 - z)
    d_inner = wn @ dn
    dr = d_inner[m:] * h * r * (1 - r)
    d_both = wz @ dz + wr @ dr
    dx = d_both[:m] + d_inner[:m]
    dh = cotangent * z + d_both[m:] + d_inner[m:] * r
    return np.outer(both, dz), np.outer(both, dr), np.outer(inner, dn), dx, dh


def convolution(x, kernel):
    """One channel, valid, as windows times the kernel."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape)
    return np.tensordot(windows, kernel, axes=2)


def convolution_gradient(x, kernel, cotangent):
    dx, dk = np.zeros_like(x), np.zeros_like(kernel)
    m, n = cotangent.shape
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            dx[i : i + m, j : j + n] += cotangent * kernel[i, j]
            dk[i, j] = np.sum(cotangent * x[i : i + m, j : j + n])
    return dx, dk


def max_pool(x):
    n, m = x.shape
    return x.reshape(n // 2, 2, m // 2, 2).max(axis=(1, 3))


def max_pool_gradient(x, cotangent):
    top = np.repeat(np.repeat(max_pool(x), 2, axis=0), 2, axis=1)
    spread = np.repeat(np.repeat(cotangent, 2, axis=0), 2, axis=1)
    return np.where(x == top, spread, 0)


def average_pool(x):
    return x.reshape(x.shape[0] // 2, 2, -1).mean(axis=1)


def average_pool_gradient(x, cotangent):
    return np.repeat(cotangent, 2, axis=0) / 2


def embedding(table, ids):
    return np.sum(table[ids] ** 3)


def embedding_gradient(table, ids):
    g = np.zeros_like(table)
    np.add.at(g, ids, 3 * table[ids] ** 2)
    return g


# Losses and likelihoods


def cosine(x, y):
    return x @ y / (np.linalg.norm(x) * np.linalg.norm(y))


def cosine_gradient(x, y):
    nx, ny = np.sqrt(np.sum(x**2)), np.sqrt(np.sum(y**2))
    c = np.dot(x, y) / (nx * ny)
    return y / (nx * ny) - c * x / nx**2, x / (nx * ny) - c * y / ny**2


def contrastive(a, b):
    scores = a @ b.T / 0.5
    m = scores.max(axis=1)
    return np.mean(m + np.log(np.exp(scores - m[:, None]).sum(1)) - np.diag(scores))


def contrastive_gradient(a, b):
    p = (_softmax(a @ b.T / 0.5) - np.eye(len(a))) / len(a) / 0.5
    return p @ b, p.T @ a


def forward_recursion(start, moves, emits):
    """log-probability of a hidden Markov chain."""
    alpha = start + emits[0]
    for emit in emits[1:]:
        alpha = np.logaddexp.reduce(alpha[:, None] + moves, axis=0) + emit
    return np.logaddexp.reduce(alpha)


def forward_recursion_gradient(start, moves, emits):
    alphas = [start + emits[0]]
    for emit in emits[1:]:
        alphas.append(np.logaddexp.reduce(alphas[-1][:, None] + moves, axis=0) + emit)
    beta = _softmax(alphas[-1])
    d_moves, d_emits = np.zeros_like(moves), np.zeros_like(emits)
    for t in range(len(emits) - 1, 0, -1):
        d_emits[t] = beta
        p = _softmax((alphas[t - 1][:, None] + moves).T).T * beta
        d_moves += p
        beta = p.sum(axis=1)
    d_emits[0] = beta
    return beta, d_moves, d_emits


def mixture(weights, means, log_scales, x):
    z = (x[:, None] - means) * np.exp(-log_scales)
    terms = weights - log_scales - 0.5 * z**2
    m = terms.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(terms - m).sum(1)) + m[:, 0]
    return -np.sum(log_sum - np.log(np.sum(np.exp(weights))))


def mixture_gradient(weights, means, log_scales, x):
    s = np.exp(-log_scales)
    z = (x[:, None] - means) * s
    r = _softmax(weights - log_scales - 0.5 * z**2)
    dw = -r.sum(0) + len(x) * _softmax(weights)
    return dw, -(r * z * s).sum(0), (r * (1 - z**2)).sum(0), np.sum(r * z * s, axis=1)


def gaussian(mean, log_std, x):
    return np.sum(0.5 * ((x - mean) / np.exp(log_std)) ** 2 + log_std + 0.5 * np.log(2 * np.pi))


def gaussian_gradient(mean, log_std, x):
    z = (x - mean) / np.exp(log_std)
    s = z / np.exp(log_std)
    return -s.sum(), np.sum(1 - z**2), s


def gamma_likelihood(shape, rate, x):
    return -np.sum(
        shape * np.log(rate) - special.gammaln(shape) + (shape - 1) * np.log(x) - rate * x
    )


def gamma_likelihood_gradient(shape, rate, x):
    return (
        -np.sum(np.log(rate) - special.digamma(shape) + np.log(x)),
        -np.sum(shape / rate - x),
        -(shape - 1) / x + rate,
    )


def _gamma_arguments(rng, dtype):
    shape, rate = rng.uniform(0.5, 3, size=2)
    return dtype(shape), dtype(rate), rng.gamma(2, size=6).astype(dtype) + dtype(0.01)


def student(x, scale):
    return np.sum(2.5 * np.log1p((x / scale) ** 2 / 4) + np.log(scale))


def student_gradient(x, scale):
    r = x / scale
    d = 2.5 * (r / 2) / (1 + r**2 / 4)
    return d / scale, np.sum(-d * r / scale + 1 / scale)


def _positive_scale(rng, dtype):
    return rng.normal(size=6).astype(dtype), dtype(rng.uniform(0.5, 2))


def poisson(w, x, counts):
    z = x @ w
    return np.sum(np.exp(z) - counts * z)


def poisson_gradient(w, x, counts):
    d = np.exp(x @ w) - counts
    return x.T.dot(d), d[:, np.newaxis] * w


def _poisson_arguments(rng, dtype):
    w, x = _draw((3,), (5, 3))(rng, dtype)
    return w, x, np.array([0, 1, 3, 2, 0])


def huber(x, y):
    r = x - y
    return np.where(np.abs(r) <= 1, 0.5 * r**2, np.abs(r) - 0.5).sum()


def huber_gradient(x, y):
    d = np.clip(x - y, -1, 1)
    return d, -d


def hinge(w, x):
    return np.sum(np.maximum(0, 1 - x @ w)) + np.abs(w).sum()


def hinge_gradient(w, x):
    active = x @ w < 1
    return -np.sum(x[active], axis=0) + np.sign(w), -np.where(active[:, None], w, 0 * w)


def sorting(x, y):
    return np.sum((np.sort(x) - np.sort(y)) ** 2)


def sorting_gradient(x, y):
    i, j = np.argsort(x), np.argsort(y)
    d = 2 * (x[i] - y[j])
    dx, dy = np.empty_like(x), np.empty_like(y)
    dx[i], dy[j] = d, -d
    return dx, dy


def distances(x):
    apart = x[:, None, :] - x[None, :, :]
    squares = np.einsum("ijk,ijk->ij", apart, apart)
    return np.sum(np.exp(-0.5 * squares))


def distances_gradient(x):
    apart = x[:, None, :] - x[None, :, :]
    k = np.exp(-0.5 * (apart**2).sum(axis=-1))
    return -2 * np.sum(k[..., None] * apart, axis=1)


def experts(x, gate, w):
    """The best of the experts, weighed by its probability."""
    p = _softmax(x @ gate)
    best = np.argmax(p, axis=1)
    rows = np.arange(len(x))
    return np.sum(p[rows, best] * np.sum(x * w[best], axis=1))


def experts_gradient(x, gate, w):
    p = _softmax(x @ gate)
    rows, best = np.arange(len(x)), np.argmax(p, axis=1)
    out, chosen = np.sum(x * w[best], axis=1), p[rows, best]
    dp = -p * (chosen * out)[:, None]
    dp[rows, best] += chosen * out
    dw = np.zeros_like(w)
    np.add.at(dw, best, chosen[:, None] * x)
    return dp @ gate.T + chosen[:, None] * w[best], x.T @ dp, dw


# Science


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_gradient(x):
    g = np.zeros_like(x)
    r = x[1:] - x[:-1] ** 2
    g[:-1] = -400 * x[:-1] * r - 2 * (1 - x[:-1])
    g[1:] += 200 * r
    return g


def kalman(x, p, z):
    """One step with transition 0.9, noises 0.1 and 0.5: the likelihood of z."""
    x, p = 0.9 * x, 0.81 * p + 0.1
    s = p + 0.5
    return np.sum(0.5 * (z - x) ** 2 / s + 0.5 * np.log(s))


def kalman_gradient(x, p, z):
    s = (0.81 * p + 0.1) + 0.5
    r = z - 0.9 * x
    return -0.9 * r / s, 0.81 * 0.5 * (1 / s - (r / s) ** 2), r / s


def _kalman_arguments(rng, dtype):
    x, z = _draw((3,), (3,))(rng, dtype)
    return x, rng.uniform(0.1, 2, size=3).astype(dtype), z


def pendulum(state, k):
    """Two steps of Runge and Kutta of θ'' = -k sin θ."""
    h = 0.125
    for _ in range(2):
        k1 = _swing(state, k)
        k2 = _swing(state + h / 2 * k1, k)
        k3 = _swing(state + h / 2 * k2, k)
        k4 = _swing(state + h * k3, k)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return state[0] ** 2 + state[1]


def _swing(state, k):
    return np.stack([state[1], -k * np.sin(state[0])])


def _swing_back(state, k, d):
    return np.stack([-k * np.cos(state[0]) * d[1], d[0]]), -np.sin(state[0]) * d[1]


def pendulum_gradient(state, k):
    h, saved = 0.125, []
    for _ in range(2):
        k1 = _swing(state, k)
        k2 = _swing(state + h / 2 * k1, k)
        k3 = _swing(state + h / 2 * k2, k)
        k4 = _swing(state + h * k3, k)
        saved.append((state, k1, k2, k3))
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    d, dk = np.stack([2 * state[0], np.ones_like(k)]), np.zeros_like(k)
    for state, k1, k2, k3 in reversed(saved):
        d4, s4 = _swing_back(state + h * k3, k, h / 6 * d)
        d3, s3 = _swing_back(state + h / 2 * k2, k, h / 3 * d + h * d4)
        d2, s2 = _swing_back(state + h / 2 * k1, k, h / 3 * d + h / 2 * d3)
        d1, s1 = _swing_back(state, k, h / 6 * d + h / 2 * d2)
        d = d + d1 + d2 + d3 + d4
        dk = dk + s1 + s2 + s3 + s4
    return d, dk


def _pendulum_arguments(rng, dtype):
    return rng.normal(size=2).astype(dtype), dtype(rng.uniform(0.5, 2))


def drag(v):
    """Linear below speed 1, quadratic above."""
    speed = np.sqrt(np.sum(v**2, axis=1))
    return np.sum(np.where(speed < 1, 2 * speed - 1, speed**2))


def drag_gradient(v):
    speed = np.sqrt(np.sum(v**2, axis=1, keepdims=True))
    return np.where(speed < 1, 2 * v / speed, 2 * v)


def walk(steps):
    return np.mean(np.cumsum(steps, axis=0) ** 2)


def walk_gradient(steps):
    d = 2 * np.cumsum(steps, axis=0) / steps.size
    return np.flip(np.cumsum(np.flip(d, 0), axis=0), 0)


def least_squares(a, b, x):
    return 0.5 * np.linalg.norm(a @ x - b) ** 2


def least_squares_gradient(a, b, x):
    r = a @ x - b
    return np.outer(r, x), -r, a.T @ r


def polynomial(c, x):
    """Horner's scheme."""
    y = c[-1] * np.ones_like(x)
    for k in range(len(c) - 2, -1, -1):
        y = y * x + c[k]
    return y.sum()


def polynomial_gradient(c, x):
    powers = x[None, :] ** np.arange(len(c))[:, None]
    return powers.sum(1), sum(k * c[k] * x ** (k - 1) for k in range(1, len(c)))


def total_variation(image):
    return np.sum(np.sqrt(np.diff(image, axis=0)[:, :-1] ** 2 + np.diff(image)[:-1] ** 2 + 1e-3))


def total_variation_gradient(image):
    down, right = np.diff(image, axis=0)[:, :-1], np.diff(image)[:-1]
    s = np.sqrt(down**2 + right**2 + 1e-3)
    g = np.zeros_like(image)
    g[:-1, :-1] -= (down + right) / s
    g[1:, :-1] += down / s
    g[:-1, 1:] += right / s
    return g


ZOO = {
    "relu net": Entry(relu_net, _net_arguments, relu_net_gradient),
    "tanh net": Entry(tanh_net, _tanh_arguments, tanh_net_gradient),
    "logistic regression": Entry(
        logistic_regression, _draw((3,), (5, 3), (5,)), logistic_regression_gradient
    ),
    "gelu": Entry(gelu, _draw((6,), (6,)), gelu_gradient),
    "gelu exact": Entry(gelu_exact, _draw((6,)), gelu_exact_gradient),
    "silu": Entry(silu, _draw((6,)), silu_gradient),
    "elu": Entry(elu, _draw((6,)), elu_gradient),
    "leaky relu": Entry(leaky_relu, _draw((6,)), leaky_relu_gradient),
    "mish": Entry(mish, _draw((6,)), mish_gradient),
    "layer norm": Entry(layer_norm, _draw((3, 6), (6,), (6,)), layer_norm_gradient),
    "batch norm": Entry(batch_norm, _draw((6, 3), (3,), (3,)), batch_norm_gradient),
    "group norm": Entry(group_norm, _draw((3, 8)), group_norm_gradient),
    "rms norm": Entry(rms_norm, _draw((3, 6), (6,)), rms_norm_gradient),
    "attention": Entry(attention, _draw((5, 4), (5, 4), (5, 3)), attention_gradient),
    "heads": Entry(heads, _draw((4, 3), (3, 6)), heads_gradient),
    "residual block": Entry(residual, _draw((4, 5), (5, 6), (6, 5)), residual_gradient),
    "lstm": Entry(
        lstm, _draw((3, 16), (4, 16), (16,), (3, 3), (4,), (4,), scale=0.5), lstm_gradient
    ),
    "gru": Entry(gru, _draw((7, 4), (7, 4), (7, 4), (3,), (4,)), gru_gradient),
    "convolution": Entry(convolution, _draw((6, 7), (3, 3)), convolution_gradient),
    "max pool": Entry(max_pool, _draw((4, 6)), max_pool_gradient),
    "average pool": Entry(average_pool, _draw((4, 6)), average_pool_gradient),
    "embedding": Entry(
        embedding,
        lambda rng, dtype: (*_draw((5, 3))(rng, dtype), np.array([0, 3, 3, 1, 0, 3])),
        embedding_gradient,
    ),
    "cosine similarity": Entry(cosine, _draw((6,), (6,)), cosine_gradient),
    "contrastive loss": Entry(contrastive, _draw((4, 5), (4, 5)), contrastive_gradient),
    "log-space recursion": Entry(
        forward_recursion, _draw((3,), (3, 3), (5, 3)), forward_recursion_gradient
    ),
    "gaussian mixture": Entry(mixture, _draw((3,), (3,), (3,), (6,)), mixture_gradient),
    "gaussian likelihood": Entry(gaussian, _draw((), (), (6,)), gaussian_gradient),
    "gamma likelihood": Entry(gamma_likelihood, _gamma_arguments, gamma_likelihood_gradient),
    "student likelihood": Entry(student, _positive_scale, student_gradient),
    "poisson regression": Entry(poisson, _poisson_arguments, poisson_gradient),
    "huber loss": Entry(huber, _draw((6,), (6,)), huber_gradient),
    "hinge loss": Entry(hinge, _draw((3,), (6, 3)), hinge_gradient),
    "sorting loss": Entry(sorting, _draw((6,), (6,)), sorting_gradient),
    "distances": Entry(distances, _draw((5, 3)), distances_gradient),
    "mixture of experts": Entry(experts, _draw((5, 4), (4, 3), (3, 4)), experts_gradient),
    "rosenbrock": Entry(rosenbrock, _draw((6,)), rosenbrock_gradient),
    "kalman step": Entry(kalman, _kalman_arguments, kalman_gradient),
    "pendulum": Entry(pendulum, _pendulum_arguments, pendulum_gradient),
    "drag": Entry(drag, _draw((6, 2)), drag_gradient),
    "random walk": Entry(walk, _draw((6, 2)), walk_gradient),
    "least squares": Entry(least_squares, _draw((5, 3), (5,), (3,)), least_squares_gradient),
    "polynomial": Entry(polynomial, _draw((5,), (4,)), polynomial_gradient),
    "total variation": Entry(total_variation, _draw((5, 6)), total_variation_gradient),
}
"""Right gradients, all of them."""
