"""A bundle as a pickle of `predict`, written by the Python that will read it."""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle_core.atomic import write_atomically
from bundle_core.bundle import Bundle
from bundle_core.describe import describe
from bundle_core.distributions import installed
from bundle_core.errors import PackRefused
from bundle_core.fingerprint import read
from bundle_core.plan import make_plan
from bundle_core.reports import Description, PackReport
from bundle_core.runtime_by_value import runtime_namespace

PROTOCOL = 4
"""Numpy 1.26 reads numpy 2's arrays at protocol 4, not at 5."""


def pack(bundle: Bundle, output: Path) -> PackReport:
    """Write the pickle. Equal bundles give equal bytes in the same Python with the same packages.

    Raises PackRefused where the output cannot be written.
    """
    return store(pickled(runtime_namespace("predict")["build"](make_plan(bundle))), output, describe(bundle))


def pickled(predict: Callable[..., Any], watch: Callable[[object], None] | None = None) -> bytes:
    """A function by value, as bytes; `watch` sees every object that goes into it. Raises PackRefused."""
    from cloudpickle import CloudPickler

    class Watched(CloudPickler):
        def reducer_override(self, obj: Any) -> Any:
            if watch is not None:
                watch(obj)
            return super().reducer_override(obj)

    buffer = io.BytesIO()
    try:
        Watched(buffer, protocol=PROTOCOL).dump(predict)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
        raise PackRefused(
            "The function holds something that cannot be pickled.",
            evidence=f"{type(error).__name__}: {error}",
            next_step="Keep arrays, lists and dicts in what predict uses, not open files, locks or sessions.",
        ) from None
    return buffer.getvalue()


def store(content: bytes, output: Path, description: Description | None) -> PackReport:
    """Write the pickle and say what the file is. Raises PackRefused where the output cannot be written."""
    write_atomically(output, content)
    return PackReport(
        pickle_path=str(output),
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        protocol=PROTOCOL,
        versions=installed(["numpy", "pandas", "scipy", "cloudpickle"]),
        imports=sorted({item.package for item in read(output).imports}),
        description=description,
    )
