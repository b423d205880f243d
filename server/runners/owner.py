"""Whose a temporary folder or a container is, so that what a killed server left can be told from what is in use."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "numerai-pickle-mcp"


@functools.cache
def own_token() -> str:
    """This process, unmistakably: its pid and its start time."""
    return f"{os.getpid()}.{_started(os.getpid())}"


def is_dead(token: str) -> bool:
    """Whether the process of `token` is gone. False where that cannot be told."""
    pid, _, started = token.partition(".")
    if sys.platform == "win32" or not pid.isdigit():
        return False
    return _started(int(pid)) != started


@contextmanager
def private_folder(parent: Path | None = None, name: str = PREFIX) -> Generator[Path]:
    """A temporary folder that only this user can enter; those of dead owners beside it are removed on the way."""
    parent = parent or Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    for folder in parent.glob(f"{name}-*"):
        owner = re.fullmatch(rf"{re.escape(name)}-(\d+\.\w+)-\w+", folder.name)
        if owner and is_dead(owner[1]):
            shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-{own_token()}-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _started(pid: int) -> str:
    """When the process started, as letters and digits; "none" where there is no such process."""
    if sys.platform == "linux":
        try:
            # The command's name, in parentheses, may hold spaces; the 20th field after it is the start time.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        except OSError:
            return "none"
    if sys.platform == "win32":
        return "unknown"
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
    return re.sub(r"\W", "", answer.stdout) or "none"
