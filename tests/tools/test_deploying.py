"""Many slots with one question, and the way back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.agent_session import Agent, agent_session

DATA = Path(__file__).parents[1] / "data"


async def ten_slots(agent: Agent) -> list[str]:
    assert agent.numerai
    names = [f"slot_{i}" for i in range(10)]
    for name in names:
        agent.numerai.store.add_model(name)
    await agent.call("make_venv")
    shutil.copy(DATA / "tolerant_predict.py", agent.workspace)
    shutil.copy(DATA / "live.parquet", agent.workspace)
    await agent.call("build_pickle", script="tolerant_predict.py:predict", sample="live.parquet")
    return names


async def running(agent: Agent) -> dict[str, str | None]:
    slots = (await agent.call("list_models", limit=100))["models"]
    return {slot["name"]: slot["assigned_pickle_id"] for slot in slots if slot["name"].startswith("slot_")}


@pytest.mark.requires("python:3.12")
async def test_ten_slots_take_one_question_and_one_upload_and_can_be_taken_back(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        names = await ten_slots(agent)
        wanted = [{"model": name, "pickle_path": "model.pkl"} for name in names]
        dry = await agent.call("deploy_pickles", deployments=wanted, dry_run=True)
        assert dry["dry_run"] and agent.questions == [] and not any((await running(agent)).values())

        done = await agent.call("deploy_pickles", deployments=wanted)
        assert len(agent.questions) == 1 and all(name in agent.questions[0] for name in names)
        assert all(slot["assigned"] and slot["previous_pickle_id"] is None for slot in done["slots"])
        assert len(set((await running(agent)).values())) == 1
        assert agent.numerai and len(agent.numerai.store.pickles) == 1

        back = await agent.call("deploy_pickles", deployments=done["rollback_path"])
        assert len(agent.questions) == 2
        assert not any((await running(agent)).values())
        assert {slot["previous_pickle_id"] for slot in back["slots"]} == {slot["pickle_id"] for slot in done["slots"]}


@pytest.mark.requires("python:3.12")
async def test_a_slot_whose_pickle_is_invalid_keeps_what_it_runs(tmp_path: Path) -> None:
    from server.local_numerai.runs import runner

    async with agent_session(tmp_path, run=runner(tmp_path / "numerai-cache")) as agent:
        names = await ten_slots(agent)
        (agent.workspace / "broken.py").write_text("def predict(live, benchmarks):\n    return live.no_such_thing\n")
        await agent.call("build_pickle", script="tolerant_predict.py:predict", sample="live.parquet", output="good.pkl")
        broken = await agent.refused("build_pickle", script="broken.py:predict", sample="live.parquet")
        assert "no_such_thing" in broken
        outcome = await agent.call("deploy_pickles", deployments=[{"model": names[0], "pickle_path": "good.pkl"}])
        assert outcome["slots"][0]["assigned"]
        before = await running(agent)
        text = await agent.refused("deploy_pickles", deployments=[{"model": names[0], "pickle_id": "no-such-pickle"}])
        assert "no-such-pickle" in text
        assert await running(agent) == before


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"pickle_path": "model.pkl"}, "model"),
        ({"model": "slot_1"}, "0"),
        ({"model": "slot_1", "pickle_path": "a.pkl", "pickle_id": "b"}, "0"),
        ({"model": "slot_1", "pickle_path": "a.pkl", "colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_list_is_refused_with_the_place(tmp_path: Path, entry: dict[str, str], place: str) -> None:
    async with agent_session(tmp_path) as agent:
        (agent.workspace / "list.json").write_text(json.dumps([entry]))
        text = await agent.refused("deploy_pickles", deployments="list.json")
        assert place in text and agent.questions == []
