"""Faults on demand, for clients that must survive them: by operation, by schedule, by seed."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
from pydantic import BaseModel, ConfigDict
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FaultKind = Literal[
    "http_429",
    "http_503",
    "http_503_after",
    "reset",
    "reset_after",
    "hang",
    "hang_after",
    "slow_body",
    "truncated",
    "not_json",
    "graphql_error",
    "partial",
    "redirect",
    "expired",
]
"""`*_after`: the request was carried out, and its answer is lost. `reset` of a PUT: after a part of the body."""

ONLY_GRAPHQL: Mapping[FaultKind, FaultKind] = {"graphql_error": "http_503", "partial": "http_503_after"}
ENDLESS = 3600.0

MCP_OPERATIONS = {
    "check_api_credentials": "apiTokenInfo",
    "create_model": "addModel",
    "get_upload_auth": "computePickleUploadAuth",
    "create": "createComputePickleUpload",
    "list": "computePickles",
    "assign": "assignPickleToModel",
    "trigger": "triggerComputePickleUpload",
    "get_logs": "triggerLogs",
    "list_data_versions": "computePickleDataVersions",
    "list_docker_images": "computePickleDockerImages",
}


class Rule(BaseModel):
    """The calls number `first` to `first + times - 1` of an operation (a root field, `PUT`, or `*`) fail so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: str
    kind: FaultKind
    first: int = 1
    times: int = 1


class Faults(BaseModel):
    """What fails. With `rate`, any call fails with that probability by the seed, `most` times in all."""

    model_config = ConfigDict(extra="forbid")

    rules: list[Rule] = []
    rate: float = 0.0
    seed: int = 0
    most: int = 20
    kinds: list[FaultKind] = []
    """The kinds that `rate` chooses from."""


@dataclass
class FaultState:
    """The faults in force and what was counted since they were set."""

    faults: Faults = field(default_factory=Faults)
    calls: Counter[str] = field(default_factory=Counter[str])
    injected: list[str] = field(default_factory=list[str])
    """`operation kind` of each fault, in order."""
    _random: random.Random = field(default_factory=random.Random)

    def set(self, faults: Faults) -> None:
        """Replace the faults and count anew."""
        self.faults, self._random = faults, random.Random(faults.seed)
        self.calls.clear()
        self.injected.clear()

    def next(self, operation: str) -> FaultKind | None:
        """The fault of this call, if it has one."""
        self.calls[operation] += 1
        number = self.calls[operation]
        for rule in self.faults.rules:
            if rule.operation in (operation, "*") and rule.first <= number < rule.first + rule.times:
                self.injected.append(f"{operation} {rule.kind}")
                return rule.kind
        chance = self.faults
        if chance.kinds and len(self.injected) < chance.most and self._random.random() < chance.rate:
            kind = self._random.choice(chance.kinds)
            self.injected.append(f"{operation} {kind}")
            return kind
        return None


class FaultyApp:
    """An ASGI application in front of the real one, that fails where the state says so."""

    def __init__(self, app: ASGIApp, state: FaultState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT") or scope["path"] == "/faults":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "PUT":
            kind = self._state.next("PUT")
            # Storage speaks no GraphQL, and never says 200 to what it did not store.
            kind = ONLY_GRAPHQL.get(kind, kind) if kind else None
            replay = receive
        else:
            body = await _read(receive)
            operation = operation_of(body)
            kind = self._state.next(operation) if operation else None
            replay = _replay(body, receive)
        if kind is None:
            await self._app(scope, replay, send)
        else:
            await self._fail(kind, scope, receive, replay, send)

    async def _fail(self, kind: FaultKind, scope: Scope, receive: Receive, replay: Receive, send: Send) -> None:
        if kind == "http_429":
            await _answer(send, 429, b"slow down", {"retry-after": "0"})
        elif kind == "http_503":
            await _answer(send, 503, b"<html>no server is available</html>")
        elif kind == "redirect":
            await _answer(send, 307, b"", {"location": "http://localhost:9/elsewhere"})
        elif kind == "graphql_error":
            await _answer(
                send, 200, json.dumps({"errors": [{"message": "Internal server error"}], "data": None}).encode()
            )
        elif kind == "expired":
            await _answer(send, 403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
        elif kind == "hang":
            await anyio.sleep(ENDLESS)
        elif kind == "reset":
            await receive()
            _abort(receive)
        else:
            status, body = await self._carry_out(scope, replay)
            await _lose(kind, status, body, receive, send)

    async def _carry_out(self, scope: Scope, replay: Receive) -> tuple[int, bytes]:
        status, body = 500, b""

        async def keep(message: Message) -> None:
            nonlocal status, body
            status = message.get("status", status)
            body += message.get("body", b"")

        await self._app(scope, replay, keep)
        return status, body


async def _lose(kind: FaultKind, status: int, body: bytes, receive: Receive, send: Send) -> None:
    if kind == "reset_after":
        _abort(receive)
    elif kind == "hang_after":
        await anyio.sleep(ENDLESS)
    elif kind == "http_503_after":
        await _answer(send, 503, b"<html>no server is available</html>")
    elif kind == "not_json":
        await _answer(send, status, b"<html>" + body[:20] + b"</html>")
    elif kind == "partial":
        answer: dict[str, Any] = json.loads(body)
        await _answer(send, status, json.dumps(answer | {"errors": [{"message": "a resolver timed out"}]}).encode())
    else:
        await _start(send, status, len(body))
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        if kind == "slow_body":
            await anyio.sleep(ENDLESS)
        _abort(receive)


def operation_of(body: bytes) -> str | None:
    """The root field that a GraphQL request or a call of an MCP tool is about; None for the rest of MCP."""
    try:
        request: Any = json.loads(body)
    except ValueError:
        return "*"
    if not isinstance(request, Mapping):
        return "*"
    if "query" in request:
        return _root_field(str(request["query"]))
    parameters: Any = request.get("params") or {}
    if request.get("method") != "tools/call":
        return None
    arguments: Any = parameters.get("arguments") or {}
    if parameters.get("name") == "graphql_query":
        return _root_field(str(arguments.get("query")))
    return MCP_OPERATIONS.get(arguments.get("operation") or parameters.get("name"), "*")


def _root_field(query: str) -> str:
    _, _, selection = query.partition("{")
    return selection.replace("(", " ").replace("{", " ").replace("}", " ").split()[0] if selection.split() else "*"


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _abort(receive: Receive) -> None:
    # ASGI has no way to drop a connection; uvicorn's `receive` is a method of the cycle that knows the socket.
    receive.__self__.transport.abort()  # pyright: ignore[reportFunctionMemberAccess]


async def _start(send: Send, status: int, length: int, headers: Mapping[str, str] | None = None) -> None:
    fields = {"content-type": "application/json", "content-length": str(length)} | dict(headers or {})
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _answer(send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    await _start(send, status, len(body), headers)
    await send({"type": "http.response.body", "body": body})
