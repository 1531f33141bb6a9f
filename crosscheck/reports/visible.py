"""Text of others, such as an engine's message, as it may be shown: nothing in it acts."""

import re

ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters but tab and new line, what turns the direction of a line, half surrogates."""


def visible(text: str) -> str:
    """The text with an escape, such as \\x1b, in the place of each character that acts."""
    return ACTING.sub(_escape, text)


def _escape(mark: re.Match[str]) -> str:
    code = ord(mark[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
