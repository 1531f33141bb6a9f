"""Functions in JAX that people differentiate: name -> (function, make_arguments(rng, dtype))."""

import jax
import jax.numpy as jnp
import numpy as np


def normal(rng, dtype, *shape, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(dtype)


def normals(*shapes, scale=1.0):
    return lambda rng, dtype: tuple(normal(rng, dtype, *shape, scale=scale) for shape in shapes)


def positive(*shapes, least=0.2):
    def make(rng, dtype):
        return tuple((least + rng.gamma(2.0, 0.5, shape)).astype(dtype) for shape in shapes)

    return make


# Nets, with the activations and losses in use


def net(activation, loss):
    def function(params, x, y):
        h = activation(x @ params["w1"] + params["b1"])
        return loss(activation(h @ params["w2"] + params["b2"]) @ params["w3"], y)

    return function


def net_arguments(rng, dtype):
    params = {
        "w1": normal(rng, dtype, 3, 4),
        "b1": normal(rng, dtype, 4),
        "w2": normal(rng, dtype, 4, 3),
        "b2": normal(rng, dtype, 3),
        "w3": normal(rng, dtype, 3, 2),
    }
    return params, normal(rng, dtype, 5, 3), normal(rng, dtype, 5, 2)


def squared(z, y):
    return jnp.mean(jnp.sum(jnp.square(z - y), axis=1))


def huber(z, y):
    off = jnp.abs(z - y)
    return jnp.mean(jnp.where(off < 1, 0.5 * off**2, off - 0.5))


def cross_entropy(z, y):
    return -jnp.mean(jnp.sum(jax.nn.softmax(y) * jax.nn.log_softmax(z), axis=1))


def logistic_loss(z, y):
    return jnp.mean(jax.nn.softplus(-z * jnp.sign(y)))


def hinge(z, y):
    return jnp.mean(jnp.maximum(0.0, 1 - z * jnp.sign(y)))


ACTIVATIONS = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "gelu": jax.nn.gelu,
    "exact gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "softplus": jax.nn.softplus,
    "leaky relu": jax.nn.leaky_relu,
    "relu6": jax.nn.relu6,
    "hard swish": jax.nn.hard_swish,
    "mish": jax.nn.mish,
    "log sigmoid": jax.nn.log_sigmoid,
    "celu": jax.nn.celu,
    "soft sign": jax.nn.soft_sign,
}
LOSSES = {
    "squared": squared,
    "huber": huber,
    "cross entropy": cross_entropy,
    "logistic": logistic_loss,
    "hinge": hinge,
}


# Norms


def layer_norm(x, scale, shift):
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    return (
        centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5) * scale + shift
    )


def batch_norm(x, scale, shift):
    return (x - x.mean(0)) / jnp.sqrt(jnp.var(x, axis=0) + 1e-5) * scale + shift


def group_norm(x, scale):
    groups = x.reshape(x.shape[0], 2, -1)
    variance = groups.var(-1, keepdims=True)
    return ((groups - groups.mean(-1, keepdims=True)) / jnp.sqrt(variance + 1e-5)).reshape(
        x.shape
    ) * scale


def rms_norm(x, scale):
    return x / jnp.sqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-6) * scale


# Attention, residual blocks, recurrences


def attention(q, k, v):
    scores = jnp.einsum("btd,bsd->bts", q, k) / q.shape[-1] ** 0.5
    return jnp.einsum("bts,bsd->btd", jax.nn.softmax(scores, axis=-1), v)


def causal_attention(q, k, v):
    scores = jnp.einsum("btd,bsd->bts", q, k) / q.shape[-1] ** 0.5
    mask = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1)
    return jnp.einsum("bts,bsd->btd", weights, v)


def streaming_attention(q, k, v):
    """One pass over keys, with a running maximum."""

    def step(carry, key_value):
        largest, total, sum_of_values = carry
        key, value = key_value
        score = q @ key / q.shape[-1] ** 0.5
        new = jnp.maximum(largest, score)
        old, now = jnp.exp(largest - new), jnp.exp(score - new)
        return (new, total * old + now, sum_of_values * old[:, None] + now[:, None] * value), None

    start = (
        q @ k[0] / q.shape[-1] ** 0.5,
        jnp.ones(q.shape[0], q.dtype),
        jnp.tile(v[0], (q.shape[0], 1)),
    )
    (_, total, sum_of_values), _ = jax.lax.scan(step, start, (k[1:], v[1:]))
    return sum_of_values / total[:, None]


def residual_block(params, x):
    h = layer_norm(x, params["scale"], params["shift"])
    return jnp.sum(x + jnp.tanh(h @ params["w1"]) @ params["w2"], axis=0)


def residual_arguments(rng, dtype):
    params = {
        "scale": normal(rng, dtype, 4),
        "shift": normal(rng, dtype, 4),
        "w1": normal(rng, dtype, 4, 6),
        "w2": normal(rng, dtype, 6, 4),
    }
    return params, normal(rng, dtype, 3, 4)


