"""The table of primitives, by name."""

from collections.abc import Mapping
from dataclasses import replace

from crosscheck.arithmetic.primitives import choices, elementary, structure, sums, transcendental
from crosscheck.arithmetic.primitives.row import Primitive
from crosscheck.arithmetic.primitives.samples import SAMPLES

PRIMITIVES: Mapping[str, Primitive] = {
    row.name: replace(row, sample=SAMPLES.get(row.name, row.sample))
    for module in (elementary, transcendental, choices, structure, sums)
    for row in module.ROWS
}
