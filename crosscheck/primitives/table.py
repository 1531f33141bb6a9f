"""The table of primitives, by name."""

from collections.abc import Mapping

from crosscheck.primitives import choices, elementary, structure, sums, transcendental
from crosscheck.primitives.row import Primitive

PRIMITIVES: Mapping[str, Primitive] = {
    row.name: row
    for module in (elementary, transcendental, choices, structure, sums)
    for row in module.ROWS
}
