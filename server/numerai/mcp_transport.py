"""The MCP transport: the same operations through the tools of Numerai's own MCP server."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

import httpx2
import mcp_types
from mcp import Client, MCPError
from mcp.client.client import ConnectMode
from mcp.client.streamable_http import streamable_http_client
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from server.errors import NumeraiFailure, NumeraiRefused
from server.numerai.graphql import field_of, retry_after
from server.numerai.operations import Operation
from server.numerai.pace import Pace, PassingFault, attempt
from server.numerai.refusals import INTERNAL, refusal
from server.settings import Settings

T = TypeVar("T")

# The SDK logs answers that it cannot read, and one may hold a presigned address; httpx2 logs every address.
logging.getLogger("mcp.client").setLevel(logging.CRITICAL)
logging.getLogger("httpx2").setLevel(logging.WARNING)

TOOLS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "apiTokenInfo": ("check_api_credentials", {}),
    "addModel": ("create_model", {}),
    "computePickleUploadAuth": ("upload_model", {"operation": "get_upload_auth"}),
    "createComputePickleUpload": ("upload_model", {"operation": "create"}),
    "computePickles": ("upload_model", {"operation": "list"}),
    "assignPickleToModel": ("upload_model", {"operation": "assign"}),
    "triggerComputePickleUpload": ("upload_model", {"operation": "trigger"}),
    "triggerLogs": ("upload_model", {"operation": "get_logs"}),
    "computePickleDataVersions": ("upload_model", {"operation": "list_data_versions"}),
    "computePickleDockerImages": ("upload_model", {"operation": "list_docker_images"}),
}
"""Root field -> tool and fixed arguments. Other queries go through `graphql_query`; other mutations have no tool."""

TOKEN_ARGUMENT = "apiToken"
OPTIONAL_FILTERS = frozenset(("id", "unassigned", "deprecated", "tournament"))
"""Variables that only narrow an answer: left out where a tool does not take them, as callers look at the answer."""


class NumeraiMcp:
    """Calls the tools of Numerai's MCP server. `name` is its value of NUMERAI_TRANSPORT."""

    name = "mcp"

    def __init__(self, settings: Settings, pace: Pace) -> None:
        self._settings = settings
        self._pace = pace
        self._tools: dict[str, mcp_types.Tool] = {}
        self._mode: ConnectMode = "auto"
        self._discovered: mcp_types.DiscoverResult | None = None
        self._certificates = httpx2.create_ssl_context()

    async def call(self, operation: Operation, variables: Mapping[str, Any]) -> Any:
        """The value of the operation's root field.

        Raises:
            CredentialsMissing, NumeraiRefused, NumeraiUnreachable, OutcomeUnknown.
        """

        name, fixed = _tool_of(operation)
        if not operation.public:
            self._settings.require_credentials()
        await self.tools()
        arguments = self._arguments(name, fixed, operation, variables)

        async def send() -> Any:
            result = await self._exchange(lambda client: client.call_tool(name, arguments), operation.field)
            return value_of(result, operation)

        return await attempt(send, what=operation.field, changes=operation.changes, pace=self._pace)

    async def tools(self) -> Mapping[str, mcp_types.Tool]:
        """Its tools by name, asked for once."""

        async def send() -> None:
            listed = await self._exchange(lambda client: client.list_tools(), "tools/list")
            self._tools = {tool.name: tool for tool in listed.tools}

        if not self._tools:
            await attempt(send, what="the list of its tools", changes=False, pace=self._pace)
        return self._tools

    async def pass_on(self, name: str, arguments: Mapping[str, Any]) -> mcp_types.CallToolResult:
        """The answer of a tool that only reads; the key goes with it in the header."""
        given = self._with_key((await self.tools())[name], arguments)
        ask = partial(self._exchange, lambda client: client.call_tool(name, given), name)
        return await attempt(ask, what=name, changes=False, pace=self._pace)

    async def _exchange(self, ask: Callable[[Client], Awaitable[T]], what: str) -> T:
        """The answer to one request on a connection of its own: a broken session never spoils the next call."""
        last = _LastResponse()
        answers: list[T] = []
        sent = False
        try:
            async with self._open(last) as client:
                sent = True
                answers.append(await ask(client))
        except (MCPError, httpx2.HTTPError, httpx2.StreamError, ExceptionGroup, ValidationError, OSError) as error:
            # Closing may fail after the answer came: the answer counts.
            if not answers:
                raise _failure(error, last, what, sent=sent) from None
        return answers[0]

    @asynccontextmanager
    async def _open(self, last: _LastResponse) -> AsyncGenerator[Client]:
        headers = {}
        if self._settings.credentials:
            headers["Authorization"] = self._settings.credentials.authorization
        timeout = httpx2.Timeout(self._pace.call_seconds, connect=min(15.0, self._pace.call_seconds))
        async with (
            httpx2.AsyncClient(
                headers=headers, timeout=timeout, verify=self._certificates, event_hooks={"response": [last.note]}
            ) as http,
            Client(
                streamable_http_client(self._settings.mcp_url, http_client=http),
                mode=self._mode,
                prior_discover=self._discovered,
                read_timeout_seconds=self._pace.call_seconds,
                cache=None,
            ) as client,
        ):
            modern = client.protocol_version in MODERN_PROTOCOL_VERSIONS
            self._mode = client.protocol_version if modern else "legacy"
            self._discovered = client.session.discover_result if modern else None
            yield client

    def _arguments(
        self, name: str, fixed: Mapping[str, str], operation: Operation, variables: Mapping[str, Any]
    ) -> dict[str, Any]:
        tool = self._tools.get(name)
        if tool is None:
            raise _not_possible(operation, f"it has no tool {name}")
        if name == "graphql_query":
            given: dict[str, Any] = {"query": operation.document, "variables": dict(variables)}
        else:
            given = {**fixed, **{key: value for key, value in variables.items() if value is not None}}
        takes = tool.input_schema.get("properties") or {}
        # An argument that a tool does not know is ignored in silence: a pickle would run in the wrong image.
        lacking = [key for key in given if takes and key not in takes and key not in OPTIONAL_FILTERS]
        if lacking:
            raise _not_possible(operation, f"its tool {name} takes no {' and no '.join(lacking)}")
        arguments = {key: value for key, value in given.items() if not takes or key in takes}
        return arguments if operation.public else self._with_key(tool, arguments)

    def _with_key(self, tool: mcp_types.Tool, arguments: Mapping[str, Any]) -> dict[str, Any]:
        # It is in the header too, but some of Numerai's tools want it as an argument.
        credentials = self._settings.credentials
        if credentials is None or TOKEN_ARGUMENT not in (tool.input_schema.get("properties") or {}):
            return dict(arguments)
        return {**arguments, TOKEN_ARGUMENT: credentials.token.get_secret_value()}


