"""The drawings of the audit's page, as inline SVG in the colours of the page."""

from collections.abc import Iterator, Sequence

from crosscheck.audit.reports.formulas import Formulas
from crosscheck.audit.reports.words import Found, Row

# --- the network, in the paper's notation -------------------------------------------------------

NETWORK_SIZE = (560, 440)
COLUMNS = (44, 190, 376, 510)
"""x of layers 1, l-1, l and N."""

NEURONS = ((90, 170, 290), (90, 170, 290), (90, 170, 290), (110, 270))
"""y of the neurons drawn of each."""

RADIUS = 31
INSIDE = (
    (r"a^1_{(i,1)}", r"a^1_{(i,2)}", r"a^1_{(i,n_1)}"),
    (r"a^{l-1}_{(i,1)}", r"a^{l-1}_{(i,k)}", r"a^{l-1}_{(i,n_{l-1})}"),
    (r"a^l_{(i,1)}", r"a^l_{(i,j)}", r"a^l_{(i,n_l)}"),
    (r"a^N_{(i,1)}", r"a^N_{(i,n_N)}"),
)
TITLES = ("input", "layer l − 1", "layer l", "output")
BELOW = (r"l = 1", r"n_{l-1}", r"n_l", r"l = N")


def network(formulas: Formulas) -> str:
    """A network with the paper's names for its neurons, weights and biases."""
    width, height = NETWORK_SIZE
    parts = [
        f'<svg class="drawing" viewBox="0 0 {width} {height}" role="img" aria-label="A network: '
        "input a^1, layers l-1 and l joined by the weights w^l_(k,j), bias b^l_j, output a^N"
        '">',
        *_edges(),
        *_neurons(formulas),
        *_labels(formulas),
        "</svg>",
    ]
    return "".join(parts)


def _edges() -> Iterator[str]:
    """Between layers l-1 and l every weight; elsewhere stubs, as layers are left out."""
    for y in NEURONS[1]:
        for end in NEURONS[2]:
            chosen = (y, end) == (NEURONS[1][1], NEURONS[2][1])
            yield _line(COLUMNS[1], y, COLUMNS[2], end, "chosen" if chosen else "edge")
    for left, right in ((0, 1), (2, 3)):
        for y in NEURONS[left]:
            yield _line(COLUMNS[left], y, COLUMNS[left] + 48, y, "edge")
        for y in NEURONS[right]:
            yield _line(COLUMNS[right] - 48, y, COLUMNS[right], y, "edge")
        yield _dots((COLUMNS[left] + COLUMNS[right]) / 2, 190, across=True)


def _line(x: float, y: float, x_end: float, y_end: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x}" y1="{y}" x2="{x_end}" y2="{y_end}"/>'


def _dots(x: float, y: float, across: bool) -> str:
    steps = [(10 * k, 0) if across else (0, 10 * k) for k in (-1, 0, 1)]
    circles = [f'<circle class="dot" cx="{x + dx}" cy="{y + dy}" r="2"/>' for dx, dy in steps]
    return "".join(circles)


def _neurons(formulas: Formulas) -> Iterator[str]:
    for x, ys, names in zip(COLUMNS, NEURONS, INSIDE, strict=True):
        for y, name in zip(ys, names, strict=True):
            yield f'<circle class="neuron" cx="{x}" cy="{y}" r="{RADIUS}"/>'
            yield formulas.placed(name, x, y + 5, 18)
        yield _dots(x, (ys[-2] + ys[-1]) / 2, across=False)


def _labels(formulas: Formulas) -> Iterator[str]:
    for x, title, below in zip(COLUMNS, TITLES, BELOW, strict=True):
        yield f'<text x="{x}" y="34" text-anchor="middle">{title}</text>'
        yield formulas.placed(below, x, 350, 20)
    yield formulas.placed(r"w^l_{(k,j)}", (COLUMNS[1] + COLUMNS[2]) / 2, NEURONS[1][1] - 15, 21)
    yield formulas.placed(
        r"+ b^l_j", COLUMNS[2] + RADIUS + 4, NEURONS[2][1] - 20, 19, anchor="start"
    )
    yield formulas.placed(
        r"a^l_{(i,j)} = \sigma\left(\sum_{k=1}^{n_{l-1}} "
        r"w^l_{(k,j)} a^{l-1}_{(i,k)} + b^l_j\right)",
        (COLUMNS[1] + COLUMNS[2]) / 2,
        406,
        18,
    )


# --- digits against saturation ------------------------------------------------------------------

PANEL = (360, 230)
MARGIN = (44, 16, 46, 14)
"""Left, top, bottom, right."""

LINES = ("line-a", "line-b", "line-c", "line-d")
"""Classes of the methods' lines, in their order: the page gives colours and dashes."""


def digits(found: Found, dtype: str) -> str:
    """Correct digits of σ′ against z, one line a method."""
    rows = [row for row in found["weakness"] if row["dtype"] == dtype]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    most = 8 if max(row["digits"] for row in rows) < 8 else 16
    largest_z = max(row["z"] for row in rows)
    said = f"{dtype}: correct digits of σ′ against z; " + "; ".join(
        f"{method} falls to {min(r['digits'] for r in rows if r['method'] == method):.1f}"
        for method in methods
    )
    parts = [
        f'<svg class="drawing" viewBox="0 0 {PANEL[0]} {PANEL[1]}" role="img" aria-label="{said}">',
        *_axes(most, largest_z, dtype),
    ]
    for method, kind in zip(methods, LINES, strict=False):
        own = [row for row in rows if row["method"] == method]
        parts.append(f'<polyline class="{kind}" points="{_points(own, most, largest_z)}"/>')
    return "".join([*parts, "</svg>"])


def _x(z: float, largest: float) -> float:
    return MARGIN[0] + z / largest * (PANEL[0] - MARGIN[0] - MARGIN[3])


def _y(value: float, most: float) -> float:
    return PANEL[1] - MARGIN[2] - value / most * (PANEL[1] - MARGIN[1] - MARGIN[2])


def _points(rows: Sequence[Row], most: float, largest: float) -> str:
    return " ".join(f"{_x(r['z'], largest):.1f},{_y(r['digits'], most):.1f}" for r in rows)


def _axes(most: int, largest: float, dtype: str) -> Iterator[str]:
    for value in range(0, most + 1, most // 4):
        y = _y(value, most)
        yield _line(MARGIN[0], y, PANEL[0] - MARGIN[3], y, "grid")
        yield f'<text x="{MARGIN[0] - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>'
    for z in range(0, int(largest) + 1, 10):
        x = _x(z, largest)
        yield f'<text x="{x:.1f}" y="{PANEL[1] - 28}" text-anchor="middle">{z}</text>'
    middle = (MARGIN[0] + PANEL[0] - MARGIN[3]) / 2
    yield f'<text x="{middle}" y="{PANEL[1] - 8}" text-anchor="middle">z, {dtype}</text>'
    yield (
        f'<text transform="translate(12 {(PANEL[1] - MARGIN[2] + MARGIN[1]) / 2}) rotate(-90)" '
        'text-anchor="middle">digits</text>'
    )
