"""`numerai-pickle-mcp serve`: the MCP server on stdio or HTTP. Imports nothing of the other commands."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from server.app import build_server
from server.errors import PickleMcpError
from server.settings import Settings, read_settings

CLEANUP_SECONDS = 15.0


def main(arguments: list[str]) -> int:
    """Serve until the client leaves or the process is told to stop; gives the exit status."""
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings(
            os.environ,
            workspace=options.workspace,
            allowed_dirs=tuple(options.allow_dir),
            read_only=options.read_only,
            proxy_numerai=options.proxy_numerai,
        )
        if options.transport == "stdio":
            return anyio.run(_serve_stdio, settings)
        from server.serve_http import serve_http

        return anyio.run(serve_http, settings, options.host, options.port, options.allow_host)
    except PickleMcpError as failure:
        print(failure, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="numerai-pickle-mcp serve", description="Serve MCP to an agent's client.")
    parser.add_argument("--workspace", type=Path, default=Path(), help="folder that tools may read and write")
    parser.add_argument("--allow-dir", type=Path, action="append", default=[], help="a further such folder")
    parser.add_argument("--transport", choices=("stdio", "http"), default="stdio")
    parser.add_argument("--host", default="127.0.0.1", help="for http")
    parser.add_argument("--port", type=int, default=8765, help="for http; 0 takes a free one")
    parser.add_argument(
        "--allow-host", action="append", default=[], help="for http: a further name under which clients reach it"
    )
    parser.add_argument("--read-only", action="store_true", help="leave out every tool that changes the account")
    parser.add_argument("--proxy-numerai", action="store_true", help="pass on the read-only tools of Numerai's own MCP")
    return parser


async def _serve_stdio(settings: Settings) -> int:
    closed = anyio.Event()
    server = build_server(settings, closed)
    async with anyio.create_task_group() as tasks:
        await tasks.start(_end_on_signal, tasks.cancel_scope, closed)
        await server.run_stdio_async()
        tasks.cancel_scope.cancel()
    return 0


async def _end_on_signal(
    serving: anyio.CancelScope, closed: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """A signal would skip the lifespan and orphan the children: end the work first, then the process."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            serving.cancel()
            with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
                await closed.wait()
            # The thread that is blocked on reading stdin can't be cancelled: the process ends without it.
            os._exit(128 + number)
