"""One upload at a time for a slot, across processes. A lock ends with its holder, however that ends."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import anyio

from server.errors import NumeraiFailure
from server.numerai.journal import unwritable
from server.runners.types import Progress

LOOK_EVERY_SECONDS = 0.2


@asynccontextmanager
async def slot_lock(state_dir: Path, slot_id: str, *, seconds: float, progress: Progress) -> AsyncGenerator[None]:
    """Hold the slot's lock, waiting for it at most `seconds`.

    Raises:
        NumeraiFailure: another call kept it all the time.
        InputError: the state folder cannot be written.
    """
    path = state_dir / "locks" / f"{hashlib.sha256(slot_id.encode()).hexdigest()[:16]}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("a+b")
    except OSError as error:
        raise unwritable(state_dir, error) from None
    with opened as file:
        if not _take(file):
            await progress("waiting for another upload to the same slot")
            with anyio.move_on_after(seconds) as waiting:
                while not _take(file):  # noqa: ASYNC110 - a lock of another process gives no event
                    await anyio.sleep(LOOK_EVERY_SECONDS)
            if waiting.cancelled_caught:
                raise NumeraiFailure(
                    "Another upload to the same slot is still running.",
                    next_step="Wait for its job with get_job, or cancel it with cancel_job; then call again.",
                )
        yield


if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[bytes]) -> bool:
        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _take(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
