"""`serve --transport http`: MCP at /mcp, behind a bearer token unless only this machine can reach it."""

from __future__ import annotations

import hmac
import os
import signal
import socket
from collections.abc import Iterable, Mapping

import anyio
import uvicorn
from anyio.abc import TaskStatus
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from server.app import build_server
from server.errors import InputError
from server.serve import CLEANUP_SECONDS
from server.settings import Settings, is_loopback
from server.web import WebServer, address, in_url, listen

TOKEN_VARIABLE = "NUMERAI_PICKLE_MCP_TOKEN"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_BODY_BYTES = 1024 * 1024
MAX_SESSIONS = 64
DRAIN_SECONDS = 1
"""Requests that still wait then are ended: a wait for a job can take ten minutes."""


async def serve_http(settings: Settings, host: str, port: int, allowed_hosts: Iterable[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT, then end all jobs with their children; gives the exit status, 0.

    Prints the URL to stdout. `allowed_hosts`: names beside its own under which clients reach this machine.

    Raises:
        InputError: the address cannot be bound, or others could reach it and there is no token.
    """
    token = _token(os.environ, host)
    listener = listen(host, port)
    url = f"{address(listener, host)}/mcp"
    app: ASGIApp = build_server(settings).streamable_http_app(
        max_request_body_size=MAX_BODY_BYTES,
        max_sessions=MAX_SESSIONS,
        transport_security=_security(host, allowed_hosts),
        host=host,
    )
    web = WebServer(
        uvicorn.Config(
            _with_token(app, token) if token else app,
            loop="none",
            lifespan="on",
            access_log=False,
            log_level="critical",
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    async with anyio.create_task_group() as tasks:
        await tasks.start(_end_on_signal, web)
        print(f"Serving MCP at {url}" + ("" if token else ", without a token: for this machine only"), flush=True)
        await web.serve([listener])
        tasks.cancel_scope.cancel()
    return 0


def _token(environ: Mapping[str, str], host: str) -> str | None:
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if token or is_loopback(f"http://{in_url(host)}"):
        return token or None
    raise InputError(
        f"Others can reach {host}, so every request has to carry a token, and none is configured.",
        evidence=f"{TOKEN_VARIABLE} is not set.",
        next_step=f"Set {TOKEN_VARIABLE} to a long random text, and the client's Authorization header to `Bearer` and "
        "that text; or serve on 127.0.0.1.",
    )


def _security(host: str, allowed_hosts: Iterable[str]) -> TransportSecuritySettings:
    """The Host and Origin headers that are let in, with any port: a web page elsewhere sends its own name."""
    names = [in_url(name) for name in (*LOOPBACK, host, socket.gethostname(), *allowed_hosts)]
    origins = [f"{scheme}://{name}" for scheme in ("http", "https") for name in names]
    return TransportSecuritySettings(
        allowed_hosts=[*names, *(f"{name}:*" for name in names)],
        allowed_origins=[*origins, *(f"{origin}:*" for origin in origins)],
    )


def _with_token(app: ASGIApp, token: str) -> ASGIApp:
    """The app behind `Authorization: Bearer TOKEN`; 401 without it."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict[bytes, bytes](scope["headers"]).get(b"authorization", b"")
            scheme, _, value = given.partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(value.strip(), token.encode()):
                refusal = JSONResponse(
                    {"error": "invalid_token"}, status_code=401, headers={"WWW-Authenticate": "Bearer"}
                )
                await refusal(scope, receive, send)
                return
        await app(scope, receive, send)

    return guarded


async def _end_on_signal(web: WebServer, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            web.should_exit = True
            await anyio.sleep(CLEANUP_SECONDS)
            # A job that does not end must not keep the process.
            os._exit(128 + number)
