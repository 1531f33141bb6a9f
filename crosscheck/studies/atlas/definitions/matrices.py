"""Functions of small matrices, along a line: one entry (or a symmetric pair) is x."""

from collections.abc import Callable, Iterator, Sequence

from crosscheck.studies.atlas.definition import Definition, Interval, define, joined
from crosscheck.studies.atlas.mathematics import functions as e, jets as j
from crosscheck.studies.atlas.mathematics.jets import Jet
from crosscheck.studies.atlas.mathematics.matrices import (
    determinant,
    eigenvalues,
    inverse_entry,
    singular_values,
    solution_entry,
)

INFINITE = float("inf")
REAL: Interval = (-INFINITE, INFINITE)

Rows = Sequence[Sequence[float | str]]
MatrixFormula = Callable[[list[list[Jet]]], Jet]

GENERAL: Rows = (("x", 1.0), (2.0, 3.0))
THREE: Rows = (("x", 1.0, 0.5), (2.0, 3.0, -1.0), (0.0, 1.0, 2.0))
SYMMETRIC: Rows = ((2.0, "x"), ("x", 3.0))
DEFINITE: Rows = (("x", 1.0), (1.0, 3.0))
DIAGONAL: Rows = (("x", 0.0), (0.0, 1.0))


def written(framework: str, rows: Rows) -> str:
    """The expression of a matrix on the two last axes."""
    prefix = "torch" if framework == "torch" else "jnp"
    return f"{prefix}.stack(({', '.join(joined(framework, *row) for row in rows)}), -2)"


def of_matrix(
    name: str,
    formula: MatrixFormula,
    rows: Rows,
    torch: str | tuple[str, ...] = "",
    jax: str | tuple[str, ...] = "",
    domain: Interval = REAL,
    special: tuple[float, ...] = (),
) -> Definition:
    """A function of a matrix; `{m}` in the expressions is the matrix."""
    shown = "; ".join(", ".join(f"{n:g}" if n != "x" else "x" for n in row) for row in rows)

    def along(x: Jet) -> Jet:
        return formula([[x if n == "x" else j.jet(float(n)) for n in row] for row in rows])

    def filled(given: str | tuple[str, ...], framework: str) -> tuple[str, ...]:
        all_of = (given,) if isinstance(given, str) else given
        return tuple(g.replace("{m}", written(framework, rows)) for g in all_of if g)

    return define(
        f"{name} of [{shown}]",
        along,
        filled(torch, "torch"),
        filled(jax, "jax"),
        domain,
        (0, 1, *special),
        f"input of [{shown}]",
    )


def largest(m: list[list[Jet]]) -> Jet:
    """The largest eigenvalue of a symmetric matrix."""
    return eigenvalues(m[0][0], m[0][1], m[1][1])[1]


def of_spectrum(function: Callable[[Jet], Jet]) -> MatrixFormula:
    """Σ f(λ) of a symmetric matrix."""
    return lambda m: j.total([function(v) for v in eigenvalues(m[0][0], m[0][1], m[1][1])])


def lower_corner(m: list[list[Jet]]) -> Jet:
    """The last entry of the Cholesky factor: √(d - b²/a)."""
    return e.sqrt(m[1][1] - m[1][0] ** 2 / m[0][0])