def lstm(params, x):
    def step(carry, now):
        h, c = carry
        i, f, g, o = jnp.split(now @ params["w"] + h @ params["u"] + params["b"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros(params["u"].shape[0], x.dtype)
    _, hidden = jax.lax.scan(step, (start, start), x)
    return jnp.sum(hidden**2)


def gru(params, x):
    h = jnp.zeros(params["u"].shape[0], x.dtype)
    for now in x:
        z, r, n = jnp.split(now @ params["w"] + params["b"], 3)
        uz, ur, un = jnp.split(h @ params["u"], 3)
        z, r = jax.nn.sigmoid(z + uz), jax.nn.sigmoid(r + ur)
        h = (1 - z) * jnp.tanh(n + r * un) + z * h
    return h


def recurrent_arguments(gates):
    def make(rng, dtype):
        params = {
            "w": normal(rng, dtype, 2, gates * 3),
            "u": normal(rng, dtype, 3, gates * 3),
            "b": normal(rng, dtype, gates * 3),
        }
        return params, normal(rng, dtype, 3, 2)

    return make


# Convolution, pooling, embedding, similarities


def convolution(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (2, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def grouped_convolution(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1,), [(1, 2)], rhs_dilation=(2,), feature_group_count=2,
        dimension_numbers=("NCW", "OIW", "NCW"),
    )  # fmt: skip


def transposed_convolution(x, kernel):
    return jax.lax.conv_transpose(x, kernel, (2,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))


def max_pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2), (1, 2, 1), "SAME")


def average_pool(x):
    summed = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 2, 2), (1, 1, 2), "VALID")
    return jnp.tanh(summed / 4)


def embedding(table, w):
    tokens = jnp.array([0, 2, 2, 4, 1])
    return jax.nn.log_softmax(table[tokens] @ w)[jnp.arange(5), jnp.array([1, 0, 2, 1, 1])].sum()


def cosine_similarity(x, y):
    return jnp.sum(x * y, -1) / (jnp.linalg.norm(x, axis=-1) * jnp.linalg.norm(y, axis=-1))


def contrastive(x, y):
    x = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
    y = y / jnp.linalg.norm(y, axis=-1, keepdims=True)
    logits = x @ y.T / 0.1
    both = jnp.diag(jax.nn.log_softmax(logits, 0)) + jnp.diag(jax.nn.log_softmax(logits, 1))
    return -jnp.mean(both) / 2


# Likelihoods and recursions


def log_space_recursion(log_start, log_step, log_seen):
    """The forward algorithm of a hidden Markov model."""

    def step(alpha, seen):
        return jax.nn.logsumexp(alpha[:, None] + log_step, axis=0) + seen, None

    alpha, _ = jax.lax.scan(step, log_start, log_seen)
    return jax.nn.logsumexp(alpha)


def mixture(logits, means, log_scales, x):
    scaled = (x[:, None] - means) * jnp.exp(-log_scales)
    parts = jax.nn.log_softmax(logits) - log_scales - 0.5 * scaled**2 - 0.5 * np.log(2 * np.pi)
    return jax.nn.logsumexp(parts, axis=1).sum()


def gaussian(x, mean, log_scale):
    return jnp.sum(jax.scipy.stats.norm.logpdf(x, mean, jnp.exp(log_scale)))


def gamma_likelihood(x, shape):
    return jnp.sum((shape - 1) * jnp.log(x) - x - jax.scipy.special.gammaln(shape))


def digamma_sum(x):
    return jnp.sum(x * jax.scipy.special.digamma(x))


def beta_likelihood(a, b):
    x = 0.3
    gammaln = jax.scipy.special.gammaln
    return jnp.sum(
        (a - 1) * np.log(x) + (b - 1) * np.log1p(-x) + gammaln(a + b) - gammaln(a) - gammaln(b)
    )


def kalman_step(mean, variance, seen):
    gain = variance / (variance + 0.5)
    updated, spread = mean + gain * (seen - mean), (1 - gain) * variance
    return 0.9 * updated, 0.81 * spread + 0.1


def probit(x):
    return jnp.sum(jax.scipy.special.erf(x) * jax.lax.erf_inv(jnp.tanh(x) * 0.9))


# Physics, algorithms


def runge_kutta(state):
    def field(s):
        return jnp.stack([s[1], -jnp.sin(s[0]) - 0.1 * s[1]])

    def step(_, s):
        k1 = field(s)
        k2 = field(s + 0.05 * k1)
        k3 = field(s + 0.05 * k2)
        return s + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + field(s + 0.1 * k3))

    return jax.lax.fori_loop(0, 4, step, state)


def rosenbrock(x):
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def where_physics(r):
    """A force that is cut off, and regular at the centre."""
    safe = jnp.where(r > 0.1, r, 1.0)
    return jnp.sum(jnp.where(r > 0.1, jnp.where(r < 2, safe**-6 - safe**-3, 0.0), r**2))


