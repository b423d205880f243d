"""Tools about long work: waiting for a job, ending one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from server.tools.registration import (
    Ctx,
    JobResult,
    Result,
    WaitSeconds,
    finished,
    progress_of,
    state,
    still_running,
    tool,
)

JobId = Annotated[str, Field(description="As a tool returned it, e.g. build_pickle-1a2b3c4d.")]


class GetJobResult(JobResult):
    """Beside these fields, those of the tool that runs as the job."""

    model_config = ConfigDict(extra="allow")

    tool: str


class CancelJobResult(Result):
    job_id: str
    job_status: Literal["running", "done", "failed", "cancelled"]


@tool("Wait for a job")
async def get_job(ctx: Ctx, job_id: JobId, wait_seconds: WaitSeconds = 45) -> GetJobResult:
    """Wait for a job that another tool started. Once done, the result has that tool's own fields; a failed job gives
    that tool's error. Works after a restart of the client or the server, too."""
    record = await state(ctx).jobs.wait(job_id, wait_seconds, progress_of(ctx))
    if record.status == "running":
        return GetJobResult(summary=still_running(record), status="running", job_id=record.id, tool=record.tool)
    fields: dict[str, Any] = {**finished(record), "tool": record.tool}
    return GetJobResult.model_validate(fields)


@tool("End a job", writes=True, destroys=True)
async def cancel_job(ctx: Ctx, job_id: JobId) -> CancelJobResult:
    """End a running job with every process and container that it started. An upload that was interrupted goes on
    where it stopped when upload_pickle is called again."""
    record = await state(ctx).jobs.cancel(job_id)
    ended = (
        "was cancelled; what it had started is gone" if record.status == "cancelled" else f"had ended: {record.status}"
    )
    return CancelJobResult(summary=f"The job {job_id} {ended}.", job_id=job_id, job_status=record.status)
