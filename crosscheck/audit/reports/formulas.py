"""LaTeX formulas as inline SVG, by matplotlib's mathtext: no download, no font on the page.

A formula has the colour of the text around it and scales with it: sizes are in em. Each glyph's
outline is on the page once, in `defs`, and formulas refer to it.
"""

from html import escape
from typing import Any, NamedTuple

import numpy as np

LETTERS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}
"""SVG's path commands for matplotlib's path codes."""


class Drawing(NamedTuple):
    """The body of an SVG, y downwards, baseline at 0, 100 units an em, and the box around it."""

    body: str
    left: int
    top: int
    width: int
    height: int


class Formulas:
    """The formulas of one page; `defs` must stand on the page too."""

    def __init__(self) -> None:
        self._glyphs: dict[str, tuple[str, str]] = {}
        self._outlines: dict[str, Drawing] = {}

    @property
    def defs(self) -> str:
        """The outlines of all glyphs that were used so far, in an SVG that shows nothing."""
        paths = "".join(f'<path id="{name}" d="{path}"/>' for name, path in self._glyphs.values())
        return f'<svg class="defs" aria-hidden="true"><defs>{paths}</defs></svg>'

    def svg(self, latex: str, spoken: str) -> str:
        """A formula on the baseline of the text; `spoken` says it in plain text.

        Raises ValueError for LaTeX that mathtext cannot set.
        """
        body, left, top, width, height = self.outline(latex)
        style = f"width:{width / 100:g}em;vertical-align:{-(top + height) / 100:g}em"
        return (
            f'<svg class="formula" role="img" aria-label="{escape(spoken)}" style="{style}" '
            f'viewBox="{left} {top} {width} {height}">{body}</svg>'
        )

    def placed(self, latex: str, x: float, y: float, size: float, anchor: str = "middle") -> str:
        """A formula inside a drawing: `size` units an em, its start, middle or end at x."""
        outline = self.outline(latex)
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        begin = x - (outline.left + share * outline.width) * size / 100
        return (
            f'<g class="formula" transform="translate({begin:.1f} {y:.1f}) scale({size / 100:g})">'
            f"{outline.body}</g>"
        )

    def outline(self, latex: str) -> Drawing:
        """A formula's outline, made of references to glyphs."""
        if latex not in self._outlines:
            self._outlines[latex] = self._set(latex)
        return self._outlines[latex]

    def _set(self, latex: str) -> Drawing:
        import matplotlib
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import text_to_path

        with matplotlib.rc_context({"mathtext.fontset": "cm"}):
            info, outlines, rectangles = text_to_path.get_glyphs_mathtext(
                FontProperties(), f"${_displayed(latex)}$"
            )
        parts, boxes = [], []
        for glyph, x, y, scale in info:
            vertices, codes = outlines[glyph]
            if len(vertices):
                parts.append(self._use(glyph, vertices, codes, (x, y, scale)))
                boxes.append(np.asarray(vertices) * scale + [x, y])
        for corners, _ in rectangles:
            # The fifth only closes the path.
            vertices = np.asarray(corners[:4])
            (x, y), (right, top) = np.min(vertices, axis=0), np.max(vertices, axis=0)
            parts.append(f'<rect x="{x:.1f}" y="{-top:.1f}" width="{right - x:.1f}" '
                         f'height="{top - y:.1f}"/>')  # fmt: skip
            boxes.append(np.asarray(vertices))
        low, high = np.min(np.vstack(boxes), axis=0), np.max(np.vstack(boxes), axis=0)
        left, above = int(low[0]) - 3, int(-high[1]) - 4
        return Drawing(
            "".join(parts), left, above, int(high[0]) + 3 - left, int(-low[1]) + 5 - above
        )

    def _use(self, glyph: Any, vertices: Any, codes: Any, at: tuple[float, float, float]) -> str:
        """A reference to a glyph; outlines are upside down in SVG."""
        if glyph not in self._glyphs:
            self._glyphs[glyph] = (f"g{len(self._glyphs)}", _path(vertices, codes))
        x, y, scale = at
        name = self._glyphs[glyph][0]
        if scale == 1:
            return f'<use href="#{name}" x="{x:.0f}" y="{-y:.0f}"/>'
        return f'<use href="#{name}" transform="translate({x:.0f} {-y:.0f}) scale({scale:g})"/>'


def _displayed(latex: str) -> str:
    """In display style: fractions of full size, and no sum or fraction touches another."""
    return latex.replace(r"\frac", r"\,\dfrac").replace(r"\sum", r"\,\sum")


def _path(vertices: Any, codes: Any) -> str:
    from matplotlib.path import Path

    parts = []
    for points, code in Path(vertices, codes).iter_segments(simplify=False):
        numbers = [] if code == 79 else [round(float(p)) for p in points]
        numbers[1::2] = [-y for y in numbers[1::2]]
        parts.append(LETTERS[int(code)] + " ".join(map(str, numbers)))
    return "".join(parts)
