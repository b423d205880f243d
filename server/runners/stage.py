"""The files of one run: copies of its inputs, what it wrote, its log."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from server.errors import InputError
from server.runners.types import RunRequest

HARNESS = Path(__file__).parent / "harness"
INPUTS = {"model": "model.pkl", "dataset": "live.parquet", "benchmarks": "live_benchmark_models.parquet"}
"""Options of `predict.py` and the names of the staged files."""
LOG_NAME = "run.log"
LOG_TAIL = 64 * 1024


def stage_inputs(request: RunRequest, stage: Path, script: str) -> None:
    """Fill `stage/input` with copies of the request's files and of one script of the harness, readable for any user,
    and make `stage/output`, where any user can write.

    The folder `stage` itself is private, so on this machine only its owner gets there.

    Raises:
        InputError: a file of the request cannot be read.
    """
    files = (request.pickle_path, request.dataset, request.benchmarks)
    inputs, output = stage / "input", stage / "output"
    inputs.mkdir()
    output.mkdir()
    output.chmod(0o777)
    for source, name in zip(files, INPUTS.values(), strict=True):
        try:
            shutil.copyfile(source, inputs / name)
        except OSError as error:
            raise InputError(f"{source} cannot be read.", evidence=str(error)) from error
    shutil.copyfile(HARNESS / script, inputs / script)
    for file in inputs.iterdir():
        file.chmod(0o444)
    inputs.chmod(0o755)


def read_report(stage: Path) -> dict[str, Any]:
    """The launcher's report; empty where it was killed before it could write one."""
    path = stage / "output" / "report.json"
    try:
        # The folder belongs to the model: the file may be anything.
        report = json.loads(path.read_bytes()) if _is_plain(path) else {}
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def keep_outputs(stage: Path, output_dir: Path, log: bytes) -> Path | None:
    """Write the log and move the newest predictions to `output_dir`; their path there, or None if there are none."""
    (output_dir / LOG_NAME).write_bytes(log)
    # A link would make this process read, with its rights, a file of the model's choice.
    written = [path for path in (stage / "output").glob("live_predictions-*.csv") if _is_plain(path)]
    if not written:
        return None
    newest = max(written, key=lambda path: path.stat().st_mtime)
    kept = output_dir / newest.name
    shutil.copyfile(newest, kept)
    return kept


def log_tail(log: bytes) -> str:
    """The last 64 KiB of a log."""
    return log[-LOG_TAIL:].decode(errors="replace")


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
