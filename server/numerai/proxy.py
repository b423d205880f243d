"""Passes the read-only tools of Numerai's own MCP server on, under a prefix; the key stays with this server.

Never a tool that takes a query: raw GraphQL can return secrets.
"""

from __future__ import annotations

import logging
from typing import Any

import mcp_types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from server.errors import PickleMcpError
from server.redaction import redact
from server.settings import Settings

PREFIX = "numerai_"
TOKEN_ARGUMENT = "apiToken"
log = logging.getLogger(__name__)


class NumeraiProxy:
    """Middleware of the MCP server. Numerai is asked for its tools at the first `tools/list` that succeeds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._transport: Any = None

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Adds to the list of tools, and answers calls of those that it added."""
        params = ctx.params or {}
        if ctx.method == "tools/call" and str(params.get("name", "")).startswith(PREFIX):
            return await self._call(str(params["name"]).removeprefix(PREFIX), params.get("arguments") or {})
        result = await call_next(ctx)
        if ctx.method != "tools/list":
            return result
        listed = mcp_types.ListToolsResult.model_validate(result)
        listed.tools += await self._listed()
        return listed.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def _listed(self) -> list[mcp_types.Tool]:
        try:
            return [_shown(tool) for tool in (await self._readable()).values()]
        except PickleMcpError as error:
            log.warning("Numerai's own tools are left out: %s", redact(str(error), self._settings.credentials))
            return []

    async def _call(self, name: str, arguments: dict[str, Any]) -> mcp_types.CallToolResult:
        try:
            if name not in await self._readable():
                return _failed(f"Numerai's MCP server has no read-only tool {name}.")
            if TOKEN_ARGUMENT in arguments:
                return _failed("Never pass an API key to a tool: this server adds its own.")
            result = await self._transport.pass_on(name, arguments)
        except PickleMcpError as error:
            return _failed(redact(str(error), self._settings.credentials))
        safe = redact(result.model_dump_json(by_alias=True), self._settings.credentials)
        return mcp_types.CallToolResult.model_validate_json(safe)

    async def _readable(self) -> dict[str, mcp_types.Tool]:
        if self._transport is None:
            # Imported late: this is in reach of start-up, and httpx2 is not for it.
            from server.numerai.mcp_transport import NumeraiMcp
            from server.numerai.pace import Pace

            self._transport = NumeraiMcp(self._settings, Pace(attempts=2, call_seconds=15.0))
        tools: dict[str, mcp_types.Tool] = await self._transport.tools()
        return {
            name: tool
            for name, tool in tools.items()
            if tool.annotations and tool.annotations.read_only_hint and "query" not in _properties(tool)
        }


def _shown(tool: mcp_types.Tool) -> mcp_types.Tool:
    schema = dict(tool.input_schema)
    schema["properties"] = {key: value for key, value in _properties(tool).items() if key != TOKEN_ARGUMENT}
    schema["required"] = [key for key in schema.get("required", []) if key != TOKEN_ARGUMENT]
    return tool.model_copy(update={"name": PREFIX + tool.name, "input_schema": schema, "output_schema": None})


def _properties(tool: mcp_types.Tool) -> dict[str, Any]:
    return tool.input_schema.get("properties") or {}


def _failed(text: str) -> mcp_types.CallToolResult:
    return mcp_types.CallToolResult(content=[mcp_types.TextContent(type="text", text=text)], is_error=True)
