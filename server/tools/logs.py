"""Tools that read what happened at Numerai."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from server.tools.registration import Ctx, Result, state, tool

Topic = Literal["rounds", "tournaments", "datasets", "data_versions", "pipeline_status", "diagnostics"]


class GetTriggerLogsResult(Result):
    pickle_id: str
    trigger_id: str | None
    validation_status: str | None
    trigger_status: str | None
    statuses: list[dict[str, str]]
    diagnosis: list[dict[str, Any]]
    scores: dict[str, Any] | None
    assigned_pickle_id: str | None
    unchecked: str | None
    log_tail: str
    log_path: str


class QueryNumeraiResult(Result):
    topic: str
    entries: list[dict[str, Any]]
    total: int


@tool("Read a pickle's logs, explained", outside=True)
async def get_trigger_logs(
    ctx: Ctx,
    pickle_id: Annotated[str | None, Field(description="A pickle; its newest execution.")] = None,
    model: Annotated[str | None, Field(description="A slot's name or id: its newest upload.")] = None,
    trigger_id: Annotated[str | None, Field(description="One execution.")] = None,
    pickle_path: Annotated[
        str | None, Field(description="The file, if at hand: adds its fingerprint as evidence.")
    ] = None,
    max_lines: Annotated[int, Field(ge=1, le=500)] = 80,
) -> GetTriggerLogsResult:
    """Read the statuses and logs of a pickle's execution at Numerai and explain a failure: cause, evidence, next step.
    Give exactly one of pickle_id, model, trigger_id."""
    from server.logs.results import story_result
    from server.logs.story import read_story
    from server.workspace import existing_file

    settings = state(ctx).settings
    path = existing_file(settings, pickle_path) if pickle_path else None
    story = await read_story(settings, pickle_id, model, trigger_id, path)
    return GetTriggerLogsResult.model_validate(story_result(story, max_lines))


@tool("Ask Numerai for public facts", outside=True)
async def query_numerai(
    ctx: Ctx,
    topic: Topic,
    limit: Annotated[int, Field(ge=1, le=100)] = 10,
    status: Annotated[
        Literal["OPEN", "RESOLVED", "RESOLVING", "UPCOMING"] | None, Field(description="For rounds.")
    ] = None,
    number: Annotated[int | None, Field(description="A round's number, for rounds and datasets.")] = None,
    contains: Annotated[str | None, Field(description="For datasets: part of the file name.")] = None,
    model: Annotated[str | None, Field(description="For diagnostics: a slot's name or id.")] = None,
) -> QueryNumeraiResult:
    """Ask Numerai for read-only facts: rounds, tournaments, dataset files, data versions, how far today's work is, or
    a slot's diagnostics. Nothing else can be asked."""
    from server.numerai.facts import facts

    entries = await facts(
        state(ctx).settings, topic, status=status, number=number, contains=contains, model=model, limit=limit
    )
    return QueryNumeraiResult(
        summary=f"{min(limit, len(entries))} of {len(entries)} entries about {topic}.",
        topic=topic,
        entries=entries[:limit],
        total=len(entries),
    )
