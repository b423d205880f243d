"""How a plain async function becomes a tool: annotations, closed schemas, results as text and structure, errors."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec, TypeVar, cast

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from server.errors import JobFailure, PickleMcpError
from server.jobs import JobRecord, Work
from server.redaction import failure_text, redact

if TYPE_CHECKING:
    from server.app import App

TEXT_LIMIT = 7_500

Ctx = Context[Any, Any]
P = ParamSpec("P")
R = TypeVar("R")
J = TypeVar("J", bound="JobResult")

WaitSeconds = Annotated[
    int,
    Field(ge=0, le=600, description="Then the job goes on by itself."),
]
Confirm = Annotated[str | None, Field(description="The code, once the user agreed.")]


class Result(BaseModel):
    """What a tool returns."""

    model_config = ConfigDict(extra="forbid")

    summary: str

    def text(self) -> str:
        """The summary and the facts that are not null, one a line, bounded."""
        lines = [self.summary]
        for name, value in self.model_dump(mode="json", exclude={"summary"}, exclude_none=True).items():
            if value not in ([], {}, ""):
                shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                lines.append(f"{name}: {shown if len(shown) < 1500 else shown[:1500] + ' ...'}")
        text = "\n".join(lines)
        return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + "\n[cut; the structured content has all]"


class JobResult(Result):
    """What a tool that works as a job returns; its own fields are null while the job runs."""

    status: Literal["done", "running"] = "done"
    job_id: str | None = None


@dataclass(frozen=True)
class ToolSpec:
    """A tool before it is registered."""

    fn: Callable[..., Awaitable[Result]]
    title: str
    annotations: ToolAnnotations
    changes_account: bool


def tool(
    title: str,
    *,
    writes: bool = False,
    destroys: bool = False,
    repeatable: bool = True,
    outside: bool = False,
    changes_account: bool = False,
) -> Callable[[Callable[P, Awaitable[Result]]], Callable[P, Awaitable[Result]]]:
    """Marks a tool. `outside`: it talks to Numerai or docker's registry; `changes_account`: it asks, and
    `--read-only` removes it."""

    def mark(fn: Callable[P, Awaitable[Result]]) -> Callable[P, Awaitable[Result]]:
        annotations = ToolAnnotations(
            read_only_hint=not (writes or changes_account),
            destructive_hint=destroys,
            idempotent_hint=repeatable,
            open_world_hint=outside,
        )
        fn.__tool_spec__ = ToolSpec(fn, title, annotations, changes_account)  # type: ignore[attr-defined]
        return fn

    return mark


def specs_of(module: object) -> list[ToolSpec]:
    """The tools that a module defines, in their order."""
    found = (getattr(value, "__tool_spec__", None) for value in vars(module).values())
    return [cast(ToolSpec, spec) for spec in found if spec is not None]


def build_tool(spec: ToolSpec) -> Tool:
    """The SDK's tool: unknown arguments refused, schemas without ornament, expected failures as ToolError."""
    description = " ".join((spec.fn.__doc__ or "").split())
    built = Tool.from_function(
        _guarded(spec.fn), title=spec.title, description=description, annotations=spec.annotations
    )
    arguments = built.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    built.parameters = _compact(arguments.model_json_schema(by_alias=True))
    built.parameters["additionalProperties"] = False
    if built.fn_metadata.output_schema is not None:
        built.fn_metadata.output_schema = _output_schema(built.fn_metadata.output_schema)
    return built


def state(ctx: Ctx) -> App:
    """What the server holds for its tools."""
    return cast("App", ctx.request_context.lifespan_context)


def expected_failure(ctx: Ctx, failure: PickleMcpError) -> ToolError:
    """The failure as the agent sees it."""
    return ToolError(failure_text(failure, state(ctx).settings.credentials))


