"""What rows of the table are tried on that need more than any vector of numbers."""

from collections.abc import Mapping

import numpy as np

from crosscheck.arithmetic.primitives.row import Sample

SAMPLES: Mapping[str, Sample] = {
    "pow": Sample(domains=((0.0, 16.0), (-8.0, 8.0))),
    "integer_pow": Sample({"exponent": 3}),
    "polygamma": Sample({"order": 1}, domains=((-16.0, 64.0),)),
    "and": Sample(booleans=(0, 1)),
    "or": Sample(booleans=(0, 1)),
    "xor": Sample(booleans=(0, 1)),
    "not": Sample(booleans=(0,)),
    "select": Sample(booleans=(0,)),
    "cast": Sample({"narrows": True}),
    "reshape": Sample({"shape": (3, 4)}, ((2, 6),)),
    "transpose": Sample({"axes": (2, 0, 1)}, ((2, 3, 4),)),
    "broadcast": Sample({"shape": (4, 3, 2)}, ((3, 1),)),
    "take": Sample({"index": np.array([[0, 5, 5], [-1, 2, 1]])}, ((2, 3),)),
    "put": Sample({"index": np.array([0, 2, 2, -1, 2, 1]), "shape": (4,)}, ((6,),)),
    "concatenate": Sample({"axis": 1}, ((2, 3), (2, 2))),
    "sum": Sample({"axes": (0, 2)}, ((3, 4, 5),)),
    "prod": Sample({"axes": (1,)}, ((3, 5),), ((-4.0, 4.0),)),
    "cumsum": Sample({"axis": 0, "reverse": True}, ((6, 2),)),
    "cumprod": Sample({"axis": 1, "reverse": False}, ((2, 5),), ((-4.0, 4.0),)),
    "reduce_max": Sample({"axes": (1,)}, ((3, 5),)),
    "reduce_min": Sample({"axes": (0,)}, ((3, 5),)),
    "largest": Sample({"axes": (1,)}, ((3, 5),)),
    "attains": Sample({"axes": (1,)}, ((3, 5),)),
    "dot": Sample({}, ((2, 3, 6), (2, 6, 4))),
}
"""By the row's name; a row may as well bring its own."""
