"""The environment a run was made in: versions, processor, BLAS and threads."""

import hashlib
import platform
import sys
from importlib import metadata, resources
from pathlib import Path
from typing import Any

PACKAGES = (
    "gradcrosscheck",
    "numpy",
    "scipy",
    "python-flint",
    "xprec",
    "ml_dtypes",
    "pandas",
    "pyarrow",
    "torch",
    "jax",
    "jaxlib",
)
"""Packages whose versions a run records: what computes, and what writes the rows."""

FLAGS = (
    "XLA_FLAGS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "JAX_ENABLE_X64",
    "MKL_NUM_THREADS",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES",
)
"""Environment variables that change how engines compute."""


SHOWING = (
    *("__init__", "__main__", "cli", "pytest_plugin", "checking", "reports", "results", "studies"),
    *("audit", "faults"),
    *("runs/command", "runs/explain", "runs/explaining", "runs/gating", "runs/progress"),
    *("runs/reproducing", "runs/output", "runs/spread/cluster", "runs/spread/merge"),
)
"""Our rooms and modules on which no gradient, error or verdict of a run depends.

Whatever is not named here counts as computing, wherever it lies: a module that is new, or moves
into a room, never leaves the gate unnoticed.
"""


def describe(threads: int | None = None) -> dict[str, Any]:
    """Versions (None for what is not installed), processor, SIMD, each BLAS, flags, our code.

    `threads` is what each BLAS was limited to where other processes than this one computed.
    """
    import os

    from threadpoolctl import threadpool_info

    libraries = [
        {key: pool.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}
        for pool in threadpool_info()
    ]
    if threads is not None:
        libraries = [library | {"num_threads": threads} for library in libraries]
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "packages": versions(),
        "cpu": _processor(),
        "simd": _simd(),
        "blas": sorted(libraries, key=str),
        "flags": {name: os.environ[name] for name in FLAGS if name in os.environ},
        "code": code(),
    }


def code(package: Path | None = None) -> str:
    """16 hexadecimal digits that stand for those of our files that compute.

    `package` is the folder of another copy of ours.
    """
    package = package or Path(str(resources.files("crosscheck")))
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package).with_suffix("")
        if not any(map(place.is_relative_to, SHOWING)):
            digest.update(place.as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str | None]:
    """The versions of the packages that a run depends on; None for what is not installed."""
    return {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _simd() -> list[str]:
    """The SIMD extensions that NumPy found on this processor."""
    import numpy as np

    found = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return [*found.get("baseline", []), *found.get("found", [])]
