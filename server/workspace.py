"""Which paths tools may touch: those inside the workspace and the folders allowed besides."""

from __future__ import annotations

from pathlib import Path

from server.errors import InputError
from server.settings import Settings


def inside(settings: Settings, path: str) -> Path:
    """The absolute, symlink-free form of a path that a tool was given.

    Raises:
        InputError: it leads out of the workspace and of every allowed folder.
    """
    if "\0" in path or not path.strip():
        raise InputError("An empty path, or one with a NUL byte, names no file.", next_step="Give the file's path.")
    resolved = (settings.workspace / Path(path).expanduser()).resolve()
    if any(resolved.is_relative_to(folder) for folder in (settings.workspace, *settings.allowed_dirs)):
        return resolved
    raise InputError(
        f"{path} is outside the workspace.",
        evidence=f"The workspace is {settings.workspace}.",
        next_step="Copy the file into the workspace, or start the server with --allow-dir FOLDER.",
    )


def existing_file(settings: Settings, path: str) -> Path:
    """Like `inside`, for a file that must be there.

    Raises:
        InputError: outside the workspace, missing, or not a regular file.
    """
    resolved = inside(settings, path)
    if not resolved.is_file():
        what = "is a folder, not a file" if resolved.is_dir() else "does not exist"
        raise InputError(f"{resolved} {what}.", next_step="Check the path; relative ones start at the workspace.")
    return resolved
