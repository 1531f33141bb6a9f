"""The trial of the whole: the gradient that the printed equations compose to, tensor by tensor.

Two readers are followed. Both take N2, C1, C2, C3 as printed and the unprinted start:

- ``letter``: S1, S2, S3 at the output, S4 to S9 below, as the text goes;
- ``uniform``: S4 to S9 at every layer, and S3 for b^N, which S8 does not reach. With the start of
  the recursion S7 gives S6 there, and S9 gives S4: the right sides of S1′ and S2′.

A wrong gradient is explained where one factor a^N (1 - a^N) in every residual mends it. It is put
there by the targets: with expected′ = a^N - (a^N - expected) s the residual is s times what it was.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from crosscheck.audit.left_sides import EnclosedSide
from crosscheck.audit.rows import Record, Row
from crosscheck.audit.symbols import Ingredients
from crosscheck.audit.trial import ORACLE, Outcome, ruled
from crosscheck.bounds.error_array import Computed, sigma_on
from crosscheck.engines.paper import sigma
from crosscheck.networks.network import Case
from crosscheck.paper.composition import Composed, Network, literal
from crosscheck.paper.equation import Equation
from crosscheck.paper.unprinted import UNPRINTED, corrected_table, printed_table

ROUTES = {
    "letter": "S1, S2, S3 at the output, S4 to S9 below it",
    "uniform": "S4 to S9 at every layer with the unprinted start, and S3 for b^N",
}
MISSING = "a^N (1 - a^N) is missing"
EXTRA = "a^N (1 - a^N) is one too many"
COLUMNS = ("route", "reading", "layers", "tensor", "layer")

Table = Mapping[str, Equation]


def table(route: str, reading: str, equations: Table) -> dict[str, Equation]:
    """The equations that a reader takes, with `equations` in the place of the printed ones."""
    found = {**printed_table(reading), **equations}
    if route == "uniform":
        found |= {"S1 output": UNPRINTED["S1′"], "S2 output": UNPRINTED["S2′"]}
    return found


class WholeTrial:
    """Collects, architecture by architecture, which gradients come out wrong, and by what."""

    def __init__(self, equations: Table) -> None:
        self.equations = equations
        self.record = Record(COLUMNS)
        self.factors: dict[tuple[object, ...], set[str]] = {}

    def add(self, case: Case, facts: Mapping[str, EnclosedSide]) -> None:
        """Compose the gradient of one case along both routes."""
        reading = case.architecture.output
        network = _network(case)
        changed = _with_factor(case, facts, network)
        right = literal(corrected_table(reading), changed)
        for route in ROUTES:
            chosen = table(route, reading, self.equations)
            got, mended = literal(chosen, network), literal(chosen, changed)
            for key in _keys(case):
                outcome = _ruled(got, facts[f"cost/{key}"], key)
                about = (route, reading, case.architecture.layers, key[0], _relative(case, key))
                self.record.add(about, case, {ORACLE: outcome})
                if outcome.verdict == "FAILS":
                    explained = _factor(key, got, mended, right, facts[f"cost/{key}"])
                    self.factors.setdefault(about, set()).add(explained)

    def rows(self) -> list[Row]:
        """A row per route, reading, N and tensor, in that order; `factor` where all agree on it."""
        rows = []
        for row in self.record.rows():
            factors = self.factors.get(tuple(row[column] for column in COLUMNS), set())
            row["factor"] = factors.pop() if len(factors) == 1 else ""
            row.pop("rivals")
            row.pop("disagreement")
            rows.append(row)
        routes = list(ROUTES)
        return sorted(rows, key=lambda r: (routes.index(r["route"]), r["reading"], r["layers"]))


def _network(case: Case) -> Network:
    def given(array: np.ndarray) -> Computed:
        return Computed.exact(array, case.format)

    return Network(
        [given(w) for w in case.weights],
        [given(b) for b in case.biases],
        given(case.inputs),
        given(case.targets),
        sigma_on(sigma),
    )


def _with_factor(case: Case, facts: Mapping[str, EnclosedSide], network: Network) -> Network:
    """The network whose residuals are a^N (1 - a^N) times what they were."""
    a = Ingredients(case, facts).fact(f"a{case.architecture.layers}")
    expected = a - (a - network.expected) * (a * (1 - a))
    return replace(network, expected=expected)


def _keys(case: Case) -> list[str]:
    return [f"{kind}{l}" for l in range(case.architecture.layers, 1, -1) for kind in "wb"]


def _relative(case: Case, key: str) -> str:
    below = case.architecture.layers - int(key[1:])
    return f"N-{below}" if below else "N"


def _part(composed: Composed, key: str) -> Computed:
    tensors = composed.weights if key[0] == "w" else composed.biases
    part = tensors[int(key[1:]) - 2]
    assert isinstance(part, Computed)
    return part


def _ruled(composed: Composed, exact: EnclosedSide, key: str) -> Outcome:
    return ruled(_part(composed, key), exact, np.zeros(()))


def _factor(key: str, got: Composed, mended: Composed, right: Composed, exact: EnclosedSide) -> str:
    """What one factor a^N (1 - a^N) explains: it mends the composed, or spoils what is right."""
    if _ruled(mended, exact, key).verdict != "FAILS":
        return MISSING
    spoilt = _part(right, key)
    zeros = np.zeros(spoilt.shape)
    as_left = EnclosedSide(spoilt.value.astype(np.float64), zeros, zeros)
    if ruled(_part(got, key), as_left, spoilt.bound).verdict != "FAILS":
        return EXTRA
    return ""
