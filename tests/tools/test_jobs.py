"""Long work outlives the call, the client and the server, and ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.agent_session import Agent, agent_session

SLEEPER = """
import os, time
from pathlib import Path
Path({marker!r}).write_text(str(os.getpid()))
time.sleep(600)
def predict(live_features, live_benchmark_models):
    return live_features
"""


async def sleeping_job(agent: Agent, tmp_path: Path) -> tuple[str, int]:
    """A build whose script never ends: its job, and the pid of the child that runs the script."""
    await agent.call("make_venv")
    marker = tmp_path / "pid"
    (agent.workspace / "sleeper.py").write_text(SLEEPER.format(marker=str(marker)))
    result = await agent.result("build_pickle", script="sleeper.py:predict", wait_seconds=0)
    content = result.structured_content or {}
    assert content["status"] == "running" and content["pickle_path"] is None
    return content["job_id"], await appears(marker)


async def appears(marker: Path) -> int:
    with anyio.fail_after(30):
        while not (marker.is_file() and marker.read_text()):
            await anyio.sleep(0.02)
    return int(marker.read_text())


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def ends(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while condition():
            await anyio.sleep(0.02)


@pytest.mark.requires("python:3.12")
async def test_work_that_takes_longer_gives_a_job_whose_result_has_the_tools_fields(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        running = (await agent.result("make_venv", wait_seconds=0)).structured_content or {}
        assert running["status"] == "running" and running["interpreter"] is None
        done = await agent.call("get_job", job_id=running["job_id"])
        assert done["tool"] == "make_venv" and done["status"] == "done" and done["job_id"] is None
        assert Path(done["interpreter"]).is_file()
        assert agent.progress


@pytest.mark.requires("python:3.12")
async def test_a_result_outlives_the_server(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        running = (await agent.result("make_venv", wait_seconds=0)).structured_content or {}
        done = await agent.call("get_job", job_id=running["job_id"])
    async with agent_session(tmp_path) as agent:
        assert await agent.call("get_job", job_id=running["job_id"]) == done


async def test_the_job_of_a_server_that_died_says_what_to_call_again(tmp_path: Path) -> None:
    jobs = tmp_path / "state" / "jobs"
    jobs.mkdir(parents=True)
    record = {
        "id": "make_venv-00000000", "tool": "make_venv", "status": "running", "started": time.time(),
        "owner_pid": 2**22 - 1, "owner_started": 1.0, "progress": "Installing numpy",
    }  # fmt: skip
    (jobs / "make_venv-00000000.json").write_text(json.dumps(record))
    async with agent_session(tmp_path) as agent:
        text = await agent.refused("get_job", job_id="make_venv-00000000")
        assert "interrupted" in text and "Call make_venv again" in text and "Installing numpy" in text
        assert "no job" in await agent.refused("get_job", job_id="../../etc/passwd")


@pytest.mark.requires("python:3.12")
async def test_a_cancelled_job_ends_its_children_and_leaves_nothing(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        job, child = await sleeping_job(agent, tmp_path)
        assert is_alive(child)
        assert (await agent.call("cancel_job", job_id=job))["job_status"] == "cancelled"
        assert not is_alive(child)
        assert "was cancelled" in await agent.refused("get_job", job_id=job)
        assert not [path.name for path in agent.workspace.iterdir() if path.name not in ("venv", "sleeper.py")]


@pytest.mark.requires("python:3.12")
async def test_a_cancelled_call_ends_the_work_that_it_started(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        await agent.call("make_venv")
        marker = tmp_path / "pid"
        (agent.workspace / "sleeper.py").write_text(SLEEPER.format(marker=str(marker)))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: agent.result("build_pickle", script="sleeper.py:predict", wait_seconds=600))
            child = await appears(marker)
            tasks.cancel_scope.cancel()
        await ends(lambda: is_alive(child))


@pytest.mark.requires("python:3.12")
async def test_the_same_call_joins_the_running_job(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        job, _ = await sleeping_job(agent, tmp_path)
        again = (
            await agent.result("build_pickle", script="sleeper.py:predict", wait_seconds=0)
        ).structured_content or {}
        assert again["job_id"] == job
        await agent.call("cancel_job", job_id=job)


@pytest.mark.requires("python:3.12")
async def test_the_end_of_the_session_ends_the_jobs(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        _, child = await sleeping_job(agent, tmp_path)
    assert not is_alive(child)


@pytest.mark.requires("python:3.12")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_children_end_with_a_server_that_is_killed(tmp_path: Path, number: int) -> None:
    async with agent_session(tmp_path) as agent:
        await agent.call("make_venv")
        marker = tmp_path / "pid"
        (agent.workspace / "sleeper.py").write_text(SLEEPER.format(marker=str(marker)))
        arguments = {"script": "sleeper.py:predict", "wait_seconds": 600}
        with stdio_server(agent.workspace, tmp_path / "state2") as server:
            send(server, 1, "tools/call", {"name": "build_pickle", "arguments": arguments})
            child = await appears(marker)
            server.send_signal(number)
            assert server.wait(30) == (128 + number if number == signal.SIGTERM else -number)
        await ends(lambda: is_alive(child))


def stdio_server(workspace: Path, state: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "server.cli", "serve", "--workspace", str(workspace)]
    env = {**os.environ, "NUMERAI_PICKLE_MCP_STATE": str(state)}
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    send(server, 0, "initialize", client)
    send(server, None, "notifications/initialized", {})
    return server


def send(server: subprocess.Popen[str], number: int | None, method: str, parameters: dict[str, Any]) -> None:
    assert server.stdin
    message = {"jsonrpc": "2.0", "method": method, "params": parameters} | ({} if number is None else {"id": number})
    server.stdin.write(json.dumps(message) + "\n")
    server.stdin.flush()


@pytest.mark.requires("python:3.12")
async def test_work_longer_than_the_clients_limit_is_waited_for_in_calls_below_it(tmp_path: Path) -> None:
    """A client that gives a call two seconds gets a build that takes four, as one of 60 s gets one of minutes."""
    async with agent_session(tmp_path) as agent:
        await agent.call("make_venv")
        slow = (
            "import time\ntime.sleep(4)\ndef predict(live, benchmarks):\n    return live.iloc[:, -1:].rank(pct=True)\n"
        )
        (agent.workspace / "slow.py").write_text(slow)
        calls, content = 0, {"status": "running", "job_id": None}
        while content["status"] == "running":
            tool, arguments = "get_job", {"job_id": content["job_id"]}
            if not content["job_id"]:
                tool, arguments = "build_pickle", {"script": "slow.py:predict", "features": ["feature_a"]}
            with anyio.fail_after(20):
                result = await agent.client.call_tool(tool, {**arguments, "wait_seconds": 1})
            assert not result.is_error, result
            content, calls = result.structured_content or {}, calls + 1
        assert calls > 2 and content["tool"] == "build_pickle" and content["sha256"]
