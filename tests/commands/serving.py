"""The command as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-m", "server.cli")


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """The tests' environment with state and cache in `folder`."""
    own = {"NUMERAI_PICKLE_MCP_STATE": str(folder / "state"), "NUMERAI_PICKLE_MCP_CACHE": str(folder / "cache")}
    return {**os.environ, **own, **variables}


def run(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command from start to end, in `folder`."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment(folder, **variables), capture_output=True, text=True
    )


@dataclass
class HttpServer:
    """A server on a port of its own, until it is stopped."""

    url: str
    process: subprocess.Popen[str]
    workspace: Path


@contextmanager
def http_server(folder: Path, *arguments: str, **variables: str) -> Iterator[HttpServer]:
    """`serve --transport http` on a free port; what it prints first is its URL."""
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    command = [*COMMAND, "serve", "--transport", "http", "--port", "0", "--workspace", str(workspace), *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder, **variables), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Serving MCP at http://"), line
            yield HttpServer(line.split()[3].rstrip(","), process, workspace)
        finally:
            process.terminate()
            process.wait(30)
