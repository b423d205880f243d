"""The PUT of a file to a presigned address: streamed from disk, of known length, without a Content-Type."""

from __future__ import annotations

import hashlib
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import anyio
import httpx
from pydantic import SecretStr

from server.errors import InputError, NumeraiRefused
from server.numerai.pace import PassingFault
from server.runners.types import Progress

CHUNK_BYTES = 4 << 20
ROW_BYTES = 4096
LARGEST_BYTES = 5 * 1024**3
"""S3's limit for one PUT."""
TOLD_PARTS = 10
STORAGE_ERROR = re.compile(r"<Code>(?P<code>[^<]*)</Code>\s*<Message>(?P<message>[^<]*)</Message>")


@dataclass(frozen=True)
class LocalFile:
    """A file as it was when it was looked at."""

    path: Path
    size: int
    sha256: str
    checksum: int
    """As `summed_up` makes it, and again on the way: it costs next to nothing there, and shows that a file changed."""


async def look_at(path: Path, expected_sha256: str | None = None) -> LocalFile:
    """Size and checksum of the file.

    Raises:
        InputError: it cannot be read, is empty or too large, or is not the file that was inspected.
    """
    try:
        size, digest, checksum = await anyio.to_thread.run_sync(_measure, path)
    except OSError as error:
        raise InputError(f"{path} cannot be read.", evidence=error.strerror or "", next_step="Check path.") from None
    if not 0 < size <= LARGEST_BYTES:
        raise InputError(
            f"{path} has {size:,} bytes; an upload has 1 to {LARGEST_BYTES:,}.", next_step="Build the pickle again."
        )
    if expected_sha256 and digest != expected_sha256:
        raise changed(path)
    return LocalFile(path, size, digest, checksum)


async def put_file(url: SecretStr, file: LocalFile, progress: Progress, *, seconds: float) -> None:
    """PUT the file. `seconds` limits each wait for the network, not the whole.

    Raises:
        InputError: the file changed meanwhile; storage keeps nothing then.
        NumeraiRefused: storage refused it.
        PassingFault: worth another try, with a new address.
    """
    ended = threading.Event()

    async def pass_on(line: str) -> None:
        await progress(line)

    def tell(line: str) -> None:
        anyio.from_thread.run(pass_on, line)

    try:
        # A thread with blocking sockets moves several times more bytes a second than an event loop.
        response = await anyio.to_thread.run_sync(lambda: _put(url, file, tell, ended, seconds), abandon_on_cancel=True)
    finally:
        ended.set()
    if not response.is_success:
        raise _refusal(response)


def _put(
    url: SecretStr, file: LocalFile, tell: Callable[[str], None], ended: threading.Event, seconds: float
) -> httpx.Response:
    # No Content-Type: the signature holds an empty one. A length, because S3 takes no chunked transfer.
    headers = {"Content-Length": str(file.size)}
    timeout = httpx.Timeout(seconds, connect=min(15.0, seconds))
    try:
        with httpx.Client(timeout=timeout, follow_redirects=False) as client:
            return client.put(url.get_secret_value(), content=_body(file, tell, ended), headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PassingFault(f"the transfer broke off ({type(error).__name__})", maybe_done=False) from None


def _body(file: LocalFile, tell: Callable[[str], None], ended: threading.Event) -> Iterator[bytes]:
    """The file's bytes; ends early, and so breaks the transfer off, when nobody waits for it any more."""
    sent, told = 0, 0
    with file.path.open("rb") as source, ThreadPoolExecutor(1) as reader:
        # The next piece is read and summed up while this one is on its way.
        upcoming = reader.submit(_read, source, file, 0, 0)
        while sent < file.size and not ended.is_set():
            chunk, checksum = upcoming.result()
            sent += len(chunk)
            # Checked before the last byte goes out: storage keeps nothing of an unfinished PUT.
            if not chunk or (sent == file.size and checksum != file.checksum):
                raise changed(file.path)
            upcoming = reader.submit(_read, source, file, sent, checksum)
            yield chunk
            if sent * TOLD_PARTS // file.size > told:
                told = sent * TOLD_PARTS // file.size
                tell(f"sent {sent / 1e6:,.1f} of {file.size / 1e6:,.1f} MB")


def _read(source: IO[bytes], file: LocalFile, position: int, checksum: int) -> tuple[bytes, int]:
    chunk = source.read(min(CHUNK_BYTES, file.size - position))
    return chunk, summed_up(chunk, checksum)


def summed_up(chunk: bytes, checksum: int = 0) -> int:
    """The crc32 of the chunk's rows added up, and of what is no whole row, going on from `checksum`.

    A crc32 of every byte would take as long as the transfer.
    """
    import numpy as np

    whole = len(chunk) // ROW_BYTES * ROW_BYTES
    rows = np.frombuffer(chunk, np.uint64, whole // 8).reshape(-1, ROW_BYTES // 8)
    return zlib.crc32(chunk[whole:], zlib.crc32(np.add.reduce(rows, axis=0), checksum))


def _measure(path: Path) -> tuple[int, str, int]:
    size, digest, checksum = 0, hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            size += len(chunk)
            digest.update(chunk)
            checksum = summed_up(chunk, checksum)
    return size, digest.hexdigest(), checksum


def changed(path: Path) -> InputError:
    """The file is not the one that was looked at."""
    return InputError(
        f"{path} changed since it was looked at, so it was not uploaded.",
        next_step="Wait until nothing writes to it, inspect it again, then upload.",
    )


def _refusal(response: httpx.Response) -> PassingFault | NumeraiRefused:
    found = STORAGE_ERROR.search(response.text[:4096])
    told = f"HTTP {response.status_code}" + (f" {found['code']}: {found['message']}" if found else "")
    expired = response.status_code == 403 and "expired" in told
    if expired or response.status_code in (408, 429) or response.status_code >= 500 or "RequestTimeout" in told:
        return PassingFault(f"storage answered {told}", maybe_done=False)
    return NumeraiRefused(
        "Numerai's storage refused the file; nothing was registered.",
        evidence=told,
        next_step="Call again; if it stays, a proxy between here and the storage may change the request's headers.",
    )
