"""What the tools cost an agent: characters and calls. `python tests/benchmarks/agent_cost.py` (needs Python 3.12)."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.agent_session import Agent, agent_session, text_of

WAY = (
    ("query_docker_images", {}),
    ("make_venv", {}),
    ("build_pickle", {"model_path": "model.txt.xz", "sample": "live.parquet", "pipeline": {"rank": "era"}}),
    ("inspect_pickle", {"pickle_path": "model.pkl"}),
    ("run_container_debug", {"pickle_path": "model.pkl"}),
    ("list_models", {}),
    ("upload_pickle", {"pickle_path": "model.pkl", "model": "my_first_model", "assign": True}),
    ("get_trigger_logs", {"model": "my_first_model"}),
)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with agent_session(Path(folder), demo_files=True) as agent:
            tools = (await agent.client.list_tools()).tools
            listed = json.dumps([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools])
            print(f"tools/list: {len(tools)} tools, {len(listed):,} characters (limit 24,000)")
            await whole_way(agent)
            await ten_slots(agent)


async def whole_way(agent: Agent) -> None:
    calls, asked = await walk(agent, WAY)
    print(f"from model file to assigned pickle: {calls} calls (limit 8), {asked} questions to the user\n")


async def ten_slots(agent: Agent) -> None:
    assert agent.numerai
    names = [agent.numerai.store.add_model(f"slot_{i}")["name"] for i in range(10)]
    wanted = {"deployments": [{"model": name, "pickle_path": "model.pkl"} for name in names]}
    steps = (
        ("list_models", {}),
        ("deploy_pickles", {**wanted, "dry_run": True}),
        ("deploy_pickles", wanted),
        ("list_models", {}),
    )
    calls, asked = await walk(agent, steps)
    print(f"ten slots: {calls} calls beside the build (limit 6), {asked} questions to the user")


async def walk(agent: Agent, steps: Sequence[tuple[str, dict[str, Any]]]) -> tuple[int, int]:
    """Calls and questions of the steps; prints how large each result is."""
    print("| call | text | structured |\n| --- | --- | --- |")
    calls, asked = 0, len(agent.questions)
    for tool, arguments in steps:
        result = await agent.result(tool, **arguments)
        calls += 1
        while (result.structured_content or {}).get("status") == "running":
            result = await agent.result("get_job", job_id=(result.structured_content or {})["job_id"])
            calls += 1
        assert not result.is_error, text_of(result)
        print(f"| {tool} | {len(text_of(result)):,} | {len(json.dumps(result.structured_content)):,} |")
    return calls, len(agent.questions) - asked


if __name__ == "__main__":
    anyio.run(main)
