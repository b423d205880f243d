"""The change of a client's configuration: shown as a diff, made only where that is wanted."""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from server.errors import InputError
from server.install.clients import CLIENTS
from server.install.launch import launch
from server.redaction import redact


def change_configuration(
    client_name: str, project: Path, *, write: bool, undo: bool, show: Callable[[str], None]
) -> None:
    """Put this server into the client's configuration (`undo`: take it out); `show` gets what is changed.

    Raises:
        InputError: there is no such client or project, or its file cannot be edited.
    """
    client = CLIENTS.get(client_name)
    if client is None:
        raise InputError(f"There is no client {client_name!r}.", next_step=f"Choose one of {', '.join(CLIENTS)}.")
    if not project.is_dir():
        raise InputError(f"The project {project} is not a folder.", next_step="Give an existing folder.")
    how = launch(project.resolve(), os.environ)
    # A link into a folder of dotfiles stays a link.
    path = client.file(project.resolve()).resolve()
    before = _read(path)
    after = client.drop(before) if undo else client.put(before, how)
    if after == before:
        show(f"{path} {'does not have' if undo else 'already has'} this server; nothing to do.")
        return
    show(_diff(path, before, after))
    if not write:
        show("Nothing was written: this is what `--write` changes.")
        return
    _write(path, after)
    show(f"Wrote {path}. Restart {client.name} to make it read the file.")
    unset = [name for name in how.key_variables if not os.environ.get(name)]
    if unset and not undo:
        show(f"Set {' and '.join(unset)} in the environment that {client.name} starts from, never in the file.")


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read.", evidence=str(error), next_step="Mend the file.") from None


def _diff(path: Path, before: str, after: str) -> str:
    # No lines around the change: a neighbour's entry may hold that server's secrets.
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(path), str(path), n=0, lineterm="")
    return redact("\n".join(lines))


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        if not text:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(text.encode())
        if path.exists():
            shutil.copymode(path, aside)
        aside.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written.", evidence=str(error), next_step="Check its permissions."
        ) from None
    finally:
        aside.unlink(missing_ok=True)
