"""MCP over HTTP: who is let in, what is refused, and how it ends."""

from __future__ import annotations

import dataclasses
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult

from server.local_numerai.app import local_numerai
from server.runners.types import DockerImage
from server.runners.venv import MARKER, Recipe
from tests.commands.serving import HttpServer, http_server, run

TOKEN = "a-long-random-text"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """On loopback, without a token."""
    with http_server(tmp_path_factory.mktemp("open")) as server:
        yield server


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """On all addresses, with a token."""
    folder = tmp_path_factory.mktemp("guarded")
    arguments = ("--host", "0.0.0.0", "--allow-host", "models.example")
    with http_server(folder, *arguments, NUMERAI_PICKLE_MCP_TOKEN=TOKEN) as server:
        port = server.url.rpartition(":")[2]
        yield dataclasses.replace(server, url=f"http://127.0.0.1:{port}")


def initialize(server: HttpServer, **headers: str) -> httpx.Response:
    return httpx.post(server.url, json=INITIALIZE, headers={**HEADERS, **headers})


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_clients_of_both_protocol_eras_list_and_call_tools(open_server: HttpServer, mode: Any) -> None:
    async with Client(open_server.url, mode=mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"make_venv", "build_pickle", "upload_pickle", "get_job"} <= names
        refused = await client.call_tool("inspect_pickle", {"pickle_path": "none.pkl"})
        assert refused.is_error and "does not exist" in str(refused.content)


def test_without_the_token_nothing_is_answered(guarded_server: HttpServer) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
    ):
        answer = initialize(guarded_server, **headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    elsewhere = httpx.get(guarded_server.url.replace("/mcp", "/other"))
    assert elsewhere.status_code == 401


async def test_with_the_token_tools_are_called(guarded_server: HttpServer) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(guarded_server.url, http_client=http)) as client,
    ):
        assert (await client.list_tools()).tools


def test_an_address_that_others_reach_is_not_served_without_a_token(tmp_path: Path) -> None:
    refused = run("serve", "--transport", "http", "--host", "0.0.0.0", folder=tmp_path)
    assert refused.returncode == 2
    assert "NUMERAI_PICKLE_MCP_TOKEN" in refused.stderr and "Traceback" not in refused.stderr


def test_a_token_that_is_set_is_asked_for_on_loopback_too(tmp_path: Path) -> None:
    with http_server(tmp_path, NUMERAI_PICKLE_MCP_TOKEN=TOKEN) as server:
        assert initialize(server).status_code == 401
        assert initialize(server, Authorization=f"Bearer {TOKEN}").status_code == 200


def test_a_host_that_is_not_this_machine_is_refused(open_server: HttpServer, guarded_server: HttpServer) -> None:
    assert initialize(open_server, Host="rebound.example").status_code == 421
    for name, status in {"rebound.example": 421, "models.example": 200, "models.example:8765": 200}.items():
        assert initialize(guarded_server, Host=name, Authorization=f"Bearer {TOKEN}").status_code == status


def test_a_web_page_of_another_origin_is_refused(open_server: HttpServer) -> None:
    assert initialize(open_server, Origin="http://elsewhere.example").status_code == 403
    assert initialize(open_server, Origin=open_server.url.removesuffix("/mcp")).status_code == 200


def test_a_body_over_the_limit_is_refused(open_server: HttpServer) -> None:
    assert httpx.post(open_server.url, content=b" " * (1024 * 1024 + 1), headers=HEADERS).status_code == 413


def test_an_address_in_use_is_an_error_with_a_reason(tmp_path: Path, open_server: HttpServer) -> None:
    port = open_server.url.split(":")[2].removesuffix("/mcp")
    refused = run("serve", "--transport", "http", "--port", port, folder=tmp_path)
    assert refused.returncode == 2
    assert f"127.0.0.1:{port} cannot be used" in refused.stderr and "Traceback" not in refused.stderr


