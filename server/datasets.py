"""Numerai's data files: downloaded once, resumed where broken off, checked, kept in the cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from server.errors import NumeraiFailure, NumeraiUnreachable
from server.numerai.client import Numerai
from server.numerai.types import DataVersion
from server.runners.types import Progress, silent

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
ATTEMPTS = 3
TOLD_PARTS = 10
NOT_MODIFIED, PARTIAL_CONTENT = 304, 206
PARQUET_MAGIC = b"PAR1"


class _Stored(BaseModel):
    """Beside a file: what the storage said of it."""

    etag: str
    size: int


@dataclass(frozen=True)
class LiveFiles:
    """The live rows of a data version and the benchmark models' predictions on them."""

    dataset: Path
    benchmarks: Path


@dataclass(frozen=True)
class DataColumns:
    """The columns of a data version; None where they can't be known."""

    features: frozenset[str] | None
    benchmarks: frozenset[str] | None


async def live_files(cache_dir: Path, numerai: Numerai, version: DataVersion, progress: Progress = silent) -> LiveFiles:
    """The current round's live data of a data version.

    Raises:
        NumeraiFailure: Numerai has no such files, or they could not be had whole.
    """
    dataset = await fetch(cache_dir, numerai, _file_of(version, "live.parquet"), _is_parquet, progress)
    benchmarks = await fetch(
        cache_dir, numerai, _file_of(version, "live_benchmark_models.parquet"), _is_parquet, progress
    )
    return LiveFiles(dataset, benchmarks)


async def known_columns(cache_dir: Path, numerai: Numerai, version: DataVersion) -> DataColumns:
    """The columns of a data version, as far as its files can be had."""
    return DataColumns(await _features(cache_dir, numerai, version), await _benchmarks(cache_dir, numerai, version))


async def _features(cache_dir: Path, numerai: Numerai, version: DataVersion) -> frozenset[str] | None:
    try:
        path = await fetch(cache_dir, numerai, _file_of(version, "features.json"), _is_json)
    except NumeraiFailure:
        return None
    sets: dict[str, list[str]] = json.loads(path.read_text()).get("feature_sets", {})
    return frozenset(name for names in sets.values() for name in names) or None


async def _benchmarks(cache_dir: Path, numerai: Numerai, version: DataVersion) -> frozenset[str] | None:
    import pyarrow.parquet

    try:
        path = await fetch(cache_dir, numerai, _file_of(version, "live_benchmark_models.parquet"), _is_parquet)
    except NumeraiFailure:
        return None
    return frozenset(pyarrow.parquet.read_schema(path).names) - {"id", "era"}


async def fetch(
    cache_dir: Path, numerai: Numerai, filename: str, whole: Callable[[Path], bool], progress: Progress = silent
) -> Path:
    """The file in the cache, downloaded where the storage has another one by now.

    Raises:
        NumeraiFailure: refused, unreachable, or what came is not the file.
    """
    path = cache_dir / "datasets" / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        # A presigned URL is a secret and short-lived: asked for anew each time, told to nobody.
        url = await numerai.dataset_url(filename)
        try:
            await _download(url, path, filename, progress)
        except httpx.HTTPError as error:
            if attempt == ATTEMPTS:
                raise NumeraiUnreachable(
                    f"The data file {filename} could not be downloaded.",
                    evidence=f"{type(error).__name__} in attempt {attempt} of {ATTEMPTS}",
                    next_step="Call again: it goes on where it broke off. Or give dataset a parquet file.",
                ) from None
            continue
        if whole(path):
            return path
        _forget(path)
    raise NumeraiUnreachable(
        f"What came as {filename} is damaged.", next_step="Call again later, or give dataset a parquet file."
    )


async def _download(url: str, path: Path, filename: str, progress: Progress) -> None:
    part, stored, begun = path.with_suffix(".part"), _read_stored(path), _read_stored(path.with_suffix(".part"))
    headers: dict[str, str] = {}
    if stored is not None and path.is_file() and path.stat().st_size == stored.size:
        headers["If-None-Match"] = stored.etag
    elif begun is not None and part.is_file():
        headers |= {"Range": f"bytes={part.stat().st_size}-", "If-Range": begun.etag}
    async with httpx.AsyncClient(timeout=TIMEOUT) as client, client.stream("GET", url, headers=headers) as response:
        if response.status_code == NOT_MODIFIED:
            return
        response.raise_for_status()
        resumed = response.status_code == PARTIAL_CONTENT
        done = part.stat().st_size if resumed else 0
        size = done + int(response.headers.get("content-length", -1))
        stored = _Stored(etag=response.headers.get("etag", ""), size=size)
        _stored_path(part).write_text(stored.model_dump_json())
        told = 0
        with part.open("ab" if resumed else "wb") as file:
            async for chunk in response.aiter_raw():
                file.write(chunk)
                done += len(chunk)
                if done - told > size / TOLD_PARTS:
                    told = done
                    await progress(f"downloading {filename}: {done / 1e6:.1f} of {size / 1e6:.1f} MB")
    if done != size:
        raise httpx.RemoteProtocolError("the answer broke off")
    part.replace(path)
    _stored_path(part).replace(_stored_path(path))


def _file_of(version: DataVersion, name: str) -> str:
    number = (version.version or version.name or "").removeprefix("v")
    return f"v{number}/{name}"


def _stored_path(path: Path) -> Path:
    return path.with_name(path.name + ".stored.json")


def _read_stored(path: Path) -> _Stored | None:
    try:
        return _Stored.model_validate_json(_stored_path(path).read_bytes())
    except (OSError, ValidationError):
        return None


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
    _stored_path(path).unlink(missing_ok=True)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(-4, 2)
        return head == PARQUET_MAGIC == file.read(4)


def _is_json(path: Path) -> bool:
    try:
        value: Any = json.loads(path.read_text())
    except ValueError:
        return False
    return isinstance(value, dict)
