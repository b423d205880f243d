"""Run a child process that cannot outlive its owner, its time limit, or the server."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process

from server.runners.owner import private_folder

LAUNCHER = Path(__file__).parent / "harness" / "launch.py"
OUTPUT_LIMIT = 8 * 1024 * 1024
GRACE_SECONDS = 5.0
"""The launcher ends the command in time; where it does not, the server kills the group this much later."""

ALLOWED = frozenset(
    "PATH HOME TMPDIR TMP TEMP TZ LANG LC_ALL LC_CTYPE SSL_CERT_FILE SSL_CERT_DIR".split()  # noqa: SIM905
) | {"SYSTEMROOT", "USERPROFILE", "APPDATA", "LOCALAPPDATA"}  # what processes on Windows do not start without
ALLOWED_FOR_INSTALLS = ("UV_", "PIP_", "XDG_")

OnOutput = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True)
class ChildResult:
    """How a child ended. `stdout` and `stderr` are the last 8 MiB of each."""

    exit_code: int | None
    """128 plus the number for a signal; None when its time was up."""
    timed_out: bool
    stdout: bytes
    stderr: bytes
    seconds: float
    peak_memory_bytes: int | None
    """The largest resident set of one process under it, by the kernel; None where it was killed or on Windows."""


def child_environment(*, installs: bool = False, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The allow-listed part of the environment; proxies and the installers' own variables only for installs."""

    def allowed(name: str) -> bool:
        for_installs = name.startswith(ALLOWED_FOR_INSTALLS) or name.endswith("_PROXY")
        return name in ALLOWED or (installs and for_installs)

    return {name: value for name, value in environ.items() if allowed(name.upper())}


async def run_child(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    timeout_seconds: float,
    stdin: bytes = b"",
    memory_bytes: int | None = None,
    cpus: float | None = None,
    stderr_to_stdout: bool = False,
    on_output: OnOutput | None = None,
) -> ChildResult:
    """Run `command` in its own process group, which is gone when this returns, raises or is cancelled.

    `memory_bytes` limits the private memory of each process, `cpus` the CPUs that it may use (both on Linux).
    `on_output` receives stderr as it is written, or both streams with `stderr_to_stdout`.

    Raises:
        OSError: the command's folder does not exist.
    """
    started = time.monotonic()
    out, err = _Tail(), _Tail()
    with private_folder() as scratch:
        report = scratch / "report.json"
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), "--leash"]
        launcher += [f"--report={report}", f"--timeout={timeout_seconds}"]
        if memory_bytes:
            launcher.append(f"--memory={memory_bytes}")
        if cpus:
            launcher.append(f"--cpus={math.ceil(cpus)}")
        process = await anyio.open_process(
            [*launcher, "--", *(str(part) for part in command)],
            stderr=subprocess.STDOUT if stderr_to_stdout else subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        try:
            with anyio.move_on_after(timeout_seconds + GRACE_SECONDS):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(out.read, process.stdout, on_output if stderr_to_stdout else None)
                    tasks.start_soon(err.read, process.stderr, on_output)
                    await _give(process, b"%d\n%s" % (len(stdin), stdin))
                    await process.wait()
                    # Grandchildren would hold the pipes open.
                    _kill_group(process)
        finally:
            _kill_group(process)
            with anyio.CancelScope(shield=True):
                await process.aclose()
        facts = json.loads(report.read_bytes()) if report.exists() else {}
    timed_out = facts.get("timed_out", time.monotonic() - started >= timeout_seconds)
    return ChildResult(
        exit_code=None if timed_out else facts.get("exit_code", _code(process)),
        timed_out=timed_out,
        stdout=bytes(out.kept),
        stderr=bytes(err.kept),
        seconds=time.monotonic() - started,
        peak_memory_bytes=facts.get("peak_memory_bytes"),
    )


class _Tail:
    """The end of a stream, at most OUTPUT_LIMIT bytes of it."""

    def __init__(self) -> None:
        self.kept = bytearray()

    async def read(self, stream: ByteReceiveStream | None, on_output: OnOutput | None) -> None:
        if stream is None:
            return
        async for chunk in stream:
            self.kept += chunk
            del self.kept[:-OUTPUT_LIMIT]
            if on_output:
                await on_output(chunk)


async def _give(process: Process, data: bytes) -> None:
    if process.stdin is None:
        return
    # A launcher that is gone already says why in its exit code.
    with contextlib.suppress(anyio.BrokenResourceError):
        await process.stdin.send(data)


def _kill_group(process: Process) -> None:
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True)
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _code(process: Process) -> int | None:
    code = process.returncode
    return 128 - code if code is not None and code < 0 else code
