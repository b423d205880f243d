"""Numerai's own MCP server, as far as model uploads need it. Answers are keyed by the GraphQL field's name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from server.numerai.operations import operation as documents

Execute = Callable[[str | None, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Answers a GraphQL request body for the value of an Authorization header."""

ApiToken = Annotated[str | None, Field(description="PUBLIC_ID$SECRET_KEY; the Authorization header serves as well")]

Operation = Literal[
    "get_upload_auth", "create", "list", "assign", "trigger", "get_logs", "list_data_versions", "list_docker_images"
]
FIELDS = {
    "get_upload_auth": "computePickleUploadAuth",
    "create": "createComputePickleUpload",
    "list": "computePickles",
    "assign": "assignPickleToModel",
    "trigger": "triggerComputePickleUpload",
    "list_data_versions": "computePickleDataVersions",
    "list_docker_images": "computePickleDockerImages",
}
READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)


def build_mcp(execute: Execute) -> MCPServer[Any]:
    """The MCP server over the same account."""
    mcp = MCPServer("numerai", instructions="The embedded stand-in of Numerai's MCP server.", log_level="ERROR")

    async def answer(context: Context[Any, Any], token: str | None, body: dict[str, Any]) -> dict[str, Any]:
        header = f"Token {token.removeprefix('Token ')}" if token else (context.headers or {}).get("authorization")
        reply = await execute(header, body)
        if reply.get("errors"):
            raise ToolError("; ".join(str(error.get("message")) for error in reply["errors"]))
        return reply["data"]

    async def run(
        context: Context[Any, Any], token: str | None, field: str, variables: dict[str, Any]
    ) -> dict[str, Any]:
        body = {"query": documents(field).document, "variables": variables}
        return await answer(context, token, body)

    @mcp.tool(annotations=READS)
    async def check_api_credentials(context: Context[Any, Any], apiToken: ApiToken = None) -> dict[str, Any]:
        """Verify the API token and list its scopes."""
        return await run(context, apiToken, "apiTokenInfo", {})

    @mcp.tool(annotations=CHANGES)
    async def create_model(
        context: Context[Any, Any], name: str, tournament: int = 8, apiToken: ApiToken = None
    ) -> dict[str, Any]:
        """Create a model in a tournament."""
        return await run(context, apiToken, "addModel", {"name": name, "tournament": tournament})

    @mcp.tool(annotations=CHANGES)
    async def upload_model(
        context: Context[Any, Any],
        operation: Operation,
        modelId: str | None = None,
        filename: str | None = None,
        pickleId: str | None = None,
        triggerId: str | None = None,
        dockerImageId: str | None = None,
        dataVersionId: str | None = None,
        tournament: int = 8,
        triggerValidation: bool = False,
        unassigned: bool = False,
        apiToken: ApiToken = None,
    ) -> dict[str, Any]:
        """Upload pickles in steps: get_upload_auth, PUT the file, create, list until validated, assign."""
        given = {
            "id": pickleId,
            "modelId": modelId,
            "filename": filename or "model.pkl",
            "pickleId": pickleId,
            "triggerId": triggerId,
            "dockerImageId": dockerImageId,
            "dataVersionId": dataVersionId,
            "tournament": tournament,
            "triggerValidation": triggerValidation,
            "unassigned": unassigned,
            "deprecated": False,
        }
        if operation == "get_logs":
            field = "triggerLogs" if triggerId else "diagnosticsTriggerLogs"
        else:
            field = FIELDS[operation]
        document = documents(field).document
        return await run(
            context, apiToken, field, {name: value for name, value in given.items() if f"${name}:" in document}
        )

    @mcp.tool(annotations=READS)
    async def graphql_query(
        context: Context[Any, Any], query: str, variables: dict[str, Any] | None = None, apiToken: ApiToken = None
    ) -> dict[str, Any]:
        """Run a GraphQL query."""
        if query.lstrip().startswith("mutation"):
            raise ToolError("graphql_query runs queries, no mutations")
        return await answer(context, apiToken, {"query": query, "variables": variables})

    return mcp
