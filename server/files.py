"""Facts about files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anyio.to_thread


async def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits."""

    def digest() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return await anyio.to_thread.run_sync(digest)
