"""Lists in pages; the cursor is the number of entries passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from server.errors import InputError

T = TypeVar("T")


def page(entries: Sequence[T], limit: int, cursor: str | None) -> tuple[Sequence[T], str | None]:
    """The entries after `cursor`, at most `limit`, and the next cursor (None at the end).

    Raises:
        InputError: the cursor is not one that a result gave.
    """
    if cursor is not None and not cursor.isdecimal():
        raise InputError(f"{cursor!r} is no cursor.", next_step="Pass next_cursor of the call before, or nothing.")
    start = int(cursor or 0)
    end = start + limit
    return entries[start:end], str(end) if end < len(entries) else None
