"""`python -m bundle_core` as the server calls it: in a child, JSON in and out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(command: str, request: Any, python: Path | str = sys.executable, seed: str = "0") -> tuple[int, Any, str]:
    """(exit code, the answer as JSON, stderr)"""
    done = subprocess.run(
        [str(python), "-s", "-B", "-m", "bundle_core", command],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", ""), "PYTHONHASHSEED": seed},
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def report(command: str, request: Any, python: Path | str = sys.executable, seed: str = "0") -> Any:
    """The report of a command that succeeds."""
    code, answer, errors = run(command, request, python, seed)
    assert code == 0, (answer, errors)
    return answer["report"]


def refusal(command: str, request: Any, python: Path | str = sys.executable) -> Any:
    """The error of a command that is refused."""
    code, answer, errors = run(command, request, python)
    assert code == 3, (answer, errors)
    assert answer["ok"] is False
    return answer["error"]
