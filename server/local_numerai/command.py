"""`numerai-pickle-mcp local-numerai`."""

from __future__ import annotations

import functools
import os
from contextlib import nullcontext
from pathlib import Path

import anyio

from server.local_numerai.serve import serve_local
from server.runners.owner import private_folder
from server.settings import cache_folder


def main(host: str, port: int, state: Path | None) -> None:
    """Serve until told to stop; the account lasts in `state`, or only as long as the process where that is None.

    Raises:
        InputError: the address cannot be bound.
    """
    announce = functools.partial(print, flush=True)
    with private_folder() if state is None else nullcontext(state) as folder:
        serve = functools.partial(serve_local, announce=announce, cache_dir=cache_folder(os.environ))
        anyio.run(serve, host, port, folder)