async def test_the_user_is_asked_over_http_in_both_protocol_eras(tmp_path: Path) -> None:
    questions: list[str] = []

    async def answer(_: Any, question: Any) -> ElicitResult:
        questions.append(question.message)
        return ElicitResult(action="accept", content={"proceed": "yes_model" in question.message})

    async with local_numerai(tmp_path / "numerai") as numerai:
        variables = {"NUMERAI_API_URL": numerai.api_url, "NUMERAI_MCP_AUTH": numerai.token}
        with http_server(tmp_path, **variables) as server:
            for mode in ("legacy", "auto"):
                async with Client(server.url, mode=mode, elicitation_callback=answer) as client:
                    refused = await client.call_tool("create_model", {"name": f"no_model_{mode}"})
                    assert refused.is_error and "did not agree" in str(refused.content)
                    made = await client.call_tool("create_model", {"name": f"yes_model_{mode}"})
                    assert not made.is_error, made.content
            listed = await client_call(server.url, "list_models", {"name_contains": "_model_"})
    assert sorted(slot["name"] for slot in listed["models"]) == ["yes_model_auto", "yes_model_legacy"]
    assert len(questions) == 4


async def client_call(url: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    async with Client(url) as client:
        result = await client.call_tool(tool, arguments)
    assert not result.is_error and result.structured_content is not None, result.content
    return result.structured_content


def endless_venv(workspace: Path) -> Path:
    """A venv by its looks, whose interpreter writes its pid into a folder and then never ends; gives the folder."""
    pids = workspace / "pids"
    pids.mkdir()
    interpreter = workspace / "venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f"#!/bin/sh\ntouch {pids}/$$\nexec sleep 600\n")
    interpreter.chmod(0o755)
    recipe = Recipe(DockerImage(None, "x", "numerai_predict_py_3_12", "x"), "3.12", "PATH", {}, {}, ())
    (workspace / "venv" / MARKER).write_text(json.dumps(dataclasses.asdict(recipe)))
    return pids


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def is_told_of_progress(client: Client, job_id: str) -> None:
    """While it waits for a job that another session started."""
    told: list[str | None] = []

    async def progress(_: float, __: float | None, message: str | None) -> None:
        told.append(message)

    arguments = {"job_id": job_id, "wait_seconds": 4}
    seen = await client.call_tool("get_job", arguments, progress_callback=progress)
    assert seen.structured_content and seen.structured_content["status"] == "running"
    assert told


async def test_jobs_are_the_servers_not_the_sessions_and_end_with_it(tmp_path: Path) -> None:
    """Eight jobs from two sessions, a ninth is refused, SIGTERM ends them all with their children."""
    with http_server(tmp_path) as server:
        pids = endless_venv(server.workspace)
        jobs: list[str] = []

        async def start(client: Client, number: int) -> Any:
            arguments = {"script": "s.py:predict", "output": f"{number}.pkl", "wait_seconds": 0}
            return await client.call_tool("build_pickle", arguments)

        async with Client(server.url, mode="legacy") as first, Client(server.url) as second:
            for number in range(8):
                started = await start(first if number % 2 else second, number)
                assert started.structured_content["status"] == "running"
                jobs.append(started.structured_content["job_id"])
            ninth = await start(first, 9)
            assert ninth.is_error and "8 jobs are running" in str(ninth.content)
            async with anyio.create_task_group() as both:
                both.start_soon(is_told_of_progress, first, jobs[0])
                both.start_soon(is_told_of_progress, second, jobs[1])
            with anyio.fail_after(30):
                while len(list(pids.iterdir())) < 8:
                    await anyio.sleep(0.02)
            server.process.send_signal(signal.SIGTERM)
            assert await anyio.to_thread.run_sync(server.process.wait, 30) == 0
    assert not [path.name for path in pids.iterdir() if is_alive(int(path.name))]
    records = [json.loads(path.read_text()) for path in (tmp_path / "state" / "jobs").glob("*.json")]
    assert sorted(record["id"] for record in records) == sorted(jobs)
    assert {record["status"] for record in records} == {"cancelled"}


def test_an_idle_connection_does_not_hold_the_end_up(tmp_path: Path) -> None:
    with http_server(tmp_path) as server:
        host, port = server.url.split("/")[2].split(":")
        with socket.create_connection((host, int(port))):
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(30) == 0
