"""What a rival's left side may be off by, whatever order it multiplies and adds in.

A derivative in a network is a sum over paths, each a product of weights, slopes σ′ and one
activation or residual. Reverse mode, forward mode and any other order form the same products in
another order, so one bound serves them all. Let M be the sum over paths of the product of
magnitudes, and M + P the same with each computed factor's error added to its magnitude. No path
undergoes more than m roundings, so

    E = P + γ_m (M + P) + 4 m η A,

where m counts, a layer, the additions over its two widths and six roundings of its slope's
factors, and at the end the sums over samples and outputs. An intermediate that underflows, or an
operand that is flushed, is off by η at most, and reaches the result through a factor of at most A,
the product over layers of the larger of 1 and the sum of all |w| (and of |a^l|, |residual|
likewise). P is carried by the product rule, P_xy = |x| P_y + P_x (|y| + P_y), in which nothing
cancels. Errors of z, a and σ′ are the rules of `bound`.
"""

from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.rounding_rules import EVALUATION_SLACK, Rules, Uncertain, rules_of
from crosscheck.bounds import float64
from crosscheck.networks.network import Array, Case


class BoundedNetwork(NamedTuple):
    """A case as the bound knows it: z, a, slopes σ′ by layer, and σ(z) with its slopes."""

    z: dict[int, Uncertain]
    a: dict[int, Uncertain]
    slope: dict[int, Uncertain]
    s: dict[int, Uncertain]
    s_slope: dict[int, Uncertain]
    weights: dict[int, Array]


def bounds(case: Case, flushes: bool) -> dict[str, Array]:
    """E of every left side, under the keys of `exact.left_sides`; shapes broadcast to theirs."""
    rules = rules_of(Arithmetic(case.dtype, "either", flushes))
    with np.errstate(all="ignore"):
        network = _network(case, rules)
        found = {f"{kind}{l}": x.error for kind in "zas" for l, x in _values(network, kind)}
        jacobians = _jacobians(case, network)
        derivatives = jacobians | _costs(case, network, rules, jacobians)
        rounding = rules.gamma(_roundings(case))
        underflow = 4 * _roundings(case) * rules.eta * _amplification(case, network)
        for key, (most, propagated) in derivatives.items():
            found[key] = propagated + rounding * (most + propagated) + underflow
    return {key: _finished(error) for key, error in found.items()}


def _finished(error: Array | None) -> Array:
    finished = np.asarray(error, dtype=float) * EVALUATION_SLACK
    return np.where(np.isnan(finished), np.inf, finished)


def _values(network: BoundedNetwork, kind: str) -> list[tuple[int, Uncertain]]:
    parts = {"z": network.z, "a": network.a, "s": network.s}[kind]
    return [(l, x) for l, x in parts.items() if x.error is not None]


def _network(case: Case, rules: Rules) -> BoundedNetwork:
    """z, a and slopes with their errors, layer by layer."""
    trace = float64.evaluate(case)
    weights = {l: np.abs(w.astype(np.float64)) for l, w in enumerate(case.weights, 2)}
    network = BoundedNetwork({}, {1: rules.known(trace.activations[0], None)}, {}, {}, {}, weights)
    for l, name in enumerate(case.architecture.activations, 2):
        bias = np.abs(case.biases[l - 2].astype(np.float64))
        w = rules.known(weights[l], None)
        z = trace.z[l - 2]
        error = rules.product(network.a[l - 1], w, z, bias)
        network.z[l] = rules.known(z, error)
        value, slope = ACTIVATIONS["sigmoid"].evaluate(z)
        layer = ACTIVATIONS["sigmoid"].rule(rules, z, error, value, slope)
        network.s[l] = rules.known(value, layer.error)
        assert layer.slope is not None
        network.s_slope[l] = layer.slope
        linear = name == "identity"
        network.a[l] = network.z[l] if linear else network.s[l]
        network.slope[l] = Uncertain(np.ones_like(z), None) if linear else layer.slope
    return network


Paths = tuple[Array, Array]
"""M and P of a sum over paths: magnitudes, and what the factors' errors add to them."""


