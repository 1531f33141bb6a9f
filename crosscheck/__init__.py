"""crosscheck: hand-written gradients on trial, with verdicts that are proofs.

The public names are loaded when they are first used, so that importing the
package, or asking the command for its help, costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "check": "crosscheck.checking.check",
    "gradcheck": "crosscheck.checking.gradcheck",
    "tolerance": "crosscheck.checking.gradcheck",
    "Report": "crosscheck.checking.check",
    "Architecture": "crosscheck.networks.network",
    "Case": "crosscheck.networks.network",
    "Gradients": "crosscheck.networks.network",
    "Engine": "crosscheck.engines.interface",
}

__all__ = [
    "Architecture",
    "Case",
    "Engine",
    "Gradients",
    "Report",
    "__version__",
    "check",
    "gradcheck",
    "tolerance",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'crosscheck' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
