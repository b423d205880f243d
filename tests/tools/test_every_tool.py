"""Rules that hold for every tool, and the schemas as they are: a change of them is a change of the interface."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.agent_session import agent_session

SNAPSHOT = Path(__file__).parent / "tools.json"
FIXED = {
    "query_docker_images",
    "make_venv",
    "build_pickle",
    "run_container_debug",
    "upload_pickle",
    "get_trigger_logs",
}
ASKING = {
    "create_model",
    "upload_pickle",
    "deploy_pickles",
    "assign_pickle",
    "trigger_pickle",
    "clear_submission_webhook",
}
JOBS = {
    "make_venv",
    "build_pickle",
    "run_container_debug",
    "upload_pickle",
    "deploy_pickles",
    "trigger_pickle",
    "get_job",
}
SECRET = re.compile(r"token|secret|password|credential|auth|api_?key", re.I)


async def list_tools(folder: Path, **settings: Any) -> list[dict[str, Any]]:
    async with agent_session(folder, numerai=False, **settings) as agent:
        tools = (await agent.client.list_tools()).tools
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


async def test_each_tool_keeps_the_rules(tmp_path: Path) -> None:
    tools = await list_tools(tmp_path)
    assert {tool["name"] for tool in tools} >= FIXED
    for tool in tools:
        schema, name = tool["inputSchema"], tool["name"]
        assert re.fullmatch(r"[a-z_]{1,64}", name)
        assert tool["title"] and 40 < len(tool["description"]) < 2048, name
        assert schema["additionalProperties"] is False, name
        assert not {"anyOf", "oneOf", "allOf"} & schema.keys(), name
        assert set(tool["annotations"]) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}, name
        assert not any(SECRET.search(argument) for argument in schema["properties"]), name
        assert next(iter(tool["outputSchema"]["properties"])) == "summary", name
        assert tool["outputSchema"]["type"] == "object", name
        has_wait = "wait_seconds" in schema["properties"]
        assert has_wait == (name in JOBS), name
        if has_wait:
            assert schema["properties"]["wait_seconds"] | {"description": ""} == {
                "type": "integer", "default": 45, "minimum": 0, "maximum": 600, "description": "",
            }  # fmt: skip
        assert ("confirm" in schema["properties"]) == (name in ASKING), name


async def test_the_list_of_tools_stays_small(tmp_path: Path) -> None:
    assert len(json.dumps(await list_tools(tmp_path))) < 24_000


async def test_read_only_removes_every_tool_that_changes_the_account(tmp_path: Path) -> None:
    names = {tool["name"] for tool in await list_tools(tmp_path, read_only=True)}
    assert not names & ASKING
    assert {"query_docker_images", "build_pickle", "run_container_debug", "get_trigger_logs"} <= names


async def test_the_schemas_are_those_of_the_snapshot(tmp_path: Path) -> None:
    """UPDATE_SNAPSHOTS=1 writes the snapshot anew."""
    tools = await list_tools(tmp_path)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(json.dumps(tools, indent=1) + "\n")
    assert tools == json.loads(SNAPSHOT.read_text())


@pytest.mark.parametrize("tool", ["query_docker_images", "build_pickle", "upload_pickle", "get_job"])
async def test_an_unknown_argument_is_refused(tmp_path: Path, tool: str) -> None:
    needed = {"upload_pickle": {"pickle_path": "a", "model": "b"}, "get_job": {"job_id": "c"}}.get(tool, {})
    async with agent_session(tmp_path, numerai=False) as agent:
        assert "no_such_argument" in await agent.refused(tool, **needed, no_such_argument=1)
