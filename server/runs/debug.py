"""Runs a pickle as Numerai would, and says what happened and what it proves."""

from __future__ import annotations

import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundle_core.fingerprint import Fingerprint
from bundle_core.reports import VerdictReport, VerdictRequest
from server.diagnosis import Diagnosis, Evidence, diagnose
from server.errors import BundleFailure, EngineFailure, EnvironmentFailure, InputError
from server.files import sha256_of
from server.images import find_image
from server.inspection import read_fingerprint
from server.reports.page import run_page
from server.runners.container import run_in_container
from server.runners.engine import local_image
from server.runners.interpreter import call
from server.runners.pins import pins_for
from server.runners.types import DockerImage, Limits, Progress, RunReport, RunRequest
from server.runners.venv import read_venv
from server.runners.venv_run import run_in_venv
from server.runs.data import RunData, choose_data
from server.runs.proofs import Proof, Proofs, Ran
from server.settings import Settings
from server.workspace import existing_file

Runner = Literal["auto", "docker", "venv"]
KEPT_RUNS = 20
VERDICT_SECONDS = 120.0


@dataclass(frozen=True)
class DebugRequest:
    """What run_container_debug was asked for; paths as the agent wrote them."""

    pickle_path: str
    docker_image: str | None = None
    dataset: str = "auto"
    benchmarks: str | None = None
    data_version: str | None = None
    runner: Runner = "auto"
    venv: str = "venv"
    pull: bool = False
    limits: Limits = dataclasses.field(default_factory=Limits)


@dataclass(frozen=True)
class Debugged:
    """One run with everything that is known of it."""

    pickle: Path
    image: DockerImage
    data: RunData
    report: RunReport
    limits: Limits
    verdict: VerdictReport | None
    diagnosis: Diagnosis | None
    """Why it failed; None where it ran and its output will be accepted."""
    why_runner: str
    proof: Proof

    @property
    def page_path(self) -> Path:
        """The run's report page, beside its log."""
        return self.report.log_path.with_name("report.html")


async def debug_run(settings: Settings, proofs: Proofs, request: DebugRequest, progress: Progress) -> Debugged:
    """Run the pickle in the image's container, or in the venv that matches it, and record the outcome.

    A pickle that fails is an outcome, not an error.

    Raises:
        InputError: a path or the image can't be used.
        EngineFailure: the container was asked for and can't be had.
        EnvironmentFailure: neither a container nor a matching venv is there.
    """
    pickle = existing_file(settings, request.pickle_path)
    image = await find_image(settings, request.docker_image)
    sha256 = await sha256_of(pickle)
    folder = _run_folder(settings, sha256)
    data = await choose_data(
        settings, pickle, request.dataset, request.benchmarks, request.data_version, folder, progress
    )
    run = RunRequest(pickle, data.dataset, data.benchmarks, folder, request.limits)
    report, why = await _run(settings, request, run, image, progress)
    verdict = await _verdict(report, data)
    fingerprint = await read_fingerprint(pickle)
    diagnosis = await _diagnosis(settings, image, report, verdict, fingerprint)
    ran: Ran = "venv" if report.runner == "venv" else "stand_in" if report.stand_in else "image"
    proof = Proof(
        sha256=sha256,
        image=image.reference,
        ran=ran,
        data=data.kind,
        ok=diagnosis is None,
        failure=diagnosis.id if diagnosis else None,
        seconds=report.seconds,
        when=time.time(),
    )
    proofs.record(proof)
    debugged = Debugged(pickle, image, data, report, request.limits, verdict, diagnosis, why, proof)
    debugged.page_path.write_text(run_page(debugged), encoding="utf-8")
    return debugged


async def _run(
    settings: Settings, request: DebugRequest, run: RunRequest, image: DockerImage, progress: Progress
) -> tuple[RunReport, str]:
    """The run, and why it was done where it was done."""
    if request.runner == "docker" or (request.runner == "auto" and request.pull):
        return await run_in_container(run, image, pull=request.pull, progress=progress), "as asked"
    if request.runner == "venv":
        return await _in_venv(settings, request, run, image, progress), "as asked"
    try:
        local = await local_image(image.reference)
        why_not = f"the docker engine does not have {image.reference}; pull=true gets it, several GB"
    except EngineFailure as failure:
        local, why_not = None, failure.cause
    if local is not None:
        return await run_in_container(run, image, progress=progress), "the docker engine has the image"
    try:
        return await _in_venv(settings, request, run, image, progress), why_not
    except (EnvironmentFailure, InputError) as failure:
        raise EnvironmentFailure(
            f"Neither a container of {image.reference} nor a venv that matches it is there.",
            evidence=f"Container: {why_not}. Venv: {failure.cause}",
            next_step="Call again with pull=true to get the image (several GB), or call make_venv first.",
        ) from None


async def _in_venv(
    settings: Settings, request: DebugRequest, run: RunRequest, image: DockerImage, progress: Progress
) -> RunReport:
    venv = await read_venv(settings.workspace / Path(request.venv).expanduser())
    if venv.python_version != image.python_version:
        raise InputError(
            f"The venv {request.venv} has Python {venv.python_version}; {image.reference} has {image.python_version}.",
            next_step="Make a venv for this image with make_venv(path=..., docker_image=...) and pass it as venv.",
        )
    return await run_in_venv(run, venv.interpreter, progress=progress)


async def _verdict(report: RunReport, data: RunData) -> VerdictReport | None:
    """What a submission of the CSV would meet; None where there is no CSV."""
    if report.predictions_csv is None:
        return None
    asked = VerdictRequest(str(report.predictions_csv), str(data.dataset))
    try:
        return await call(
            Path(sys.executable), "verdict", asked, report_type=VerdictReport, timeout_seconds=VERDICT_SECONDS
        )
    except BundleFailure:
        # A CSV that is no table is a failed run: the diagnosis says so from the log.
        return None


async def _diagnosis(
    settings: Settings, image: DockerImage, report: RunReport, verdict: VerdictReport | None, fingerprint: Fingerprint
) -> Diagnosis | None:
    refused = [finding for finding in verdict.contract if finding.severity == "refused"] if verdict else []
    generated = "Generated" in report.log and verdict is not None
    if generated and not refused and report.exit_code == 0:
        return None
    pins = await pins_for(image, settings.cache_dir)
    found = diagnose(
        Evidence(
            log=report.log,
            exit_code=report.exit_code,
            oom_killed=report.oom_killed,
            timed_out=report.timed_out,
            stage="run",
            fingerprint=fingerprint,
            image_python=image.python_version,
            pins=pins.versions,
            contract=refused,
            csv_written=verdict is not None,
            runner=report.runner,
        )
    )
    return found[0]


def _run_folder(settings: Settings, sha256: str) -> Path:
    """A private folder for the run's files; the oldest ones beyond the last 20 go."""
    runs = settings.state_dir / "runs"
    runs.mkdir(parents=True, exist_ok=True, mode=0o700)
    old = sorted((path for path in runs.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in old[: -KEPT_RUNS + 1]:
        for file in path.iterdir():
            file.unlink(missing_ok=True)
        path.rmdir()
    folder = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{sha256[:8]}-{time.monotonic_ns() % 1_000_000:06d}"
    folder.mkdir(mode=0o700)
    return folder