def newton_root(a):
    def off(x):
        return jnp.any(jnp.abs(x * x - a) > 1e-3)

    return jax.lax.while_loop(off, lambda x: 0.5 * (x + a / x), a)


def branches(x):
    return jax.lax.cond(x.sum() > 0, lambda a: jnp.sin(a), lambda a: a**3, x)


def experts(gate, w, x):
    weights, chosen = jax.lax.top_k(jax.nn.softmax(x @ gate), 2)
    picked = jnp.einsum("bi,bkij->bkj", x, w[chosen])
    return jnp.sum(weights[..., None] * jnp.tanh(picked), axis=1)


def sorting_loss(x, y):
    return jnp.mean(jnp.abs(jnp.sort(x) - jnp.sort(y)) ** 1.5)


def running(x):
    return jnp.cumsum(x)[-2] + jnp.cumprod(x)[-1] + jnp.sum(jax.lax.cummax(x) * x)


def log_cumulative(x):
    return jax.lax.cumlogsumexp(x, axis=0) * x


def polar(x, y):
    return jnp.hypot(x, y) + jnp.arctan2(y, x)


def updates(x, y):
    rows = x.at[jnp.array([0, 2, 2])].add(y)
    placed = jax.lax.dynamic_update_slice(rows, y[:2] * 2, (1, 0))
    return jnp.flip(jnp.pad(placed, ((1, 0), (0, 2)), constant_values=0.5)) ** 2


def straight_statistics(x):
    return jnp.var(x) + jnp.median(x) + jnp.max(x, axis=0).sum() + jnp.prod(x[0]) + jnp.min(x)


def clipped(x):
    return jnp.sum(jnp.clip(x, -0.5, 0.5) * jnp.round(x) + jnp.sign(x) * jnp.floor(x))


ZOO = {
    **{f"net {name}": (net(f, squared), net_arguments) for name, f in ACTIVATIONS.items()},
    **{f"{name} loss": (net(jnp.tanh, loss), net_arguments) for name, loss in LOSSES.items()},
    "layer norm": (layer_norm, normals((3, 4), (4,), (4,))),
    "batch norm": (batch_norm, normals((5, 3), (3,), (3,))),
    "group norm": (group_norm, normals((2, 6), (6,))),
    "rms norm": (rms_norm, normals((3, 4), (4,))),
    "attention": (attention, normals((2, 3, 4), (2, 3, 4), (2, 3, 4))),
    "causal attention": (causal_attention, normals((2, 3, 4), (2, 3, 4), (2, 3, 4))),
    "streaming attention": (streaming_attention, normals((3, 4), (4, 4), (4, 2))),
    "residual block": (residual_block, residual_arguments),
    "lstm": (lstm, recurrent_arguments(4)),
    "gru": (gru, recurrent_arguments(3)),
    "convolution": (convolution, normals((2, 5, 4, 2), (3, 3, 2, 3))),
    "grouped convolution": (grouped_convolution, normals((2, 4, 6), (6, 2, 2))),
    "transposed convolution": (transposed_convolution, normals((1, 4, 2), (3, 2, 3))),
    "max pool": (max_pool, normals((2, 5, 4))),
    "average pool": (average_pool, normals((2, 4, 5))),
    "embedding": (embedding, normals((5, 4), (4, 3))),
    "cosine similarity": (cosine_similarity, normals((3, 4), (3, 4))),
    "contrastive": (contrastive, normals((3, 4), (3, 4))),
    "log-space recursion": (log_space_recursion, normals((3,), (3, 3), (4, 3))),
    "mixture": (mixture, normals((3,), (3,), (3,), (5,))),
    "gaussian": (gaussian, normals((5,), (5,), (5,))),
    "gamma likelihood": (gamma_likelihood, positive((4,), (4,))),
    "digamma": (digamma_sum, positive((4,))),
    "beta likelihood": (beta_likelihood, positive((3,), (3,))),
    "kalman step": (kalman_step, positive((3,), (3,), (3,))),
    "probit": (probit, normals((4,))),
    "runge kutta": (runge_kutta, normals((2,))),
    "rosenbrock": (rosenbrock, normals((5,))),
    "where physics": (where_physics, positive((6,), least=0.05)),
    "newton root": (newton_root, positive((3,))),
    "branches": (branches, normals((3,))),
    "experts": (experts, normals((3, 4), (4, 3, 2), (5, 3))),
    "sorting loss": (sorting_loss, normals((5,), (5,))),
    "running": (running, normals((5,))),
    "log cumulative": (log_cumulative, normals((5,))),
    "polar": (polar, normals((4,), (4,))),
    "updates": (updates, normals((4, 2), (3, 2))),
    "statistics": (straight_statistics, normals((3, 3))),
    "clipped": (clipped, normals((6,))),
}
