"""The steps of the deployment skill, in the order in which it has them, lead to an assigned pickle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from server.local_numerai.runs import runner
from server.prompts import skill_text
from tests.agent_session import agent_session

CALL_OF: dict[str, dict[str, Any]] = {
    "query_docker_images": {},
    "make_venv": {"path": "venv"},
    "build_pickle": {"model_path": "model.txt.xz", "sample": "live.parquet", "pipeline": {"rank": "era"}},
    "inspect_pickle": {"pickle_path": "model.pkl"},
    "run_container_debug": {"pickle_path": "model.pkl"},
    "check_api_credentials": {},
    "list_models": {},
    "create_model": {"name": "from_the_skill"},
    "upload_pickle": {"pickle_path": "model.pkl", "model": "from_the_skill", "assign": True},
    "get_trigger_logs": {"model": "from_the_skill"},
}


def steps_of_the_skill() -> list[str]:
    """The tools that the numbered steps begin with or offer, in order."""
    steps = skill_text("numerai-model-upload").partition("## Steps")[2].partition("\n## ")[0]
    numbered = re.split(r"^\d+\. ", steps, flags=re.M)[1:]
    return [name for step in numbered for name in re.findall(r"`(\w+)`", step.partition(":")[0]) if name in CALL_OF]


@pytest.mark.requires("python:3.12")
async def test_the_steps_work_as_written(tmp_path: Path) -> None:
    steps = steps_of_the_skill()
    assert steps == list(CALL_OF)
    async with agent_session(tmp_path, demo_files=True, run=runner(tmp_path / "numerai-cache")) as agent:
        results = {tool: await agent.call(tool, **CALL_OF[tool]) for tool in steps}
    checklist = {
        "the Pythons match": results["build_pickle"]["python_version"]
        == next(image["python_version"] for image in results["query_docker_images"]["images"] if image["default"]),
        "parity": results["build_pickle"]["parity"]["status"] in ("identical", "not_run"),
        "contract": not any(f["severity"] == "refused" for f in results["build_pickle"]["contract"]),
        "inspection": not any(f["verdict"] == "will_fail" for f in results["inspect_pickle"]["findings"]),
        "run": results["run_container_debug"]["ok"],
        "limits": max(results["run_container_debug"][share] for share in ("seconds_share", "memory_share")) < 0.7,
        "no webhook": not results["list_models"]["models"][0]["webhook"],
        "validated": results["upload_pickle"]["validation_status"] == "validated",
        "assigned": results["upload_pickle"]["assigned"],
        "logs": results["get_trigger_logs"]["pickle_id"] == results["upload_pickle"]["pickle_id"],
    }
    assert not [item for item, holds in checklist.items() if not holds]
