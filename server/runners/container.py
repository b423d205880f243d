"""Run a pickle in the image's container under production's limits."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import anyio
import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Mount, Ulimit

from server.errors import EngineFailure, ImageMissing
from server.runners.engine import (
    LocalImage,
    find_image,
    in_thread,
    open_engine,
    owner_labels,
    pull_image,
    remove_leftovers,
)
from server.runners.owner import PREFIX, own_token, private_folder
from server.runners.stage import INPUTS, LOG_NAME, keep_outputs, log_tail, read_report, stage_inputs
from server.runners.types import DockerImage, Limits, Progress, RunReport, RunRequest, silent

INPUT, OUTPUT = "/numerai-pickle-mcp/input", "/numerai-pickle-mcp/output"
GRACE_SECONDS = 10.0
"""The launcher in the container ends the run in time; where it does not, the container is killed this much later."""
NOBODY = 65534
PROCESSES = 256


@dataclass(frozen=True)
class Outcome:
    """What the engine and the launcher say about a container that has ended."""

    exit_code: int
    timed_out: bool
    oom_killed: bool
    seconds: float
    peak_memory_bytes: int | None
    log: bytes


async def run_in_container(
    request: RunRequest, image: DockerImage, *, pull: bool = False, progress: Progress = silent
) -> RunReport:
    """Run `predict.py` of the image on the request's files: no network, read-only root, no privileges, not as root.

    Copies of the files are mounted read-only; nothing else of this machine is visible. The container is gone when this
    returns, raises or is cancelled.

    Raises:
        ImageMissing: the engine lacks the image and `pull` is false, or it cannot be pulled.
        EngineFailure: the engine is not there, not permitted, not on this machine, or cannot start the image.
    """
    async with open_engine() as client:
        await remove_leftovers(client)
        local = await _local_or_pulled(client, image, pull=pull, progress=progress)
        with private_folder() as stage:
            await anyio.to_thread.run_sync(stage_inputs, request, stage, "launch.py")
            await progress(f"Running in {image.reference}")
            outcome = await _run(client, local, stage, request.limits)
            csv = await anyio.to_thread.run_sync(keep_outputs, stage, request.output_dir, outcome.log)
    return RunReport(
        runner="docker",
        environment=image.reference,
        python_version=image.python_version,
        image_digest=local.digest,
        stand_in=local.stand_in,
        emulated=local.emulated,
        exit_code=None if outcome.timed_out else outcome.exit_code,
        timed_out=outcome.timed_out,
        oom_killed=outcome.oom_killed,
        seconds=outcome.seconds,
        peak_memory_mb=outcome.peak_memory_bytes / 2**20 if outcome.peak_memory_bytes else None,
        log=log_tail(outcome.log),
        log_path=request.output_dir / LOG_NAME,
        predictions_csv=csv,
    )


async def _local_or_pulled(
    client: docker.DockerClient, image: DockerImage, *, pull: bool, progress: Progress
) -> LocalImage:
    local = await find_image(client, image.reference)
    if local is None and pull:
        await pull_image(client, image.reference, progress)
        local = await find_image(client, image.reference)
    if local is None:
        raise ImageMissing(
            f"The docker engine does not have {image.reference}.",
            next_step="Call again with pull=true (several GB), or with runner=venv.",
        )
    return local


async def _run(client: docker.DockerClient, image: LocalImage, stage: Path, limits: Limits) -> Outcome:
    name = f"{PREFIX}-{own_token()}-{secrets.token_hex(4)}"
    try:
        container = await in_thread(lambda: _create(client, name, image, stage, limits))
        await in_thread(container.start)
        with anyio.move_on_after(limits.timeout_seconds + (GRACE_SECONDS if image.interpreter else 0)) as clock:
            patience = limits.timeout_seconds + 2 * GRACE_SECONDS
            await in_thread(lambda: container.wait(timeout=patience), abandon_on_cancel=True)
        if clock.cancelled_caught:
            await in_thread(lambda: _kill(container))
        return await in_thread(lambda: _outcome(container, stage, ended=clock.cancelled_caught))
    except EngineFailure as error:
        if "bind source path does not exist" not in error.evidence and "mounts denied" not in error.evidence:
            raise
        raise EngineFailure(
            "The docker engine does not see this machine's files: it runs elsewhere, or does not share the folder.",
            evidence=error.evidence,
            next_step="Use an engine on this machine (DOCKER_HOST unset), share the temporary folder with it, or use "
            "runner=venv.",
        ) from error
    finally:
        with anyio.CancelScope(shield=True):
            await in_thread(lambda: _remove(client, name))


def _create(client: docker.DockerClient, name: str, image: LocalImage, stage: Path, limits: Limits) -> Container:
    return client.containers.create(
        image.reference,
        entrypoint=_entry_point(image, limits),
        command=[
            "--debug",
            *(f"--{option}={INPUT}/{file}" for option, file in INPUTS.items()),
            f"--output_dir={OUTPUT}",
        ],
        name=name,
        labels=owner_labels(),
        platform=f"linux/{image.architecture}",
        mounts=[
            Mount(INPUT, str(stage / "input"), type="bind", read_only=True),
            Mount(OUTPUT, str(stage / "output"), type="bind"),
        ],
        tmpfs={"/tmp": "rw,exec,mode=1777,size=512m"},
        # A user without an entry in the image's passwd has no home to write caches to.
        environment={"HOME": "/tmp"},
        use_config_proxy=False,
        user=_user(),
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        pids_limit=PROCESSES,
        nano_cpus=round(limits.cpus * 1e9),
        mem_limit=f"{limits.memory_mb}m",
        memswap_limit=f"{limits.memory_mb}m",
        ulimits=[Ulimit(name="core", soft=0, hard=0)],
        log_config=LogConfig(type="json-file", config={"max-size": "8m", "max-file": "2"}),
    )


def _entry_point(image: LocalImage, limits: Limits) -> list[str]:
    """The image's own, started by the launcher where the image starts a Python."""
    if image.interpreter is None:
        return list(image.entry_point)
    launcher = [image.interpreter, "-I", "-S", f"{INPUT}/launch.py", "--report", f"{OUTPUT}/report.json"]
    return [*launcher, "--timeout", str(limits.timeout_seconds), "--", *image.entry_point]


def _user() -> str:
    """The caller's, who can remove what the run wrote; nobody's for root."""
    if not hasattr(os, "getuid") or os.getuid() == 0:
        return f"{NOBODY}:{NOBODY}"
    return f"{os.getuid()}:{os.getgid()}"


def _outcome(container: Container, stage: Path, *, ended: bool) -> Outcome:
    container.reload()
    state = cast("dict[str, Any]", container.attrs["State"])
    report = read_report(stage)
    return Outcome(
        exit_code=int(state["ExitCode"]),
        timed_out=ended or bool(report.get("timed_out")),
        oom_killed=bool(state["OOMKilled"]) or bool(report.get("oom_kills")),
        seconds=(_time(state["FinishedAt"]) - _time(state["StartedAt"])).total_seconds(),
        peak_memory_bytes=report.get("peak_memory_bytes"),
        log=container.logs(),
    )


def _kill(container: Container) -> None:
    # It may have ended by itself in between.
    with suppress(APIError):
        container.kill()
    container.wait()


def _remove(client: docker.DockerClient, name: str) -> None:
    # It was perhaps never made.
    with suppress(NotFound):
        client.api.remove_container(name, v=True, force=True)


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)
