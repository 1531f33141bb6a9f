"""Small matrices of jets, and sums over paths: by their definitions, without an algorithm."""

from collections.abc import Iterator, Sequence
from itertools import permutations, product as all_of

from crosscheck.studies.atlas.mathematics import functions as e, jets as j
from crosscheck.studies.atlas.mathematics.jets import Jet, Number

Matrix = Sequence[Sequence[Jet | Number]]


def determinant(matrix: Matrix) -> Jet:
    """Leibniz's sum over permutations."""
    size = len(matrix)
    terms = []
    for order in permutations(range(size)):
        inversions = sum(order[a] > order[b] for a in range(size) for b in range(a + 1, size))
        term = j.product([matrix[row][column] for row, column in enumerate(order)])
        terms.append(-term if inversions % 2 else term)
    return j.total(terms)


def minor(matrix: Matrix, row: int, column: int) -> Matrix:
    """The matrix without a row and a column."""
    return [
        [entry for k, entry in enumerate(entries) if k != column]
        for number, entries in enumerate(matrix)
        if number != row
    ]


def inverse_entry(matrix: Matrix, row: int, column: int) -> Jet:
    """By the adjugate."""
    cofactor = determinant(minor(matrix, column, row))
    return (cofactor if (row + column) % 2 == 0 else -cofactor) / determinant(matrix)


def solution_entry(matrix: Matrix, right: Sequence[Jet | Number], row: int) -> Jet:
    """Cramer's rule."""
    replaced = [
        [right[k] if column == row else entry for column, entry in enumerate(entries)]
        for k, entries in enumerate(matrix)
    ]
    return determinant(replaced) / determinant(matrix)


def eigenvalues(a: Jet | Number, b: Jet | Number, d: Jet | Number) -> tuple[Jet, Jet]:
    """Of [[a, b], [b, d]], the smaller first."""
    half = (j.jet(a) + d) / 2
    spread = e.norm((j.jet(a) - d) / 2, b)
    return half - spread, half + spread


def singular_values(matrix: Matrix) -> tuple[Jet, Jet]:
    """Of a 2 × 2 matrix, the larger first: half the sum and difference of two norms."""
    (a, b), (c, d) = ([j.jet(entry) for entry in row] for row in matrix)
    outer, inner = e.norm(a + d, b - c), e.norm(a - d, b + c)
    return (outer + inner) / 2, j.absolute(outer - inner) / 2


def path_log_likelihood(
    log_probs: Sequence[Sequence[Jet | Number]], target: Sequence[int], blank: int = 0
) -> Jet:
    """log of the sum over all paths that read as the target once repeats and blanks are dropped.

    Graves et al., *Connectionist temporal classification* (2006), equations 1 to 3.
    """
    paths = [
        j.total([log_probs[t][label] for t, label in enumerate(path)])
        for path in all_of(range(len(log_probs[0])), repeat=len(log_probs))
        if tuple(read(path, blank)) == tuple(target)
    ]
    return e.logsumexp(*paths)


def read(path: Sequence[int], blank: int) -> Iterator[int]:
    """The labels of a path without repeats and blanks."""
    last = blank
    for label in path:
        if label not in (last, blank):
            yield label
        last = label