def asking(resolver: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Marks a resolver (its first argument is the context) whose expected failures are the tool's."""

    @functools.wraps(resolver)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await resolver(*args, **kwargs)
        except PickleMcpError as failure:
            raise expected_failure(cast(Ctx, kwargs["ctx"]), failure) from None

    return guarded


async def as_job(
    ctx: Ctx, tool_name: str, kind: type[J], arguments: dict[str, Any], work: Work, wait_seconds: int
) -> J:
    """Run the work as a job of the tool; its result, or how to wait on.

    A call that is cancelled ends the work that it started.

    Raises:
        JobFailure: the job failed or was cancelled; its text is the tool's own error.
    """
    jobs = state(ctx).jobs
    job_id, started_here = await jobs.start(tool_name, arguments, work)
    try:
        record = await jobs.wait(job_id, wait_seconds, progress_of(ctx))
    except anyio.get_cancelled_exc_class():
        if started_here:
            with anyio.CancelScope(shield=True):
                await jobs.cancel(job_id)
        raise
    if record.status == "running":
        return kind(summary=still_running(record), status="running", job_id=record.id)
    return kind.model_validate(finished(record))


def progress_of(ctx: Ctx) -> Callable[[str], Awaitable[None]]:
    """Passes lines on to the client as progress notifications."""
    count = 0.0

    async def report(line: str) -> None:
        nonlocal count
        count += 1
        await ctx.report_progress(count, None, redact(line, state(ctx).settings.credentials))

    return report


def still_running(record: JobRecord) -> str:
    """The summary of a job that goes on."""
    doing = f" It is at: {record.progress}." if record.progress else ""
    return f"{record.tool} is still running as job {record.id}.{doing} Call get_job with this id to wait on."


def finished(record: JobRecord) -> dict[str, Any]:
    """The result of an ended job.

    Raises:
        JobFailure: it failed or was cancelled.
    """
    if record.status == "cancelled":
        raise JobFailure(f"The job {record.id} was cancelled.", next_step=f"Call {record.tool} again when wanted.")
    if record.error is not None or record.result is None:
        raise JobFailure(record.error or f"The job {record.id} left no result.")
    return record.result


def _guarded(fn: Callable[..., Awaitable[Result]]) -> Callable[..., Awaitable[CallToolResult]]:
    @functools.wraps(fn)
    async def call(*args: Any, **kwargs: Any) -> CallToolResult:
        ctx = next(value for value in kwargs.values() if isinstance(value, Context))
        try:
            result = await fn(*args, **kwargs)
        except PickleMcpError as failure:
            raise expected_failure(cast(Ctx, ctx), failure) from None
        credentials = state(cast(Ctx, ctx)).settings.credentials
        structured = json.loads(redact(result.model_dump_json(), credentials))
        text = redact(result.text(), credentials)
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structured)

    return call


def _compact(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without titles, null defaults and references, with `X or null` as a list of types."""
    definitions = schema.pop("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        node = cast("dict[str, Any]", node)
        if "$ref" in node:
            return walk(
                {**definitions[node["$ref"].rpartition("/")[2]], **{k: v for k, v in node.items() if k != "$ref"}}
            )
        kept = {
            key: {name: walk(value) for name, value in item.items()} if key == "properties" else walk(item)
            for key, item in node.items()
            if not (key == "title" and isinstance(item, str)) and not (key == "default" and item is None)
        }
        branches = kept.get("anyOf", [])
        if branches and all(set(branch) == {"type"} for branch in branches):
            del kept["anyOf"]
            kept["type"] = [branch["type"] for branch in branches]
        return kept

    return walk(schema)


def _output_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Top-level fields with their types; what is nested stays open, results describe themselves."""

    def open_up(node: dict[str, Any]) -> dict[str, Any]:
        if "anyOf" in node:
            types = [open_up(branch).get("type", "object") for branch in node["anyOf"]]
            return {} if {"object", "array"} & set(types) else {"type": types}
        return {key: node[key] for key in ("type", "enum") if key in node}

    compact = _compact(schema)
    properties = {name: open_up(node) for name, node in compact["properties"].items()}
    return {"type": "object", "properties": properties, "required": ["summary"]}