def _tables() -> Iterator[Definition]:
    for rows, special in ((GENERAL, (2 / 3,)), (THREE, ())):
        yield of_matrix(
            "det",
            determinant,
            rows,
            ("torch.linalg.det({m})", "torch.det({m})"),
            "jax.numpy.linalg.det({m})",
            special=special,
        )
    for rows in (DEFINITE, THREE):
        low = 0.34375 if rows is DEFINITE else 2.0
        yield of_matrix(
            "logdet",
            lambda m: e.log(determinant(m)),
            rows,
            ("torch.logdet({m})", "torch.linalg.slogdet({m}).logabsdet"),
            "jax.numpy.linalg.slogdet({m})[1]",
            domain=(low, INFINITE),
        )
        yield of_matrix(
            "inverse",
            lambda m: inverse_entry(m, 0, 0),
            rows,
            ("torch.linalg.inv({m})[..., 0, 0]", "torch.inverse({m})[..., 0, 0]"),
            "jax.numpy.linalg.inv({m})[..., 0, 0]",
            domain=(low, INFINITE),
        )
        ones = [[1.0] * len(rows)]
        yield of_matrix(
            "solve",
            _first_of_solution,
            rows,
            f"torch.linalg.solve({{m}}, torch.tensor({ones[0]}, dtype=x.dtype)"
            ".unsqueeze(-1))[..., 0, 0]",
            f"jax.numpy.linalg.solve({{m}}, jnp.array({ones[0]}, x.dtype)[:, None])[..., 0, 0]",
            domain=(low, INFINITE),
        )
    yield of_matrix(
        "cholesky, the last entry",
        lower_corner,
        DEFINITE,
        ("torch.linalg.cholesky({m})[..., 1, 1]", "torch.cholesky({m})[..., 1, 1]"),
        "jax.numpy.linalg.cholesky({m})[..., 1, 1]",
        domain=(0.34375, INFINITE),
    )
    for rows, domain in ((SYMMETRIC, REAL), (DIAGONAL, REAL)):
        yield of_matrix(
            "largest eigenvalue",
            largest,
            rows,
            ("torch.linalg.eigvalsh({m})[..., -1]", "torch.linalg.eigh({m}).eigenvalues[..., -1]"),
            ("jax.numpy.linalg.eigvalsh({m})[..., -1]", "jax.numpy.linalg.eigh({m})[0][..., -1]"),
            domain=domain,
        )
    narrow = (-20.0, 20.0)
    for rows in (DIAGONAL, SYMMETRIC):
        yield of_matrix(
            "sum of exponentials of eigenvalues",
            of_spectrum(e.exp),
            rows,
            "torch.linalg.eigvalsh({m}).exp().sum(-1)",
            "jnp.exp(jax.numpy.linalg.eigvalsh({m})).sum(-1)",
            domain=narrow,
        )
        yield of_matrix(
            "trace of the exponential by eigh",
            of_spectrum(e.exp),
            rows,
            "(lambda s: (s.eigenvectors * s.eigenvalues.exp().unsqueeze(-2) @ s.eigenvectors.mT)"
            ".diagonal(dim1=-2, dim2=-1).sum(-1))(torch.linalg.eigh({m}))",
            "(lambda s: jnp.trace(s[1] * jnp.exp(s[0])[..., None, :] @ jnp.swapaxes(s[1], -1, -2), "
            "axis1=-2, axis2=-1))(jax.numpy.linalg.eigh({m}))",
            domain=narrow,
        )
        yield of_matrix(
            "trace of the matrix exponential",
            of_spectrum(e.exp),
            rows,
            "torch.linalg.matrix_exp({m}).diagonal(dim1=-2, dim2=-1).sum(-1)",
            domain=narrow,
        )
    for rows in (GENERAL, DIAGONAL):
        yield of_matrix(
            "largest singular value",
            lambda m: singular_values(m)[0],
            rows,
            ("torch.linalg.svdvals({m})[..., 0]", "torch.linalg.matrix_norm({m}, ord=2)"),
            "jax.numpy.linalg.svd({m}, compute_uv=False)[..., 0]",
        )
        yield of_matrix(
            "nuclear norm",
            lambda m: j.total(singular_values(m)),
            rows,
            'torch.linalg.matrix_norm({m}, ord="nuc")',
            'jax.numpy.linalg.norm({m}, ord="nuc", axis=(-2, -1))',
            special=(2 / 3,),
        )
    yield of_matrix(
        "Frobenius norm",
        lambda m: e.norm(*(entry for row in m for entry in row)),
        DIAGONAL,
        'torch.linalg.matrix_norm({m}, ord="fro")',
        'jax.numpy.linalg.norm({m}, ord="fro", axis=(-2, -1))',
    )
    yield of_matrix(
        "matrix power 3, the trace",
        _cube_trace,
        GENERAL,
        "torch.linalg.matrix_power({m}, 3).diagonal(dim1=-2, dim2=-1).sum(-1)",
        domain=(-1e60, 1e60),
    )


def _first_of_solution(m: list[list[Jet]]) -> Jet:
    return solution_entry(m, [j.jet(1)] * len(m), 0)


def _cube_trace(m: list[list[Jet]]) -> Jet:
    """tr(M)³ - 3 tr(M) det(M), of a 2 × 2 matrix."""
    trace, area = m[0][0] + m[1][1], determinant(m)
    return trace**3 - 3 * trace * area


DEFINITIONS: tuple[Definition, ...] = tuple(_tables())
