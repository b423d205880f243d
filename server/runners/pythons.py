"""Find an interpreter of an image's Python minor: pyenv's versions, then PATH, then uv's own."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import uv

from server.errors import EnvironmentFailure
from server.runners.child import ChildResult, child_environment, run_child
from server.runners.owner import private_folder
from server.runners.types import Progress, silent

Source = Literal["pyenv", "PATH", "uv"]
QUESTION = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name, sys.executable)"
INSTALL_SECONDS = 600.0


@dataclass(frozen=True)
class Python:
    """An interpreter that answered. `version` is the minor, "3.12"."""

    path: Path
    version: str
    source: Source


async def find_python(minor: str, *, environ: Mapping[str, str] = os.environ, progress: Progress = silent) -> Python:
    """A CPython of this minor ("3.12"). uv downloads one where none is installed.

    Raises:
        EnvironmentFailure: there is none and none can be downloaded.
    """
    present = await installed_python(minor, environ=environ)
    if present is not None:
        return present
    await progress(f"No Python {minor} in pyenv or on PATH; asking uv to download one")
    installed = await run_uv("python", "install", "--no-bin", minor, timeout_seconds=INSTALL_SECONDS)
    if installed.exit_code != 0:
        raise EnvironmentFailure(
            f"There is no Python {minor} on this machine, and uv could not download one.",
            evidence=installed.stderr.decode(errors="replace").strip()[-600:],
            next_step=f"Install one with `pyenv install {minor}` or `uv python install {minor}`, or the system's "
            f"package manager (python{minor} on PATH is found), and call again; or choose an image whose Python "
            "there is.",
        )
    downloaded = await _of_uv(minor)
    if downloaded is None:
        raise EnvironmentFailure(
            f"The Python {minor} that uv downloaded does not run.", next_step="Reinstall it with uv."
        )
    return downloaded


async def installed_python(minor: str, *, environ: Mapping[str, str] = os.environ) -> Python | None:
    """A CPython of this minor that is there already: pyenv's, else PATH's, else uv's. Downloads nothing."""
    for path, source in _installed(minor, environ):
        if await _is_python(path, minor):
            return Python(path, minor, source)
    return await _of_uv(minor)


async def run_uv(*arguments: str | Path, timeout_seconds: float) -> ChildResult:
    """Run the uv that was installed with the server, with the environment of installs."""
    command, env = [uv.find_uv_bin(), *arguments], child_environment(installs=True)
    with private_folder() as elsewhere:
        # uv reads settings from the folder it runs in; the workspace's are not ours.
        result = await run_child(command, env=env, cwd=elsewhere, timeout_seconds=timeout_seconds)
        if result.exit_code and b"certificate" in result.stderr:
            # A proxy that opens TLS is known to the system's store, not to the roots that uv brings.
            env["UV_NATIVE_TLS"] = "1"
            result = await run_child(command, env=env, cwd=elsewhere, timeout_seconds=timeout_seconds)
    return result


async def _of_uv(minor: str) -> Python | None:
    found = await run_uv("python", "find", "--managed-python", "--no-project", minor, timeout_seconds=30)
    path = Path(found.stdout.decode().strip())
    usable = found.exit_code == 0 and await _is_python(path, minor)
    return Python(path, minor, "uv") if usable else None


def _installed(minor: str, environ: Mapping[str, str]) -> Iterator[tuple[Path, Source]]:
    root = Path(environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    windows = sys.platform == "win32"
    versions = root / "pyenv-win" / "versions" if windows else root / "versions"
    matching = [path for path in versions.glob(f"{minor}.*") if re.fullmatch(r"[\d.]+", path.name)]
    for folder in sorted(matching, key=lambda path: [int(part) for part in path.name.split(".")], reverse=True):
        yield folder / ("python.exe" if windows else f"bin/python{minor}"), "pyenv"
    for name in (f"python{minor}", "python3", "python"):
        # A shim of pyenv answers only for the version that is active; those were looked at above.
        folders = (part for part in environ.get("PATH", "").split(os.pathsep) if Path(part) != root / "shims")
        found = shutil.which(name, path=os.pathsep.join(folders))
        if found:
            yield Path(found), "PATH"


async def _is_python(path: Path, minor: str) -> bool:
    answer = await run_child([path, "-I", "-c", QUESTION], env=child_environment(), cwd=path.parent, timeout_seconds=20)
    return answer.exit_code == 0 and answer.stdout.decode(errors="replace").split()[:2] == [minor, "cpython"]
