"""An agent at the server, in memory, against an embedded Numerai of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp.client import Client
from mcp_types import CallToolResult, ElicitResult, TextContent
from pydantic import SecretStr

from server.app import build_server
from server.local_numerai.app import LocalNumerai, local_numerai
from server.local_numerai.runs import Run
from server.settings import Credentials, Settings

DEMO = Path(__file__).parents[1] / "server" / "demo" / "data"


@dataclass
class Agent:
    """Calls tools; remembers what it was asked."""

    client: Client
    workspace: Path
    settings: Settings
    numerai: LocalNumerai | None
    questions: list[str] = field(default_factory=list[str])
    progress: list[str] = field(default_factory=list[str])

    async def result(self, tool: str, **arguments: Any) -> CallToolResult:
        async def progress(_: float, __: float | None, message: str | None) -> None:
            self.progress.append(message or "")

        return await self.client.call_tool(tool, arguments, progress_callback=progress)

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured result of a call that works, waited for."""
        result = await self.result(tool, **arguments)
        while not result.is_error and (result.structured_content or {}).get("status") == "running":
            result = await self.result("get_job", job_id=(result.structured_content or {})["job_id"])
        assert not result.is_error, text_of(result)
        assert result.structured_content is not None
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        """The error's text of a call that does not work."""
        result = await self.result(tool, **arguments)
        while not result.is_error and (result.structured_content or {}).get("status") == "running":
            result = await self.result("get_job", job_id=(result.structured_content or {})["job_id"])
        assert result.is_error, f"{tool} worked: {text_of(result)}"
        return text_of(result)


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


@asynccontextmanager
async def agent_session(
    folder: Path,
    *,
    demo_files: bool = False,
    run: Run | None = None,
    numerai: bool = True,
    answers: bool | None = True,
    mode: str = "auto",
    credentials: bool = True,
    **settings: Any,
) -> AsyncIterator[Agent]:
    """`answers` is what the user says to every question; None: a client that can't ask. Without `run`, the embedded
    Numerai passes every pickle unrun; without `numerai` there is none."""
    workspace = folder / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    if demo_files:
        for path in DEMO.iterdir():
            shutil.copy(path, workspace)
    async with local_numerai(folder / "numerai", run=run) if numerai else nullcontext() as local:
        nowhere = "http://127.0.0.1:9/"
        known = Settings(
            workspace=workspace.resolve(),
            state_dir=folder / "state",
            cache_dir=folder / "cache",
            api_url=local.api_url if local else nowhere,
            mcp_url=local.mcp_url if local else nowhere,
            credentials=Credentials(token=SecretStr(local.token if local else "PUBLIC$SECRET"), source="the test")
            if credentials
            else None,
        ).model_copy(update=settings)
        questions: list[str] = []

        async def answer(_: Any, question: Any) -> ElicitResult:
            questions.append(question.message)
            return ElicitResult(action="accept", content={"proceed": bool(answers)})

        callback = None if answers is None else answer
        async with Client(build_server(known), elicitation_callback=callback, mode=mode) as client:
            yield Agent(client, workspace, known, local, questions)
