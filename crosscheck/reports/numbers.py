"""Numbers as tables show them: three digits, and no number where there is none."""

import math


def short(value: object) -> str:
    """A float with two or three digits, "–" for NaN, everything else as it is."""
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "–"
    if math.isinf(value) or value == 0:
        return f"{value:g}"
    if 1e-2 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: int) -> str:
    """10 with its exponent above the line."""
    return "10" + str(exponent).translate(SUPERSCRIPTS)


def pretty(value: object) -> str:
    """As `short`, for a page: 1.7 × 10⁷, and ∞."""
    if not isinstance(value, float):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = short(value).replace("-", "−", 1) if value < 0 else short(value)
    mantissa, e, exponent = text.partition("e")
    if e:
        return f"{mantissa}\N{NARROW NO-BREAK SPACE}×\N{NARROW NO-BREAK SPACE}" + power_of_ten(
            int(exponent)
        )
    return text