@asynccontextmanager
async def open_mcp(settings: Settings, pace: Pace) -> AsyncGenerator[NumeraiMcp]:
    """The transport. It holds no connection between calls."""
    yield NumeraiMcp(settings, pace)


class _LastResponse:
    """Status and headers of the newest HTTP answer: the SDK does not pass them on."""

    status: int | None = None
    retry_after: float | None = None

    async def note(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.retry_after = retry_after(response.headers)


def value_of(result: mcp_types.CallToolResult, operation: Operation) -> Any:
    """The operation's value in a tool's answer: structured or JSON text, keyed by the field's name or bare."""
    text = "\n".join(block.text for block in result.content if isinstance(block, mcp_types.TextContent))
    if result.is_error:
        if INTERNAL.search(text):
            raise PassingFault(f"the tool failed: {text[:200]}", maybe_done=True)
        raise refusal(text, operation.field)
    body = _json(text) if result.structured_content is None else result.structured_content
    if isinstance(body, dict) and body.keys() == {"result"}:
        body = _json(body["result"]) if isinstance(body["result"], str) else body["result"]
    if not isinstance(body, dict):
        return body
    reply = cast("dict[str, Any]", body)
    if "errors" in reply or isinstance(reply.get("data"), dict):
        return field_of(reply, operation)
    return reply.get(operation.field, reply)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tool_of(operation: Operation) -> tuple[str, Mapping[str, str]]:
    if operation.field in TOOLS:
        return TOOLS[operation.field]
    if operation.changes:
        raise _not_possible(operation, "it has no tool for it")
    return "graphql_query", {}


def _not_possible(operation: Operation, why: str) -> NumeraiRefused:
    return NumeraiRefused(
        f"Numerai's MCP server cannot do {operation.field}: {why}.",
        next_step="Set NUMERAI_TRANSPORT=graphql in the server's environment and restart the server.",
    )


def _failure(error: Exception, last: _LastResponse, what: str, *, sent: bool) -> PassingFault | NumeraiFailure:
    status = last.status or 0
    if status in (401, 403):
        return refusal(f"HTTP {status}: not authenticated", what)
    if status == 429:
        return PassingFault("HTTP 429, too many requests", maybe_done=False, retry_after=last.retry_after)
    if 300 <= status < 400:
        return NumeraiRefused(
            "The address in NUMERAI_MCP_URL redirects elsewhere; the key is not sent there.",
            next_step="Set NUMERAI_MCP_URL to the final address, or unset it for Numerai itself.",
        )
    if isinstance(error, MCPError) and error.code in (mcp_types.METHOD_NOT_FOUND, mcp_types.INVALID_PARAMS):
        return refusal(str(error), what)
    told = f"HTTP {status}" if status >= 400 else "no usable answer"
    return PassingFault(told, maybe_done=sent, retry_after=last.retry_after)
