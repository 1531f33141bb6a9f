"""What a function is: its mathematics, where to look at it, and its name in each framework."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypedDict

from flint import arb

from crosscheck.exact.oracle import working_precision
from crosscheck.studies.atlas.mathematics.jets import Beyond, Jet, Tie, Undecided, variable

FRAMEWORKS = ("torch", "jax")

PREFIX = {"torch": "torch", "jax": "jnp"}
"""The module of arrays in expressions, apart from the function that is on trial."""

BITS = (96, 256, 1024, 4096, 16384)
"""Working precisions, tried in this order until the derivative is known well enough."""

ACCURATE = 80
"""Bits of relative accuracy that a derivative is known to, far more than any format has."""

NEGLIGIBLE = arb(2) ** -1200
"""What is smaller is 0 to every format, and need not be known relatively."""

Formula = Callable[[Jet], Jet]
Interval = tuple[float, float]


class BrokenDefinition(ValueError):
    """A definition that cannot be used; the message says which and why."""


class Own(NamedTuple):
    """A function of somebody's own, and the gradient that is written beside it in NumPy."""

    name: str
    function: Callable[[Any], Any]
    gradient: Callable[[Any], Any] | None = None


class PublicCall(NamedTuple):
    """One function: its dotted name, and how it is called on `x`, a tensor or an array."""

    framework: str
    function: str
    expression: str | Own
    definition: str
    documented: "Documented | None" = None


class Names(TypedDict):
    """How both frameworks are called, for `define(**names)`."""

    torch: str
    jax: str


class Documented(NamedTuple):
    """What a framework's documentation says that it computes instead: an eps, a clamp."""

    says: str
    formula: Formula


@dataclass(frozen=True)
class Definition:
    """A function of one real variable x.

    `formula` is its mathematics on jets; `domain` the interval in which it is defined; `special`
    points such as kinks, zeros, poles and thresholds, around which the grid is dense; `argument`
    the name of the argument that is differentiated. `torch` and `jax` are expressions in x, by
    which the frameworks are called; the first dotted name in each is the function's public name.
    `documented` maps such a name to what its documentation promises instead of the mathematics.
    """

    name: str
    formula: Formula
    torch: tuple[str, ...] = ()
    jax: tuple[str, ...] = ()
    domain: Interval = (-float("inf"), float("inf"))
    special: tuple[float, ...] = (0.0,)
    argument: str = "x"
    documented: Mapping[str, Documented] = field(default_factory=dict)

    @cached_property
    def calls(self) -> tuple[PublicCall, ...]:
        """Its names in the frameworks; each stands for a pair function × framework."""
        return tuple(
            PublicCall(framework, name, expression, self.name, self.documented.get(name))
            for framework in FRAMEWORKS
            for expression in getattr(self, framework)
            for name in (public_name(framework, expression),)
        )


def public_name(framework: str, expression: str) -> str:
    """The first dotted name of the framework in an expression, such as torch.special.i0."""
    match = re.search(rf"\b{framework}(\.\w+)+", expression)
    if match is None:
        raise ValueError(f"{expression!r} names no function of {framework}")
    name = match[0]
    method = re.search(r"\)\.(log_prob|cdf|icdf|entropy)\(", expression)
    return f"{name}.{method[1]}" if ".distributions." in name and method else name


def expressions(given: str | Iterable[str]) -> tuple[str, ...]:
    """One expression, several, or none (an empty text), as a tuple."""
    if isinstance(given, str):
        return (given,) if given else ()
    return tuple(given)


def joined(framework: str, *entries: float | str) -> str:
    """An expression of a vector of these entries, numbers or "x", along a new last axis."""
    parts = [each if isinstance(each, str) else number(framework, each) for each in entries]
    return f"{PREFIX[framework]}.stack(({', '.join(parts)}), -1)"


def number(framework: str, value: float) -> str:
    """An expression of a constant in the shape and format of x."""
    return f"{PREFIX[framework]}.full_like(x, {float(value)!r})"


