"""Nothing happens to the account that the user did not agree to."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from server import confirm
from tests.agent_session import Agent, agent_session

DATA = Path(__file__).parents[1] / "data"
CODE = re.compile(r"confirm='(\w+)'")


async def slot_names(agent: Agent) -> list[str]:
    return [slot["name"] for slot in (await agent.call("list_models"))["models"]]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_that_can_ask_is_asked_with_the_facts(tmp_path: Path, mode: str) -> None:
    async with agent_session(tmp_path, mode=mode) as agent:
        await agent.call("create_model", name="asked_for")
        assert "'asked_for'" in agent.questions[0]
        assert "asked_for" in await slot_names(agent)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_no_changes_nothing(tmp_path: Path, mode: str) -> None:
    async with agent_session(tmp_path, mode=mode, answers=False) as agent:
        assert "did not agree" in await agent.refused("create_model", name="unwanted")
        assert "unwanted" not in await slot_names(agent)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_that_cannot_ask_gets_the_facts_and_a_code(tmp_path: Path, mode: str) -> None:
    async with agent_session(tmp_path, mode=mode, answers=None) as agent:
        text = await agent.refused("create_model", name="with_code")
        assert "'with_code'" in text
        assert "with_code" not in await slot_names(agent)
        code = CODE.search(text)
        assert code
        await agent.call("create_model", name="with_code", confirm=code[1])
        assert "with_code" in await slot_names(agent)


async def test_a_code_is_for_its_facts_only(tmp_path: Path) -> None:
    async with agent_session(tmp_path, answers=None) as agent:
        code = CODE.search(await agent.refused("create_model", name="first"))
        assert code
        assert "not valid for these facts" in await agent.refused("create_model", name="second", confirm=code[1])
        assert await slot_names(agent) == ["my_first_model"]


async def test_a_code_works_once(tmp_path: Path) -> None:
    async with agent_session(tmp_path, answers=None) as agent:
        slot = (await agent.call("list_models"))["models"][0]["name"]
        arguments = {"model": slot, "pickle_id": None}
        code = CODE.search(await agent.refused("assign_pickle", **arguments))
        assert code
        await agent.call("assign_pickle", **arguments, confirm=code[1])
        assert "not valid" in await agent.refused("assign_pickle", **arguments, confirm=code[1])


async def test_a_code_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with agent_session(tmp_path, answers=None) as agent:
        monkeypatch.setattr(confirm, "LIFETIME_SECONDS", 0.0)
        code = CODE.search(await agent.refused("create_model", name="too_late"))
        assert code
        assert "not valid" in await agent.refused("create_model", name="too_late", confirm=code[1])


async def test_a_code_does_not_spare_a_client_that_can_ask(tmp_path: Path) -> None:
    async with agent_session(tmp_path / "a", answers=None) as agent:
        code = CODE.search(await agent.refused("create_model", name="asked_anyway"))
    assert code
    async with agent_session(tmp_path / "b") as agent:
        await agent.call("create_model", name="asked_anyway", confirm=code[1])
        assert len(agent.questions) == 1


async def test_each_question_can_be_answered_once(tmp_path: Path) -> None:
    """The same facts again are another question, so that an old answer fits none."""
    async with agent_session(tmp_path) as agent:
        slot = (await agent.call("list_models"))["models"][0]["name"]
        await agent.call("assign_pickle", model=slot, pickle_id=None)
        await agent.call("assign_pickle", model=slot, pickle_id=None)
        first, second = agent.questions
        assert first.splitlines()[0] == second.splitlines()[0]
        assert first != second


@pytest.mark.requires("python:3.12")
async def test_a_submission_is_asked_for_and_a_validation_is_not(tmp_path: Path) -> None:
    async with agent_session(tmp_path) as agent:
        shutil.copy(DATA / "tolerant_predict.py", agent.workspace)
        shutil.copy(DATA / "live.parquet", agent.workspace)
        await agent.call("make_venv")
        await agent.call("build_pickle", script="tolerant_predict.py:predict", sample="live.parquet")
        slot = "my_first_model"
        uploaded = await agent.call("upload_pickle", pickle_path="model.pkl", model=slot, assign=True)
        asked = len(agent.questions)
        validated = await agent.call("trigger_pickle", pickle_id=uploaded["pickle_id"])
        assert len(agent.questions) == asked
        submitted = await agent.call("trigger_pickle", pickle_id=uploaded["pickle_id"], model=slot, validation=False)
        assert len(agent.questions) == asked + 1 and "submit its predictions for my_first_model" in agent.questions[-1]
        assert validated["trigger_id"] != submitted["trigger_id"]
        assert "no model slot" in await agent.refused(
            "trigger_pickle", pickle_id=uploaded["pickle_id"], model="nobody", validation=False
        )
