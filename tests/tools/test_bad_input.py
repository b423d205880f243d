"""What cannot be used is refused with cause and next step; nothing is left half done, and the server goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.agent_session import Agent, agent_session

DATA = Path(__file__).parents[1] / "data"


async def goes_on(agent: Agent) -> None:
    assert (await agent.call("query_docker_images"))["images"]


def says(text: str, *parts: str) -> None:
    assert "Next step:" in text, text
    for part in parts:
        assert part in text, text


@pytest.mark.requires("python:3.12")
async def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        await agent.call("make_venv")
        (agent.workspace / "notes.txt").write_text("buy milk\n")
        before = sorted(path.name for path in agent.workspace.iterdir())
        says(await agent.refused("build_pickle", model_path="notes.txt"), "notes.txt")
        assert sorted(path.name for path in agent.workspace.iterdir()) == before
        await goes_on(agent)


@pytest.mark.requires("python:3.12")
async def test_a_model_whose_sample_lacks_a_feature(tmp_path: Path) -> None:
    import pandas as pd

    async with agent_session(tmp_path) as agent:
        await agent.call("make_venv")
        shutil.copy(DATA / "small_forest.txt", agent.workspace)
        pd.read_parquet(DATA / "live.parquet").drop(columns="feature_elder").to_parquet(agent.workspace / "s.parquet")
        text = await agent.refused("build_pickle", model_path="small_forest.txt", sample="s.parquet")
        says(text, "feature_elder")
        assert not list(agent.workspace.glob("*.pkl")) and not list(agent.workspace.glob("*.npz"))


async def test_a_missing_path(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        for tool in ("inspect_pickle", "run_container_debug"):
            says(await agent.refused(tool, pickle_path="none.pkl"), "none.pkl does not exist")
        await goes_on(agent)


@pytest.mark.parametrize("path", ["../outside.pkl", "/etc/passwd", "link.pkl"])
async def test_a_path_outside_the_workspace(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside.pkl").write_bytes(b"secret")
    async with agent_session(tmp_path) as agent:
        (agent.workspace / "link.pkl").symlink_to(tmp_path / "outside.pkl")
        says(await agent.refused("inspect_pickle", pickle_path=path), "outside the workspace")
        says(await agent.refused("make_venv", path="../elsewhere"), "outside the workspace")
        assert not (tmp_path / "elsewhere").exists()


async def test_an_unknown_image(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        says(await agent.refused("make_venv", docker_image="Python 2.7"), "Python 2.7", "Python 3.12")
        assert not (agent.workspace / "venv").exists()
        await goes_on(agent)


async def test_an_unknown_slot(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        says(await agent.refused("get_trigger_logs", model="nobody"), "nobody", "my_first_model")
        says(await agent.refused("assign_pickle", model="nobody", pickle_id=None), "nobody")
        assert agent.questions == []


async def test_no_credentials(tmp_path: Path) -> None:
    async with agent_session(tmp_path, credentials=False) as agent:
        (agent.workspace / "model.pkl").write_bytes(b"x")
        for tool, arguments in {
            "check_api_credentials": {},
            "list_models": {},
            "create_model": {"name": "a"},
            "upload_pickle": {"pickle_path": "model.pkl", "model": "a"},
        }.items():
            says(await agent.refused(tool, **arguments), "NUMERAI_MCP_AUTH", "upload_submission")
        await goes_on(agent)


async def test_a_dead_docker_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    async with agent_session(tmp_path) as agent:
        (agent.workspace / "model.pkl").write_bytes(b"\x80\x04N.")
        says(await agent.refused("run_container_debug", pickle_path="model.pkl", runner="docker"), "docker")
        says(await agent.refused("run_container_debug", pickle_path="model.pkl"), "make_venv")
        images = (await agent.call("query_docker_images"))["images"]
        assert {image["present_locally"] for image in images} == {None}


async def test_a_numerai_that_does_not_answer(tmp_path: Path) -> None:
    async with agent_session(tmp_path, numerai=False) as agent:
        for tool in ("query_docker_images", "check_api_credentials", "make_venv"):
            says(await agent.refused(tool))
        assert not (agent.workspace / "venv").exists()


@pytest.mark.requires("python:3.12")
async def test_a_venv_is_made_by_reference_without_numerai(tmp_path: Path) -> None:
    async with agent_session(tmp_path, numerai=False) as agent:
        made = await agent.call("make_venv", docker_image="ghcr.io/numerai/numerai_predict_py_3_12:a78dedd")
        assert made["python_version"] == "3.12"


@pytest.mark.parametrize(
    "source",
    [{"model_path": "model.pkl"}, {"model_path": "./model.npz"}, {"pipeline": {"models": [{"path": "model.npz"}]}}],
)
async def test_a_source_that_the_build_would_overwrite(source: dict[str, Any], tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        for name in ("model.pkl", "model.npz"):
            (agent.workspace / name).write_bytes(b"trained for days")
        says(await agent.refused("build_pickle", **source), "would be written over the source", "deploy.pkl")
        assert (agent.workspace / "model.pkl").read_bytes() == b"trained for days"


async def test_several_sources_at_once(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        says(await agent.refused("build_pickle"), "Given: none")
        text = await agent.refused("build_pickle", model_path="a.txt", bundle_path="b.npz")
        says(text, "model_path and bundle_path")
