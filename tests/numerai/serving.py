"""An embedded Numerai in a thread, and settings that know it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
from pydantic import SecretStr

from server.local_numerai.app import LocalNumerai, local_numerai
from server.local_numerai.faults import FaultKind, Faults, Rule
from server.local_numerai.store import new_id, now
from server.numerai.client import Numerai
from server.numerai.pace import Pace, Waits
from server.settings import Credentials, Settings

TransportName = Literal["graphql", "mcp"]
Connect = Callable[..., AbstractAsyncContextManager[Numerai]]
"""`async with connect() as numerai`; `token=` another key, or None."""

FAST = Pace(
    attempts=4,
    retry=Waits(0.01, longest=0.05),
    looks=3,
    look=Waits(0.02, longest=0.1),
    poll=Waits(0.01, longest=0.1),
    call_seconds=1.5,
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


def all_calls(kind: FaultKind) -> Faults:
    """Every call fails so, from now on."""
    return Faults(rules=[Rule(operation="*", kind=kind, times=10_000)])


def one_call(operation: str, kind: FaultKind, *, first: int = 1, times: int = 1) -> Faults:
    """These calls of one operation fail so."""
    return Faults(rules=[Rule(operation=operation, kind=kind, first=first, times=times)])


def registered(local: LocalNumerai) -> str:
    """The id of a validated pickle in the account, put there without a client."""
    pickle_id = new_id()
    name = f"{pickle_id}.pkl"
    (local.store.pickle_folder / name).write_bytes(b"pickle")
    local.store.files[name] = {"modelId": None, "size": 6, "sha256": ""}
    local.store.pickles[pickle_id] = {
        "id": pickle_id,
        "filename": name,
        "label": None,
        "modelId": None,
        "dockerImageId": "4d39918c-a82b-42ea-8dc7-ed5a30e676c5",
        "diagnosticsId": None,
        "validationStatus": "validated",
        "triggerStatus": "submission_succeeded",
        "insertedAt": now(),
        "updatedAt": now(),
    }
    return pickle_id
