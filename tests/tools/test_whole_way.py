"""From a model file to an assigned pickle and its logs: the server as a process, the SDK's client over stdio."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import ElicitResult

from server.local_numerai.app import local_numerai
from server.local_numerai.runs import runner
from tests.agent_session import Agent
from tests.conftest import image_reference

DATA = Path(__file__).parents[1] / "data"


async def walk(tmp_path: Path, minor: str, ran_in: str, mode: str) -> None:
    """Every step as the skill has it; what each result must say."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    shutil.copy(DATA / "small_forest.txt", workspace)
    shutil.copy(DATA / "live.parquet", workspace)
    image = image_reference(minor)

    async def agree(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"proceed": True})

    async with local_numerai(tmp_path / "numerai", run=runner(tmp_path / "numerai-cache")) as numerai:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "server.cli", "serve", "--workspace", str(workspace)],
            env={
                **os.environ,
                "NUMERAI_API_URL": numerai.api_url,
                "NUMERAI_MCP_URL": numerai.mcp_url,
                "NUMERAI_MCP_AUTH": numerai.token,
                "NUMERAI_PICKLE_MCP_STATE": str(tmp_path / "state"),
                "NUMERAI_PICKLE_MCP_CACHE": str(tmp_path / "cache"),
            },
        )
        async with Client(stdio_client(server), elicitation_callback=agree, mode=mode) as client:
            agent = Agent(client, workspace, None, numerai)  # type: ignore[arg-type]
            assert (await agent.call("check_api_credentials"))["missing_scopes"] == []
            assert image in [entry["reference"] for entry in (await agent.call("query_docker_images"))["images"]]
            assert (await agent.call("make_venv", docker_image=image))["python_version"] == minor
            built = await agent.call("build_pickle", model_path="small_forest.txt", pipeline={"rank": "era"})
            assert built["python_version"] == minor and built["contract"] == []
            inspected = await agent.call("inspect_pickle", pickle_path="model.pkl", docker_image=image)
            assert minor in inspected["fingerprint"]["python_candidates"]
            assert not [f for f in inspected["findings"] if f["verdict"] == "will_fail"]
            # Numerai's live rows are of other features: these are the model's own.
            run = await agent.call(
                "run_container_debug", pickle_path="model.pkl", docker_image=image, dataset="live.parquet"
            )
            assert run["ok"], run
            assert run["proof"]["ran_in"] == ran_in and run["proof"]["data"] == "file"
            assert run["predictions"]["rows"] == 40 and run["peak_memory_mb"] > 0
            await agent.call("create_model", name="whole_way")
            text = await agent.refused("upload_pickle", pickle_path="model.pkl", model="whole_way", docker_image=image)
            assert "feature_alder" in text and "data version" in text
            shutil.copy(DATA / "tolerant_predict.py", workspace)
            await agent.call("build_pickle", script="tolerant_predict.py:predict", sample="live.parquet")
            uploaded = await agent.call(
                "upload_pickle", pickle_path="model.pkl", model="whole_way", docker_image=image, assign=True
            )
            assert uploaded["validation_status"] == "validated" and uploaded["assigned"], uploaded
            slot = (await agent.call("list_models", name_contains="whole_way"))["models"][0]
            assert slot["assigned_pickle_id"] == uploaded["pickle_id"]
            triggered = await agent.call("trigger_pickle", pickle_id=uploaded["pickle_id"])
            assert triggered["statuses"][-1] == "submission_succeeded"
            logs = await agent.call("get_trigger_logs", model="whole_way")
            assert logs["pickle_id"] == uploaded["pickle_id"] and logs["diagnosis"] == []
            assert "Generated" in Path(logs["log_path"]).read_text()


@pytest.mark.requires("docker", "image:3.12", "python:3.12")
async def test_the_whole_way_with_the_default_image(tmp_path: Path) -> None:
    await walk(tmp_path, "3.12", "stand_in", "auto")


@pytest.mark.requires("docker", "image:3.11", "python:3.11")
async def test_the_whole_way_with_another_image(tmp_path: Path) -> None:
    await walk(tmp_path, "3.11", "stand_in", "legacy")


@pytest.mark.requires("python:3.12")
async def test_the_whole_way_without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    await walk(tmp_path, "3.12", "venv", "auto")


@pytest.mark.parametrize("engine", [pytest.param("docker", marks=pytest.mark.requires("docker", "image:3.12")), "none"])
@pytest.mark.requires("python:3.12")
def test_the_demo_proves_parity_and_ends_well(tmp_path: Path, engine: str) -> None:
    dead = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"} if engine == "none" else {}
    strays = {"NUMERAI_API_URL": "https://api-tournament.numer.ai/", "NUMERAI_MCP_AUTH": "REAL$KEY", "HTTPS_PROXY": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", "demo"],
        env={**os.environ, **dead, **strays, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6,528 rows beside LightGBM's own predictions: identical" in done.stdout
    assert ("in a stand-in" if engine == "docker" else "not in a container") in done.stdout
    assert "REAL" not in done.stdout + done.stderr
