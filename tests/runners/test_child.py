"""Children get only what they are given and do not outlive anybody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.runners.child import OUTPUT_LIMIT, ChildResult, child_environment, run_child

LEAVES_A_GRANDCHILD = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
"""
WAITS_FOREVER = LEAVES_A_GRANDCHILD + "import time; time.sleep(600)"
SERVER = """
import sys
from pathlib import Path
import anyio
from server.runners.child import child_environment, run_child

async def tell(output):
    print(output.decode(), flush=True)

anyio.run(lambda: run_child(
    [sys.executable, "-c", sys.argv[1]], env=child_environment(), cwd=Path("/"), timeout_seconds=600,
    stderr_to_stdout=True, on_output=tell))
"""


async def run(code: str, *, timeout_seconds: float = 30, **more: Any) -> ChildResult:
    return await run_child(
        [sys.executable, "-c", code],
        env=child_environment(),
        cwd=Path("/"),
        timeout_seconds=timeout_seconds,
        **more,
    )


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def test_a_child_reads_what_it_is_given_and_then_the_end() -> None:
    result = await run("import sys; print(sys.stdin.read()[::-1]); print('aside', file=sys.stderr)", stdin=b"abc")
    assert (result.stdout, result.stderr, result.exit_code) == (b"cba\n", b"aside\n", 0)


async def test_a_child_tells_how_it_ended() -> None:
    assert (await run("import sys; sys.exit(7)")).exit_code == 7
    assert (await run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")).exit_code == 139


async def test_a_command_that_does_not_exist_is_named() -> None:
    result = await run_child(["/no/such/python"], env={}, cwd=Path("/"), timeout_seconds=10)
    assert result.exit_code == 127
    assert b"/no/such/python" in result.stderr


async def test_only_the_end_of_endless_output_is_kept() -> None:
    result = await run("import sys; sys.stdout.write('x' * 20_000_000); print('end')")
    assert len(result.stdout) == OUTPUT_LIMIT
    assert result.stdout.endswith(b"xend\n")


async def test_when_its_time_is_up_the_child_is_ended_with_its_children() -> None:
    result = await run(WAITS_FOREVER, timeout_seconds=0.5)
    assert result.timed_out
    assert result.exit_code is None
    wait_until_gone(int(result.stdout))


async def test_what_a_child_leaves_in_the_background_ends_with_it() -> None:
    result = await run(LEAVES_A_GRANDCHILD)
    assert result.exit_code == 0
    assert result.seconds < 20
    wait_until_gone(int(result.stdout))


async def test_a_cancelled_child_is_ended_with_its_children() -> None:
    pids: list[int] = []
    with anyio.CancelScope() as scope:

        async def cancel(output: bytes) -> None:
            pids.append(int(output))
            scope.cancel()

        await run(WAITS_FOREVER, stderr_to_stdout=True, on_output=cancel)
    assert scope.cancelled_caught
    wait_until_gone(pids[0])


def test_a_child_does_not_outlive_a_killed_server() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER, WAITS_FOREVER], stdout=subprocess.PIPE) as server:
        assert server.stdout
        grandchild = int(server.stdout.readline())
        os.kill(server.pid, signal.SIGKILL)
        wait_until_gone(grandchild)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a process's data is Linux's")
async def test_a_child_over_its_memory_limit_gets_a_memory_error() -> None:
    result = await run("x = b'x' * 300_000_000", memory_bytes=200_000_000)
    assert b"MemoryError" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is set on Linux")
async def test_a_child_sees_as_many_cpus_as_it_is_given() -> None:
    assert (await run("import os; print(len(os.sched_getaffinity(0)))", cpus=1)).stdout == b"1\n"


async def test_peak_memory_is_that_of_the_child() -> None:
    result = await run("x = b'x' * 300_000_000")
    assert result.peak_memory_bytes
    assert 300_000_000 < result.peak_memory_bytes < 400_000_000


def test_a_child_sees_neither_keys_nor_proxies() -> None:
    environ = {
        "PATH": "/bin",
        "HOME": "/home/u",
        "NUMERAI_MCP_AUTH": "PUBLIC$SECRET",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HTTPS_PROXY": "http://user:password@proxy",
        "UV_INDEX_URL": "https://user:password@index",
        "PYTHONPATH": "/workspace",
    }
    assert child_environment(environ=environ) == {"PATH": "/bin", "HOME": "/home/u"}
    installs = child_environment(installs=True, environ=environ)
    assert set(installs) == {"PATH", "HOME", "HTTPS_PROXY", "UV_INDEX_URL"}
