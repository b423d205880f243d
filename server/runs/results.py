"""A run in the words and numbers that an agent needs."""

from __future__ import annotations

from typing import Any

from bundle_core.reports import VerdictReport
from server.diagnosis import log_tail
from server.logs.results import diagnosis_fields, finding_fields
from server.runs.debug import Debugged

WARN_FROM = 0.7
LOG_LINES = 40


def run_result(run: Debugged) -> dict[str, Any]:
    """The fields of run_container_debug's result."""
    report = run.report
    seconds_share = report.seconds / run.limits.timeout_seconds
    memory_share = report.peak_memory_mb / run.limits.memory_mb if report.peak_memory_mb is not None else None
    return {
        "summary": f"{_outcome(run)} {_where(run)} on {run.data.words}. {_next(run)}",
        "ok": run.diagnosis is None,
        "failure": diagnosis_fields(run.diagnosis) if run.diagnosis else None,
        "proof": {"ran_in": run.proof.ran, "data": run.proof.data, "sentence": run.proof.sentence},
        "runner": report.runner,
        "image": run.image.reference,
        "image_digest": report.image_digest,
        "data": run.data.words,
        "exit_code": report.exit_code,
        "seconds": round(report.seconds, 3),
        "seconds_share": round(seconds_share, 4),
        "peak_memory_mb": None if report.peak_memory_mb is None else round(report.peak_memory_mb, 1),
        "memory_share": None if memory_share is None else round(memory_share, 4),
        "predictions": _predictions(run.verdict, run) if run.verdict else None,
        "contract": [finding_fields(finding) for finding in run.verdict.contract] if run.verdict else [],
        "warnings": [*run.data.warnings, *_warnings(run, seconds_share, memory_share)],
        "log_tail": log_tail(report.log, LOG_LINES),
        "log_path": str(report.log_path),
        "report_path": str(run.page_path),
    }


def _outcome(run: Debugged) -> str:
    if run.diagnosis is not None:
        return f"FAILED: {run.diagnosis.cause} It ran"
    return f"Works: {run.verdict.rows if run.verdict else 0:,} predictions in {run.report.seconds:.1f} s. It ran"


def _where(run: Debugged) -> str:
    if run.report.runner == "venv":
        return f"in the venv that matches {run.image.reference}, not in a container ({run.why_runner}),"
    kind = "a stand-in of the image" if run.report.stand_in else "the image"
    return f"in {kind} {run.image.reference} ({run.why_runner})"


def _next(run: Debugged) -> str:
    if run.diagnosis is not None:
        return f"Next: {run.diagnosis.next_step}"
    return "Next: upload_pickle, once the user agrees."


def _predictions(verdict: VerdictReport, run: Debugged) -> dict[str, Any]:
    return {
        "rows": verdict.rows,
        "minimum": verdict.minimum,
        "maximum": verdict.maximum,
        "mean": verdict.mean,
        "std": verdict.std,
        "distribution": verdict.histogram,
        "csv_path": str(run.report.predictions_csv),
    }


def _warnings(run: Debugged, seconds_share: float, memory_share: float | None) -> list[str]:
    found: list[str] = []
    if seconds_share >= WARN_FROM:
        found.append(f"It used {seconds_share:.0%} of the time limit; a slower machine may not finish.")
    if memory_share is not None and memory_share >= WARN_FROM:
        found.append(f"It used {memory_share:.0%} of the memory limit.")
    if run.report.emulated:
        found.append("The image ran under emulation of another processor: its times prove nothing.")
    if run.report.stand_in:
        found.append("The image is a stand-in with the image's Python and main packages, not Numerai's own.")
    if run.report.runner == "venv":
        found.append(
            "A venv has no limits of network and CPU and only some of memory: it proves less than the container."
        )
    return found
