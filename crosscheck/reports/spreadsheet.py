"""Text in a CSV file that a spreadsheet shows as text: none of it is run as a formula."""

import re

import pandas as pd
import pyarrow as pa
from pyarrow import compute

FORMULA = r"^([=+\-@\t\r])"
"""How a cell begins that a spreadsheet computes (OWASP, CSV Injection)."""

NUMBERS = "_hex"
"""How the names of columns end that hold numbers, written as text: they stay as they are."""


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an apostrophe before each text that would be a formula."""
    texts = [name for name in frame if _holds_text(name, pd.api.types.is_string_dtype(frame[name]))]
    return frame.assign(
        **{str(name): frame[name].str.replace(FORMULA, r"'\1", regex=True) for name in texts}
    )


def table_as_text(table: pa.Table) -> pa.Table:
    """The same for a table of pyarrow."""
    for number, field in enumerate(table.schema):
        string = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        if _holds_text(field.name, string):
            shown = compute.replace_substring_regex(table[field.name], FORMULA, r"'\1")
            table = table.set_column(number, field, shown)
    return table


def cell(value: object) -> object:
    """The same for a single cell."""
    return re.sub(FORMULA, r"'\1", value) if isinstance(value, str) else value


def _holds_text(name: object, string: bool) -> bool:
    return string and not str(name).endswith(NUMBERS)