def _entrywise(x: Uncertain, most: Array, propagated: Array) -> Paths:
    """An uncertain factor times a sum over paths, with the shapes already spread."""
    error = np.zeros_like(x.size) if x.error is None else x.error
    return x.size * most, x.size * propagated + error * (most + propagated)


def _spread(x: Uncertain, *axes: int) -> Uncertain:
    error = None if x.error is None else np.expand_dims(x.error, axes)
    return Uncertain(np.expand_dims(x.size, axes), error)


def _jacobians(case: Case, network: BoundedNetwork) -> dict[str, Paths]:
    """M and P of every Jacobian that an equation speaks of."""
    layers = case.architecture.layers
    found: dict[str, Paths] = {}
    for l in range(2, layers + 1):
        ones = np.eye(case.architecture.widths[l - 1])[None]
        by_bias = _entrywise(_spread(network.slope[l], 2), ones, 0 * ones)
        by_weight = _entrywise(
            _spread(network.a[l - 1], 1, 3), by_bias[0][:, :, None], by_bias[1][:, :, None]
        )
        found |= _pushed(f"b{l}", l, by_bias, network)
        found |= _pushed(f"w{l}", l, by_weight, network)
        w = network.weights[l].T[None]
        local = _entrywise(_spread(network.slope[l], 2), w, 0 * w)
        found |= _pushed(f"a{l - 1}", l, local, network)
        found[f"s{l}/a{l - 1}"] = _entrywise(_spread(network.s_slope[l], 2), w, 0 * w)
    return found


def _pushed(source: str, start: int, local: Paths, network: BoundedNetwork) -> dict[str, Paths]:
    """Paths from a source on to every layer above; `local` is (D, n_start, …)."""
    found = {f"a{start}/{source}": local}
    most, propagated = local
    for k in range(start + 1, max(network.a) + 1):
        w = network.weights[k]
        most, propagated = (np.einsum("nk,in...->ik...", w, part) for part in (most, propagated))
        slope = _spread(network.slope[k], *range(2, most.ndim))
        most, propagated = _entrywise(slope, most, propagated)
        found[f"a{k}/{source}"] = (most, propagated)
    return found


def _residual(case: Case, network: BoundedNetwork, rules: Rules) -> Uncertain:
    """a^N - expected and its error: a subtraction's own rounding included."""
    output = network.a[case.architecture.layers]
    assert output.error is not None
    trace_output = float64.evaluate(case).activations[-1]
    difference = np.abs(trace_output - case.targets.astype(np.float64))
    size = difference + rules.evaluation * output.error
    return Uncertain(size, output.error + rules.u * (size + output.error))


def _costs(
    case: Case, network: BoundedNetwork, rules: Rules, jacobians: dict[str, Paths]
) -> dict[str, Paths]:
    """M and P of the cost and its gradient: 1/D Σ_i Σ_j of paths that end in a residual."""
    residual = _residual(case, network, rules)
    size, error = residual.size, residual.error
    assert error is not None
    scale = float64.cost_scale(case)
    found = {"cost": (scale * (size**2).sum(), scale * (2 * size * error + error**2).sum())}
    layers = case.architecture.layers
    for key, (most, propagated) in jacobians.items():
        upper, lower = key.split("/")
        if upper == f"a{layers}" and lower[0] in "wb":
            spread = _spread(residual, *range(2, most.ndim))
            parts = _entrywise(spread, most, propagated)
            found[f"cost/{lower}"] = (
                2 * scale * parts[0].sum((0, 1)),
                2 * scale * parts[1].sum((0, 1)),
            )
    return found


def _roundings(case: Case) -> int:
    """m: more than any path's roundings, from the deepest source to the cost."""
    widths = case.architecture.widths
    per_layer = sum(n + m + 6 for n, m in case.architecture.weight_shapes)
    return per_layer + case.samples * widths[-1] + 8


def _amplification(case: Case, network: BoundedNetwork) -> float:
    """A: what an error of one intermediate may be multiplied by on its way to the result."""
    factors = [w.sum() for w in network.weights.values()]
    factors += [x.most.sum() for x in network.a.values()]
    factors += [2 * np.abs(case.targets.astype(np.float64)).sum() + 2]
    return float(np.prod([max(1.0, f) for f in factors]))
