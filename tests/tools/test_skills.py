"""The skills name the tools that there are, with the arguments and fields that they have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.prompts import SKILLS, skill_text, skills_folder
from tests.agent_session import agent_session

NUMERAIS_OWN = {"upload_model", "graphql_query"}


async def interface(folder: Path) -> tuple[set[str], set[str]]:
    async with agent_session(folder, numerai=False) as agent:
        tools = (await agent.client.list_tools()).tools
    words = {name for tool in tools for name in tool.input_schema["properties"]}
    words |= {name for tool in tools for name in (tool.output_schema or {})["properties"]}
    return {tool.name for tool in tools}, words


def quoted(text: str) -> set[str]:
    """The names in backticks: `tool`, `field`, `argument=value`, `field.part`."""
    return {match[1] for match in re.finditer(r"`([a-z][a-z_]+)(?:[=.][^`]*)?`", text)}


async def test_each_tool_is_in_the_deployment_skill(tmp_path: Path) -> None:
    tools, _ = await interface(tmp_path)
    assert tools <= quoted(skill_text("numerai-model-upload"))


@pytest.mark.parametrize("text", [*SKILLS, "AGENTS"])
async def test_each_name_in_a_skill_is_a_tool_an_argument_or_a_field(tmp_path: Path, text: str) -> None:
    tools, words = await interface(tmp_path)
    content = (skills_folder() / "AGENTS.md").read_text() if text == "AGENTS" else skill_text(text)
    nested = {"verdict", "severity", "reference", "python_version", "webhook", "live_features", "upload_submission"}
    unknown = quoted(content) - tools - words - nested - set(SKILLS) - {"will_fail", "not_run"}
    assert not {name for name in unknown if "_" in name}, unknown


@pytest.mark.parametrize("name", SKILLS)
def test_the_front_matter_has_name_and_description(name: str) -> None:
    head = (skills_folder() / name / "SKILL.md").read_text().split("\n---\n")[0]
    assert f"name: {name}" in head
    assert 50 < len(head.partition("description: ")[2]) < 1024


async def test_the_skills_are_served_as_prompts(tmp_path: Path) -> None:
    async with agent_session(tmp_path, numerai=False) as agent:
        listed = {prompt.name for prompt in (await agent.client.list_prompts()).prompts}
        assert listed == set(SKILLS)
        prompt = await agent.client.get_prompt("numerai-model-upload")
        assert "query_docker_images" in str(prompt.messages[0].content)


async def test_the_schema_and_the_catalogue_are_resources(tmp_path: Path) -> None:
    async with agent_session(tmp_path, numerai=False) as agent:
        for uri, word in {
            "numerai://pipeline-schema": "neutralize",
            "numerai://failures": "Segmentation fault",
        }.items():
            assert word in str((await agent.client.read_resource(uri)).contents[0])
