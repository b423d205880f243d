"""Seconds and peak memory of reading the fingerprint of a 1 GB pickle, for several shapes of content.

Run: python tests/benchmarks/inspect_pickle.py [GIGABYTES]. Each file is read in a fresh interpreter; the interpreter's
own start and memory are in the figures.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

CHILD = """
import dataclasses, json, resource, sys, time
from pathlib import Path
from bundle_core.fingerprint import read
begin = time.perf_counter()
found = read(Path(sys.argv[1]))
seconds = time.perf_counter() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": round(seconds, 2), "peak_mb": round(peak), "complete": found.complete}))
"""


def one_array(size: int) -> Iterator[bytes]:
    yield b"\x80\x05]\x94(\x8e" + struct.pack("<Q", size)
    yield from chunks(size)
    yield b"e."


def many_arrays(size: int) -> Iterator[bytes]:
    yield b"\x80\x05]\x94("
    for _ in range(size // 1_000_000):
        yield b"B" + struct.pack("<I", 1_000_000) + bytes(1_000_000)
    yield b"e."


def list_of_floats(size: int) -> Iterator[bytes]:
    batch = pickle.dumps([0.1] * 1000, 4)[13:-1]
    yield b"\x80\x04]\x94"
    for _ in range(size // len(batch)):
        yield batch
    yield b"."


def small_dicts(size: int) -> Iterator[bytes]:
    batch = b"(" + b"}\x94(K\x01K\x02\x8c\x01aG\0\0\0\0\0\0\0\0u" * 1000 + b"e"
    yield b"\x80\x04]\x94"
    for _ in range(size // len(batch)):
        yield batch
    yield b"."


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 10_000_000):
        yield bytes(10_000_000)
    yield bytes(size % 10_000_000)


def main() -> None:
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else 1) * 1e9)
    shapes: list[Callable[[int], Iterator[bytes]]] = [one_array, many_arrays, list_of_floats, small_dicts]
    for shape in shapes:
        with tempfile.NamedTemporaryFile(suffix=".pkl") as file:
            for chunk in shape(size):
                file.write(chunk)
            file.flush()
            environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
            command = [sys.executable, "-c", CHILD, file.name]
            ran = subprocess.run(command, capture_output=True, check=True, env=environment)
            print(shape.__name__, json.loads(ran.stdout))


if __name__ == "__main__":
    main()
