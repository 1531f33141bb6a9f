"""The environment a run was made in: versions, processor, BLAS and threads."""

import platform
import sys
from importlib import metadata
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
)
"""Environment variables that change how engines compute."""


def describe() -> dict[str, Any]:
    """Versions (None for what is not installed), processor, SIMD, each BLAS, flags."""
    import os

    from threadpoolctl import threadpool_info

    libraries = [
        {key: pool.get(key) for key in ("internal_api", "version", "architecture", "num_threads")}
        for pool in threadpool_info()
    ]
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "cpu": _processor(),
        "simd": _simd(),
        "blas": libraries,
        "flags": {name: os.environ[name] for name in FLAGS if name in os.environ},
    }


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
