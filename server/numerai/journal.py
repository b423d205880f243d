"""What is known of one upload, on disk before and after every step, so that an interrupted one can go on."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from server.errors import InputError

Step = Literal["started", "uploading", "uploaded", "registering", "registered", "assigning", "done"]


class Entry(BaseModel):
    """One upload: a file for a slot in an image on a data version. It holds no address and no key."""

    model_config = ConfigDict(frozen=True)

    step: Step = "started"
    filename: str | None = None
    """Numerai's name for the file that is or will be registered."""
    uploaded_at: float = 0.0
    """When its bytes were stored, in seconds since the epoch."""
    pickle_id: str | None = None
    previous_pickle_id: str | None = None
    """What ran for the slot before the assignment."""


class Journal:
    """The entry of one upload, in one file."""

    def __init__(self, state_dir: Path, *parts: str) -> None:
        """`parts` tell the uploads apart: the file's sha256 and the ids of slot, image and data version."""
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
        self._path = state_dir / "uploads" / f"{key}.json"

    def read(self) -> Entry:
        """The entry; a fresh one where there is none or it cannot be read (Numerai is looked at in any case)."""
        try:
            return Entry.model_validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return Entry()

    def note(self, entry: Entry, step: Step, **facts: str | None) -> Entry:
        """Write the entry with a new step and facts, whole and on disk when this returns."""
        stored = {"uploaded_at": time.time()} if step == "uploaded" else {}
        entry = entry.model_copy(update={"step": step, **facts, **stored})
        write_whole(self._path, entry.model_dump_json())
        return entry


def write_whole(path: Path, text: str) -> None:
    """Write the file, whole and on disk when this returns, or not at all.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}.new")
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise unwritable(path.parent, error) from None


def unwritable(folder: Path, error: OSError) -> InputError:
    """The server's state folder cannot be written."""
    return InputError(
        f"The state folder {folder} cannot be written.",
        evidence=error.strerror or "",
        next_step="Free space there, or set NUMERAI_PICKLE_MCP_STATE to a writable folder and restart the server.",
    )
