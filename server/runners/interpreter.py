"""Ask `python -m bundle_core` in another interpreter: the training one, or the one that matches an image."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import bundle_core
from bundle_core.reports import EXPECTED_FAILURE, PROGRESS
from bundle_core.typed_json import Mismatch, from_json
from server.errors import BundleFailure, ChildFailure, ChildTimeout, EnvironmentFailure
from server.runners.child import ChildResult, child_environment, run_child
from server.runners.owner import private_folder
from server.runners.types import Progress, silent

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Report = TypeVar("Report")


async def call(
    python: Path,
    command: str,
    request: DataclassInstance | Mapping[str, Any],
    *,
    report_type: type[Report],
    timeout_seconds: float,
    progress: Progress = silent,
) -> Report:
    """`python -m bundle_core COMMAND` with `request` (a dataclass or JSON-able mapping), as a `report_type`.

    The interpreter sees a copy of bundle_core alone: not the server's packages, not the workspace, not the user's site
    folder. Its environment is allow-listed rather than ignored (`-I`), because `-I` would ignore PYTHONHASHSEED too, on
    which the bytes of a pickle depend.

    Raises:
        BundleFailure: bundle_core refused, with its cause, evidence and next step.
        EnvironmentFailure: `python` cannot be started.
        ChildTimeout: it ran out of time.
        ChildFailure: it died, or answered with no report.
    """
    payload = dict(request) if isinstance(request, Mapping) else dataclasses.asdict(request)

    async def forward(output: bytes) -> None:
        for line in output.splitlines():
            if line.startswith(PROGRESS.encode()):
                await progress(line.decode(errors="replace").removeprefix(PROGRESS))

    with private_folder() as stage:
        stage_bundle_core(stage)
        result = await run_child(
            [python, "-s", "-m", "bundle_core", command],
            env={**child_environment(), "PYTHONHASHSEED": "0"},
            cwd=stage,
            timeout_seconds=timeout_seconds,
            stdin=json.dumps(payload).encode(),
            on_output=forward,
        )
    answer = _answer(python, command, result, timeout_seconds)
    try:
        return from_json(report_type, answer["report"])
    except (KeyError, Mismatch) as error:
        raise ChildFailure(
            f"{python} answered {command!r} with something that is no report.", evidence=str(error)
        ) from error


def stage_bundle_core(folder: Path) -> None:
    """Copy the package alone into `folder`."""
    source = Path(bundle_core.__file__).parent
    shutil.copytree(source, folder / "bundle_core", ignore=shutil.ignore_patterns("__pycache__"))


def _answer(python: Path, command: str, result: ChildResult, timeout_seconds: float) -> dict[str, Any]:
    errors = result.stderr.decode(errors="replace").strip()
    if result.timed_out:
        raise ChildTimeout(
            f"{command!r} in {python} took longer than {timeout_seconds:g} s and was ended.",
            evidence=_last_lines(errors),
        )
    if result.exit_code == 127 and not result.stdout:
        raise EnvironmentFailure(
            f"The interpreter {python} cannot be started.",
            evidence=_last_lines(errors),
            next_step="Give the path of a Python interpreter (3.10 or newer), or make one with make_venv.",
        )
    try:
        answer = json.loads(result.stdout)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and result.exit_code == 0 and answer.get("ok") is True:
        return cast("dict[str, Any]", answer)
    if isinstance(answer, dict) and result.exit_code == EXPECTED_FAILURE and isinstance(answer.get("error"), dict):
        error = cast("dict[str, str]", answer["error"])
        raise BundleFailure(error["cause"], evidence=error.get("evidence", ""), next_step=error.get("next_step", ""))
    raise ChildFailure(
        f"{command!r} in {python} ended with exit code {result.exit_code} and no report.",
        evidence=_last_lines(errors),
        next_step="It has to be a Python 3.10 or newer with numpy and whatever reads the model. Exit code 137 is a "
        "kill, mostly for want of memory; 139 is a segmentation fault in one of its libraries.",
    )


def _last_lines(text: str, count: int = 6) -> str:
    """What a library said last; of a traceback the exception alone."""
    lines = [line for line in text.splitlines() if not line.startswith(PROGRESS)]
    traced = any(line.startswith("Traceback ") for line in lines)
    return "\n".join(lines[-1:] if traced else lines[-count:])
