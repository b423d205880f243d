"""The skill files as MCP prompts, and the guides and schemas as resources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.prompts import Prompt

SKILLS = {
    "numerai-model-upload": "Take a trained model to a validated, assigned Numerai model upload",
    "numerai-pickle-debug": "Find out why a Numerai pickle failed, and mend it",
}


def skills_folder() -> Path:
    """`agent_prompts`: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "agent_prompts"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "agent_prompts"


def skill_text(name: str) -> str:
    """The skill without its front matter."""
    text = (skills_folder() / name / "SKILL.md").read_text(encoding="utf-8")
    return text.partition("\n---\n")[2].strip() if text.startswith("---\n") else text


def register(server: MCPServer[Any]) -> None:
    """Add the prompts and resources. Their texts are read when they are asked for."""
    for name, description in SKILLS.items():
        server.add_prompt(Prompt.from_function(_reader(name), name=name, description=description))

    @server.resource(
        "numerai://pipeline-schema", name="pipeline-schema", description="build_pickle's pipeline as a JSON schema",
        mime_type="application/schema+json",
    )  # fmt: skip
    def pipeline_schema() -> str:
        import bundle_core

        return (Path(bundle_core.__file__).parent / "pipeline.schema.json").read_text(encoding="utf-8")

    @server.resource(
        "numerai://failures", name="failures", description="Why model uploads fail, and what to do",
        mime_type="text/markdown",
    )  # fmt: skip
    def failures() -> str:
        from server.diagnosis import catalogue_markdown

        return catalogue_markdown()


def _reader(name: str) -> Callable[[], str]:
    def read() -> str:
        return skill_text(name)

    return read
