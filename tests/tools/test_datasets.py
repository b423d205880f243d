"""Data files come whole, once, and from where they broke off."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from server.datasets import known_columns, live_files
from server.errors import NumeraiFailure, NumeraiRefused, NumeraiUnreachable
from server.numerai.types import DataVersion

LIVE = (Path(__file__).parents[1] / "data" / "live.parquet").read_bytes()
BENCHMARKS = (Path(__file__).parents[2] / "server/demo/data/live_benchmark_models.parquet").read_bytes()
VERSION = DataVersion(id="1", name="v5.2", version="5.2")


@dataclass
class Storage:
    """A storage with ETag and Range as S3 has them; `break_after` cuts answers short once each."""

    files: dict[str, bytes]
    url: str = ""
    break_after: list[int] = field(default_factory=list[int])
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])

    async def dataset_url(self, filename: str) -> str:
        if filename not in self.files:
            raise NumeraiRefused(f"Numerai has no dataset file {filename}.")
        return f"{self.url}{filename}?X-Amz-Signature=topsecret"


@pytest.fixture
def storage() -> Iterator[Storage]:
    held = Storage({"v5.2/live.parquet": LIVE, "v5.2/live_benchmark_models.parquet": BENCHMARKS})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = held.files[self.path.partition("?")[0].lstrip("/")]
            etag = f'"{hashlib.md5(body).hexdigest()}"'
            held.requests.append((self.path, dict(self.headers)))
            if self.headers.get("If-None-Match") == etag:
                self.send_response(304)
                self.end_headers()
                return
            start = 0
            if self.headers.get("Range") and self.headers.get("If-Range") == etag:
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("ETag", etag)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = held.break_after.pop(0) if held.break_after else len(body)
            self.wfile.write(body[start:end])
            self.close_connection = end < len(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield held
    server.shutdown()
    server.server_close()


async def files_of(storage: Storage, cache: Path) -> tuple[bytes, bytes]:
    files = await live_files(cache, storage, VERSION)  # type: ignore[arg-type]
    return files.dataset.read_bytes(), files.benchmarks.read_bytes()


async def test_a_file_is_downloaded_once_while_it_is_the_same(storage: Storage, tmp_path: Path) -> None:
    assert await files_of(storage, tmp_path) == (LIVE, BENCHMARKS)
    assert await files_of(storage, tmp_path) == (LIVE, BENCHMARKS)
    assert [bool(headers.get("If-None-Match")) for _, headers in storage.requests] == [False, False, True, True]


async def test_the_next_rounds_file_takes_its_place(storage: Storage, tmp_path: Path) -> None:
    await files_of(storage, tmp_path)
    storage.files["v5.2/live.parquet"] = BENCHMARKS
    assert (await files_of(storage, tmp_path))[0] == BENCHMARKS


async def test_a_broken_download_goes_on_where_it_stopped(storage: Storage, tmp_path: Path) -> None:
    storage.break_after = [1000, 3000]
    assert await files_of(storage, tmp_path) == (LIVE, BENCHMARKS)
    ranges = [headers.get("Range") for _, headers in storage.requests]
    assert ranges[:3] == [None, "bytes=1000-", "bytes=3000-"]


async def test_a_part_of_another_file_is_not_continued(storage: Storage, tmp_path: Path) -> None:
    storage.break_after = [1000, 1000, 1000]
    with pytest.raises(NumeraiUnreachable):
        await files_of(storage, tmp_path)
    storage.files["v5.2/live.parquet"] = BENCHMARKS
    assert (await files_of(storage, tmp_path))[0] == BENCHMARKS


async def test_what_is_no_parquet_file_is_refused_and_not_kept(storage: Storage, tmp_path: Path) -> None:
    storage.files["v5.2/live.parquet"] = b"<html>try again later</html>" * 100
    with pytest.raises(NumeraiUnreachable, match="damaged"):
        await files_of(storage, tmp_path)
    storage.files["v5.2/live.parquet"] = LIVE
    assert (await files_of(storage, tmp_path))[0] == LIVE


async def test_no_failure_shows_the_signed_address(storage: Storage, tmp_path: Path) -> None:
    storage.url = "http://127.0.0.1:9/"
    with pytest.raises(NumeraiFailure) as failure:
        await files_of(storage, tmp_path)
    assert "topsecret" not in str(failure.value) and "127.0.0.1" not in str(failure.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"topsecret" in path.read_bytes()]


async def test_the_columns_are_known_as_far_as_the_files_can_be_had(storage: Storage, tmp_path: Path) -> None:
    columns = await known_columns(tmp_path, storage, VERSION)  # type: ignore[arg-type]
    assert columns.features is None
    assert columns.benchmarks and "v52_lgbm_ender20" in columns.benchmarks and "era" not in columns.benchmarks
    sets = {"feature_sets": {"small": ["feature_a"], "all": ["feature_a", "feature_b"]}}
    storage.files["v5.2/features.json"] = json.dumps(sets).encode()
    columns = await known_columns(tmp_path, storage, VERSION)  # type: ignore[arg-type]
    assert columns.features == {"feature_a", "feature_b"}
