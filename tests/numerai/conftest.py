"""A real embedded Numerai for each test, in a thread of its own, and clients over both transports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from pydantic import SecretStr

from server.local_numerai.app import LocalNumerai, local_numerai
from server.numerai.client import Numerai, open_numerai
from server.numerai.pace import Pace, Waits
from server.settings import Credentials, Settings

FAST = Pace(
    attempts=4,
    retry=Waits(0.01, longest=0.05),
    looks=3,
    look=Waits(0.01, longest=0.05),
    poll=Waits(0.01, longest=0.05),
    call_seconds=3.0,
    watch_seconds=20.0,
)
"""Everything as in production, only sooner."""


@contextmanager
def serving(state_dir: Path, **named: Any) -> Iterator[LocalNumerai]:
    """An embedded Numerai in a thread, so that tests need not share an event loop with it."""
    ready, started, box = threading.Event(), list[LocalNumerai](), list[BaseException]()
    stop: list[Callable[[], None]] = []

    async def serve() -> None:
        stopping = anyio.Event()
        async with local_numerai(state_dir, **named) as local:
            token = anyio.lowlevel.current_token()
            stop.append(lambda: anyio.from_thread.run_sync(stopping.set, token=token))
            started.append(local)
            ready.set()
            await stopping.wait()

    def run() -> None:
        try:
            anyio.run(serve)
        except BaseException as error:
            box.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(20)
    if box:
        raise box[0]
    try:
        yield started[0]
    finally:
        stop[0]()
        thread.join(20)


def settings_for(local: LocalNumerai, folder: Path, transport: Literal["graphql", "mcp"] = "graphql") -> Settings:
    """Settings that know the embedded Numerai and its key."""
    return Settings(
        workspace=folder,
        state_dir=folder / "state",
        cache_dir=folder / "cache",
        api_url=local.api_url,
        mcp_url=local.mcp_url,
        transport=transport,
        credentials=Credentials(token=SecretStr(local.token), source="the test"),
    )


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalNumerai]:
    """A fresh account at a fresh Numerai that passes every pickle without running it."""
    with serving(tmp_path / "numerai") as running:
        yield running


@pytest.fixture(params=["graphql", "mcp"])
def transport(request: pytest.FixtureRequest) -> Literal["graphql", "mcp"]:
    return request.param


@pytest.fixture
def connect(
    local: LocalNumerai, tmp_path: Path, transport: Literal["graphql", "mcp"]
) -> Callable[[], AbstractAsyncContextManager[Numerai]]:
    """`async with connect() as numerai`: over each transport in turn."""
    return lambda: open_numerai(settings_for(local, tmp_path, transport), FAST)
