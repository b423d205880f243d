"""From what a run did to what Numerai says of it."""

from __future__ import annotations

import csv
import re
import statistics
from collections.abc import Collection
from pathlib import Path

from server.runners.types import RunReport

SEGMENTATION_FAULT = "Segmentation fault! Ensure python and library versions match our environment."
NO_OPEN_ROUNDS = "No currently open rounds!"
SEGFAULT_CODES = (139, -11)
GENERATED = re.compile(r"Generated \d+ predictions")
ERROR_LINE = re.compile(r"\bERROR\b\S* (?:\w+: )?(?P<message>.+)|^(?P<raised>\w*(?:Error|Exception|Exit)\b.*)", re.M)


def model_failure(report: RunReport) -> str | None:
    """Why the model failed, as a trigger's description has it; None where it gave predictions."""
    if report.exit_code in SEGFAULT_CODES:
        return SEGMENTATION_FAULT
    if report.oom_killed:
        return "Out of memory! Models have 4 GB of memory."
    if report.timed_out:
        return "Timed out! Models have 10 minutes."
    if report.exit_code == 0 and report.predictions_csv and GENERATED.search(report.log):
        return None
    lines = [found["message"] or found["raised"] for found in ERROR_LINE.finditer(report.log)]
    return lines[-1].strip() if lines else f"Model exited with code {report.exit_code}."


def submission_failure(predictions: Path, live_ids: Collection[str]) -> str | None:
    """Why the submission is refused by numerai-tools' checks; None where it is taken."""
    with predictions.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        headers = next(rows, [])
        if len(headers) != 2 or headers[0] != "id" or headers[1] not in ("prediction", "probability"):
            return (
                "invalid_submission_headers: headers must be one of ['id'] and one of ['prediction', 'probability']"
                f", got {headers}"
            )
        ids: list[str] = []
        values: list[float] = []
        for row in rows:
            ids.append(row[0])
            values.append(float(row[1] or "nan"))
    if len(set(ids)) != len(ids):
        return "invalid_submission_ids: Duplicates detected"
    if not set(live_ids) <= set(ids):
        return "invalid_submission_ids: Not enough stocks submitted. Are you using the latest live ids"
    # The text says exclusive; numerai-tools' check lets 0 and 1 pass, as rank(pct=True) needs.
    if not all(0 <= value <= 1 for value in values):
        return "invalid_submission_values: values must be between 0 and 1 exclusive"
    if statistics.pstdev(values) == 0:
        return "invalid_submission_values: submission must have non-zero standard deviation"
    return None
