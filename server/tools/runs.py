"""The tool that runs a pickle as Numerai would."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from server.jobs import Progress
from server.runners.types import Limits
from server.tools.build import DockerImageArgument, PicklePath
from server.tools.registration import Ctx, JobResult, WaitSeconds, as_job, state, tool


class RunContainerDebugResult(JobResult):
    ok: bool | None = None
    failure: dict[str, Any] | None = None
    proof: dict[str, Any] | None = None
    runner: str | None = None
    image: str | None = None
    image_digest: str | None = None
    data: str | None = None
    exit_code: int | None = None
    seconds: float | None = None
    seconds_share: float | None = None
    peak_memory_mb: float | None = None
    memory_share: float | None = None
    predictions: dict[str, Any] | None = None
    contract: list[dict[str, Any]] | None = None
    warnings: list[str] | None = None
    log_tail: str | None = None
    log_path: str | None = None
    report_path: str | None = None


@tool("Run a pickle in Numerai's container", writes=True, outside=True)
async def run_container_debug(
    ctx: Ctx,
    pickle_path: PicklePath,
    docker_image: DockerImageArgument = None,
    dataset: Annotated[
        str, Field(description='A parquet of live rows, "live", "synthetic", or "auto": live if it can be had.')
    ] = "auto",
    benchmarks: Annotated[str | None, Field(description="A parquet of benchmark predictions for the dataset.")] = None,
    data_version: Annotated[str | None, Field(description="For live data, e.g. v5.2; null: the default.")] = None,
    runner: Annotated[
        Literal["auto", "docker", "venv"], Field(description="auto: docker if it has the image.")
    ] = "auto",
    venv: Annotated[str, Field(description="For runs without docker.")] = "venv",
    pull: Annotated[bool, Field(description="Pull a missing image: several GB.")] = False,
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 600,
    memory_mb: Annotated[int, Field(ge=128, le=65536)] = 4096,
    cpus: Annotated[float, Field(gt=0, le=64)] = 1,
    wait_seconds: WaitSeconds = 45,
) -> RunContainerDebugResult:
    """Run a pickle as Numerai does: in the image's container (else in the matching venv), 1 CPU, 4 GB, 10 minutes, no
    network. Says whether it works, why not and what to do, the share of the limits used, and what the submission would
    refuse. Recorded as proof for upload_pickle, which is next."""
    from server.runs.debug import DebugRequest, debug_run
    from server.runs.results import run_result

    app = state(ctx)
    limits = Limits(timeout_seconds, memory_mb, cpus)
    request = DebugRequest(
        pickle_path,
        docker_image,
        dataset,
        benchmarks,
        data_version,
        runner,
        venv,
        pull,
        limits,
    )

    async def work(progress: Progress) -> RunContainerDebugResult:
        return RunContainerDebugResult.model_validate(
            run_result(await debug_run(app.settings, app.proofs, request, progress))
        )

    return await as_job(
        ctx, "run_container_debug", RunContainerDebugResult, {"request": repr(request)}, work, wait_seconds
    )
