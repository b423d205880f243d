"""A pickle's fingerprint, read in a child, judged against an image and a data version."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from bundle_core.fingerprint import Fingerprint
from bundle_core.reports import FingerprintRequest
from server.datasets import known_columns
from server.diagnosis import Finding, judge
from server.numerai.account import choose_data_version
from server.numerai.client import Numerai, open_numerai
from server.numerai.types import DataVersion
from server.runners.interpreter import call
from server.runners.pins import pins_for
from server.runners.types import DockerImage
from server.settings import Settings

FINGERPRINT_SECONDS = 60.0
SHOWN = 12


def fingerprint_fields(fingerprint: Fingerprint) -> dict[str, Any]:
    """The fingerprint as a result's field: long lists cut to their first entries, with their lengths beside them."""
    fields = dataclasses.asdict(fingerprint)
    for name in ("features", "benchmark_columns", "columns", "imports", "embedded"):
        fields[f"{name}_count"] = len(fields[name])
        fields[name] = fields[name][:SHOWN]
    return fields


async def read_fingerprint(path: Path) -> Fingerprint:
    """The fingerprint, by opcodes in a child: no bytes of the file are ever executed.

    Raises:
        ChildFailure: reading took too long or too much memory.
    """
    request = FingerprintRequest(str(path))
    return await call(
        Path(sys.executable), "fingerprint", request, report_type=Fingerprint, timeout_seconds=FINGERPRINT_SECONDS
    )


async def inspect_file(
    settings: Settings, path: Path, image: DockerImage, data_version: str | None
) -> tuple[Fingerprint, list[Finding]]:
    """The fingerprint of a file and what it means for the image, and for a data version where one is asked for.

    Raises:
        InputError: there is no such data version.
        NumeraiFailure: a data version is asked for and Numerai can't be.
    """
    fingerprint = await read_fingerprint(path)
    if data_version is None:
        return fingerprint, judge(fingerprint, image, await pins_for(image, settings.cache_dir))
    async with open_numerai(settings) as numerai:
        version = choose_data_version(await numerai.data_versions(deprecated=True), data_version)
        return fingerprint, await inspect(settings, fingerprint, image, version, numerai)


async def inspect(
    settings: Settings, fingerprint: Fingerprint, image: DockerImage, version: DataVersion, numerai: Numerai
) -> list[Finding]:
    """What will or may go wrong with the pickle in that image, on that data version."""
    pins = await pins_for(image, settings.cache_dir)
    return judge(fingerprint, image, pins, await known_columns(settings.cache_dir, numerai, version))
