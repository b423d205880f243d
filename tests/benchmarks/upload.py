"""The PUT of a large file to loopback: ours beside `curl -T` and numerapi, each in a process of its own.

    python tests/benchmarks/upload.py [--megabytes 1024] [--rounds 3]

Prints seconds and the memory that each takes beyond what it holds before the transfer, and ours as a share of curl's
throughput. The receiver reads and drops; the rounds alternate between the three, and the best of each counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


def receive(listener: socket.socket) -> None:
    """Take PUTs, drop their bytes, say 200."""
    buffer = bytearray(1 << 20)
    while True:
        connection, _ = listener.accept()
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            head, _, body = head.partition(b"\r\n\r\n")
            headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            if b"expect" in headers:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            left = int(headers[b"content-length"]) - len(body)
            while left:
                left -= connection.recv_into(buffer, min(left, len(buffer)))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def peak() -> int:
    """Of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ours(url: str, file: Path) -> None:
    from pydantic import SecretStr

    from server.numerai.put import look_at, put_file
    from server.runners.types import silent

    async def run() -> None:
        known = await look_at(file)
        report(lambda: put_file(SecretStr(url), known, silent, seconds=60))

    def report(put: object) -> None:
        pending.append(put)

    pending: list[object] = []
    asyncio.run(run())
    measured(lambda: asyncio.run(pending[0]()))  # type: ignore[operator]


def numerapi(url: str, file: Path) -> None:
    import logging

    from numerapi import NumerAPI

    logging.disable()
    api = NumerAPI("public", "secret")
    answers = {"computePickleUploadAuth": {"filename": "x.pkl", "url": url}, "createComputePickleUpload": {"id": "x"}}
    api.raw_query = lambda *_, **__: {"data": answers}  # type: ignore[method-assign]
    measured(lambda: api.model_upload(str(file), model_id="x"))


def measured(transfer: object) -> None:
    before, started = peak(), time.perf_counter()
    transfer()  # type: ignore[operator]
    print(time.perf_counter() - started, peak() - before)


def contender(name: str, url: str, file: Path) -> tuple[float, float | None]:
    """Seconds and extra bytes of one transfer."""
    if name == "curl":
        started = time.perf_counter()
        subprocess.run(["curl", "-sf", "-T", file, url], check=True, env=environment())
        return time.perf_counter() - started, None
    command = [sys.executable, __file__, "--child", name, url, str(file)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout
    seconds, extra = output.split()
    return float(seconds), float(extra)


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, url, file = options.child
        {"ours": ours, "numerapi": numerapi}[name](url, Path(file))
        return
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=receive, args=(listener,), daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/model.pkl"
    names = [name for name in ("curl", "ours", "numerapi") if name != "curl" or shutil.which("curl")]
    best: dict[str, tuple[float, float | None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pkl"
        block = os.urandom(1 << 20)
        with file.open("wb") as out:
            for _ in range(options.megabytes):
                out.write(block)
        for _ in range(options.rounds):
            for name in names:
                found = contender(name, url, file)
                best[name] = min(best.get(name, found), found)
    for name, (seconds, extra) in best.items():
        memory = "" if extra is None else f", {extra / 2**20:7.1f} MiB extra"
        print(f"{name:9} {seconds:6.2f} s, {options.megabytes / seconds:7.0f} MiB/s{memory}")
    if "curl" in best:
        print(f"ours/curl throughput: {best['curl'][0] / best['ours'][0]:.2f} (aim: 0.9 or more)")


if __name__ == "__main__":
    main()
