"""Listens, says where, and only then imports what answers: whoever reads the address need not wait for it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import anyio

from server.local_numerai.store import Store
from server.web import address, listen


async def serve_local(
    host: str, port: int, state_dir: Path, *, announce: Callable[[str], None], cache_dir: Path | None = None
) -> None:
    """Serve until SIGTERM or SIGINT. `announce` gets the three lines of addresses and key, one a call.

    Uploaded pickles are run in their image where the engine has it, else in a venv under `cache_dir` (None: under
    `state_dir`).

    Raises:
        InputError: the address cannot be bound.
    """
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        listener = listen(host, port)
        store = Store(state_dir)
        base = address(listener, host)
        announce(f"NUMERAI_API_URL={base}/")
        announce(f"NUMERAI_MCP_URL={base}/mcp")
        announce(f"NUMERAI_MCP_AUTH={store.token}")
        from server.local_numerai.app import serving
        from server.local_numerai.runs import runner

        async with serving(listener, host, store, run=runner(cache_dir or state_dir / "cache")):
            await anext(aiter(signals))
