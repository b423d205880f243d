"""A bundle as a pickle of `predict`, written by the Python that will read it."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle_core.amalgam import runtime_namespace
from bundle_core.atomic import write_atomically
from bundle_core.bundle import Bundle
from bundle_core.describe import describe
from bundle_core.distributions import installed
from bundle_core.errors import PackRefused
from bundle_core.fingerprint import read
from bundle_core.plan import make_plan
from bundle_core.reports import Description, PackReport

PROTOCOL = 4
"""Numpy 1.26 reads numpy 2's arrays at protocol 4, not at 5."""


def pack(bundle: Bundle, output: Path) -> PackReport:
    """Write the pickle. Equal bundles give equal bytes in the same Python with the same packages.

    Raises PackRefused where cloudpickle is missing or the output cannot be written.
    """
    predict = runtime_namespace()["build"](make_plan(bundle))
    return write_pickle(predict, output, describe(bundle))


def write_pickle(predict: Callable[..., Any], output: Path, description: Description | None) -> PackReport:
    """Pickle a function by value and say what the file is."""
    try:
        import cloudpickle
    except ImportError:
        raise PackRefused(
            f"{sys.executable} has no cloudpickle.",
            next_step="Pack with the venv that make_venv made for the image.",
        ) from None
    try:
        content: bytes = cloudpickle.dumps(predict, protocol=PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
        raise PackRefused(
            "The function holds something that cannot be pickled.",
            evidence=f"{type(error).__name__}: {error}",
            next_step="Keep arrays, lists and dicts in what predict uses, not open files, locks or sessions.",
        ) from None
    write_atomically(output, content)
    fingerprint = read(output)
    return PackReport(
        pickle_path=str(output),
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        protocol=PROTOCOL,
        versions=installed(["numpy", "pandas", "scipy", "cloudpickle"]),
        imports=sorted({item.package for item in fingerprint.imports}),
        description=description,
    )
