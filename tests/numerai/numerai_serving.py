"""An embedded Numerai in a thread, and settings that know it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
from pydantic import SecretStr

from server.local_numerai.app import LocalNumerai, local_numerai
from server.numerai.pace import Pace, Waits
from server.settings import Credentials, Settings

TransportName = Literal["graphql", "mcp"]

FAST = Pace(
    attempts=4,
    retry=Waits(0.01, longest=0.05),
    looks=3,
    look=Waits(0.02, longest=0.1),
    poll=Waits(0.01, longest=0.1),
    call_seconds=3.0,
    watch_seconds=30.0,
)
"""Everything as in production, only sooner."""


@contextmanager
def serving(state_dir: Path, **named: Any) -> Generator[LocalNumerai]:
    """An embedded Numerai with an event loop of its own, as it would be in a process of its own."""
    ready = threading.Event()
    running: list[LocalNumerai] = []
    stop: list[Callable[[], None]] = []

    async def serve() -> None:
        stopping = anyio.Event()
        async with local_numerai(state_dir, **named) as local:
            token = anyio.lowlevel.current_token()
            stop.append(lambda: anyio.from_thread.run_sync(stopping.set, token=token))
            running.append(local)
            ready.set()
            await stopping.wait()

    def run() -> None:
        try:
            anyio.run(serve)
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(20)
    try:
        yield running[0]
    finally:
        for each in stop:
            each()
        thread.join(20)


def settings_for(
    api_url: str, mcp_url: str, token: str | None, folder: Path, transport: TransportName = "graphql"
) -> Settings:
    """Settings of a server that works in `folder`."""
    return Settings(
        workspace=folder,
        state_dir=folder / "state",
        cache_dir=folder / "cache",
        api_url=api_url,
        mcp_url=mcp_url,
        transport=transport,
        credentials=Credentials(token=SecretStr(token), source="the test") if token else None,
    )
