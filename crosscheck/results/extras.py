"""Libraries that not everybody needs: the extra that installs each, and a sentence without it."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

EXTRAS: Mapping[str, str] = MappingProxyType(
    {
        "torch": "torch",
        "jax": "jax",
        "jaxlib": "jax",
        "distributed": "dask",
        "dask": "dask",
        "hypothesis": "shrink",
        "matplotlib": "report",
    }
)
"""Which of our extras installs a top-level module."""


class Missing(ValueError):
    """A library is not installed; the message says what needs it and how to install it."""


def sentence(what: str, library: str) -> str:
    """What is missing for `what`, and how to mend it; the library is one of EXTRAS."""
    return (
        f"{what} needs {library}, which is not installed: "
        f"pip install 'gradcrosscheck[{EXTRAS[library]}]'"
    )


def require(what: str, library: str) -> None:
    """Import the library, as what is done next will.

    Raises Missing where it is not installed.
    """
    try:
        import_module(library)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != library:
            raise
        raise Missing(sentence(what, library)) from None