def define(
    name: str,
    formula: Formula,
    torch: str | Iterable[str] = "",
    jax: str | Iterable[str] = "",
    domain: Interval = (-float("inf"), float("inf")),
    special: Iterable[float] = (0.0,),
    argument: str = "x",
    documented: Mapping[str, Documented] | None = None,
) -> Definition:
    """A definition, in a line of a table."""
    return Definition(
        name,
        formula,
        expressions(torch),
        expressions(jax),
        domain,
        tuple(special),
        argument,
        documented or {},
    )


class Exact(NamedTuple):
    """The mathematics at a point, in balls; `low` and `high` are one-sided slopes at a kink.

    `condition` is |x f″/f′| and `value_condition` |x f′/f|, upper bounds of what is known;
    `status` is "certain", "beyond" (no ball holds it) or "undecided".
    """

    status: str
    value: arb = arb(0)
    slope: arb = arb(0)
    condition: float = 0.0
    value_condition: float = 0.0
    low: arb = arb(0)
    high: arb = arb(0)
    kink: bool = False


def exact(formula: Formula, at: float) -> Exact:
    """Value, derivative and condition at a point, to ACCURATE bits where balls give them."""
    known = Exact("undecided")
    for bits in BITS:
        with working_precision(bits):
            try:
                known, enough = _evaluated(formula, at)
            except Undecided:
                continue
            except Beyond:
                return Exact("beyond")
            if enough:
                return known
    return known if _useful(known) else Exact("undecided")


def agrees(formula: Formula, at: float, known: Exact) -> bool:
    """Whether the derivative is the quotient of differences of the value, up to its truncation.

    At 2h = 2^-200 a wrong derivative differs by far more than the 100 bits asked for; where the
    value is not known that well, nothing is said.
    """
    if known.status != "certain" or known.kink:
        return True
    with working_precision(1000):
        h = arb(2) ** -200
        try:
            up, down = (formula(variable(arb(at) + s * h)).value for s in (1, -1))
        except ArithmeticError:
            return True
        gap = abs((up - down) / (2 * h) - known.slope)
        allowed = known.slope.rad() + (1 + abs(known.slope)).abs_upper() * arb(2) ** -60
        return not gap > allowed


def _evaluated(formula: Formula, at: float) -> tuple[Exact, bool]:
    """What this precision gives, and whether it is enough."""
    try:
        jet = formula(variable(at))
    except Tie:
        left, right = formula(variable(at, -1)), formula(variable(at, 1))
        return _at_kink(left, right), _accurate(left.first) and _accurate(right.first)
    enough = _accurate(jet.first) and _accurate(jet.value) and _known_roughly(jet)
    return _smooth(jet, at), enough


def _smooth(jet: Jet, at: float) -> Exact:
    return Exact(
        "certain" if jet.first.is_finite() else "undecided",
        jet.value,
        jet.first,
        _ratio(at * jet.second, jet.first),
        _ratio(at * jet.first, jet.value),
    )


def _at_kink(left: Jet, right: Jet) -> Exact:
    """Both one-sided slopes; no kink where they are the same."""
    low, high = (left.first, right.first) if left.first < right.first else (right.first, left.first)
    known = all(slope.is_finite() or not slope.is_nan() for slope in (low, high))
    status = "certain" if known else "undecided"
    if left.first.overlaps(right.first):
        return Exact(status, left.value, left.first)
    return Exact(status, left.value, (low + high) / 2, low=low, high=high, kink=True)


def _accurate(ball: arb) -> bool:
    if not ball.is_finite():
        return False
    return ball.rel_accuracy_bits() >= ACCURATE or bool(abs(ball) < NEGLIGIBLE)


def _known_roughly(jet: Jet) -> bool:
    """Whether f″ is known well enough for the condition to be its own and not its radius."""
    return bool(jet.second.rel_accuracy_bits() >= 8 or abs(jet.second) < NEGLIGIBLE)


def _useful(known: Exact) -> bool:
    """Whether a derivative is certain enough to say anything against it."""
    return known.status == "certain" and known.slope.rel_accuracy_bits() >= 60


def _ratio(above: arb, below: arb) -> float:
    """An upper bound of |above/below| as a float; ∞ where it is not known, 0 of 0/anything."""
    if above.is_zero():
        return 0.0
    bound = abs(above / below)
    return float(bound.abs_upper()) if bound.is_finite() else float("inf")
