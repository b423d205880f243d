"""A pickle's fingerprint, read in a child, judged against an image and a data version."""

from __future__ import annotations

import sys
from pathlib import Path

from bundle_core.fingerprint import Fingerprint
from bundle_core.reports import FingerprintRequest
from server.datasets import known_columns
from server.diagnosis import Finding, judge
from server.numerai.client import Numerai
from server.numerai.types import DataVersion
from server.runners.interpreter import call
from server.runners.pins import pins_for
from server.runners.types import DockerImage
from server.settings import Settings

FINGERPRINT_SECONDS = 60.0


async def read_fingerprint(path: Path) -> Fingerprint:
    """The fingerprint, by opcodes in a child: no bytes of the file are ever executed.

    Raises:
        ChildFailure: reading took too long or too much memory.
    """
    request = FingerprintRequest(str(path))
    return await call(
        Path(sys.executable), "fingerprint", request, report_type=Fingerprint, timeout_seconds=FINGERPRINT_SECONDS
    )


async def inspect(
    settings: Settings, fingerprint: Fingerprint, image: DockerImage, version: DataVersion | None, numerai: Numerai
) -> list[Finding]:
    """What will or may go wrong with the pickle in that image, on that data version."""
    pins = await pins_for(image, settings.cache_dir)
    columns = await known_columns(settings, numerai, version) if version is not None else None
    return judge(fingerprint, image, pins, columns)
