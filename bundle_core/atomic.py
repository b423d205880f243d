"""Files that are there completely or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bundle_core.errors import PackRefused


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and move it there; an old file stays until then. Raises PackRefused."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise PackRefused(
            f"{path} cannot be written.",
            evidence=error.strerror or str(error),
            next_step="Give an output path in an existing, writable folder with space left.",
        ) from None
