"""The embedded Numerai on a loopback port: GraphQL at `/`, MCP at `/mcp`, files under `/storage`."""

from __future__ import annotations

import hmac
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.local_numerai.api import Api, Caller
from server.local_numerai.faults import Faults, FaultState, FaultyApp
from server.local_numerai.graphql_endpoint import execute
from server.local_numerai.mcp_endpoint import build_mcp
from server.local_numerai.runs import Run
from server.local_numerai.storage import Storage
from server.local_numerai.store import Store
from server.local_numerai.validation import Validation
from server.web import WebServer, address, listen


@dataclass
class LocalNumerai:
    """A running embedded Numerai. Its parts are open to tests; clients know the addresses and the key."""

    api_url: str
    mcp_url: str
    token: str
    store: Store
    storage: Storage
    faults: FaultState
    round_open: bool = True


@asynccontextmanager
async def local_numerai(
    state_dir: Path, *, host: str = "127.0.0.1", port: int = 0, run: Run | None = None
) -> AsyncGenerator[LocalNumerai]:
    """An embedded Numerai that serves until the context ends. Port 0: a free one.

    `run` executes uploaded pickles; without it every pickle passes unrun.

    Raises:
        InputError: the address cannot be bound.
    """
    async with serving(listen(host, port), host, Store(state_dir), run=run) as local:
        yield local


@asynccontextmanager
async def serving(listener: socket.socket, host: str, store: Store, *, run: Run | None) -> AsyncGenerator[LocalNumerai]:
    """The embedded Numerai on a socket that listens, over what is stored."""
    base = address(listener, host)
    storage = Storage(store, base)
    local = LocalNumerai(f"{base}/", f"{base}/mcp", store.token, store, storage, FaultState())
    async with anyio.create_task_group() as tasks:
        validation = Validation(store, run, tasks, lambda: local.round_open)
        api = Api(
            store,
            put_url=storage.put_url,
            get_url=storage.get_url,
            start=validation.start,
            round_open=lambda: local.round_open,
        )
        validation.resume()
        config = uvicorn.Config(
            FaultyApp(_build_app(api, local, host), local.faults),
            http="h11",
            loop="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            log_level="critical",
            timeout_graceful_shutdown=0,
        )
        server = WebServer(config)
        stopped = anyio.Event()

        async def serve() -> None:
            await server.serve([listener])
            stopped.set()

        tasks.start_soon(serve)
        try:
            yield local
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                await stopped.wait()
            tasks.cancel_scope.cancel()


def _build_app(api: Api, local: LocalNumerai, host: str) -> Starlette:
    def caller(authorization: str | None) -> Caller:
        given = (authorization or "").removeprefix("Token ").strip()
        return Caller(known=hmac.compare_digest(given.encode(), local.token.encode()))

    async def answer(authorization: str | None, body: Any) -> dict[str, Any]:
        return await execute(api, caller(authorization), body)

    async def graphql(request: Request) -> Response:
        try:
            body = await request.json()
        except ValueError:
            return JSONResponse({"errors": [{"message": "The body is no JSON"}]}, status_code=400)
        return JSONResponse(await answer(request.headers.get("authorization"), body))

    async def set_faults(request: Request) -> Response:
        local.faults.set(Faults.model_validate(await request.json()))
        return JSONResponse({})

    mcp = build_mcp(answer)
    mcp_app = mcp.streamable_http_app(stateless_http=True, json_response=True, host=host)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with mcp.session_manager.run():
            yield

    routes = [
        Route("/", graphql, methods=["POST"]),
        Route("/faults", set_faults, methods=["POST"]),
        Route("/storage/{filename:path}", local.storage.put, methods=["PUT"]),
        Route("/storage/{filename:path}", local.storage.get, methods=["GET"]),
        *mcp_app.routes,
    ]
    return Starlette(routes=routes, lifespan=lifespan)
