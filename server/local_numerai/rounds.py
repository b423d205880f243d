"""The embedded Numerai's rounds: one a day, the newest open as long as its account's owner wants it to be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from server.local_numerai.store import Record

FIRST_OPENED = datetime(2023, 10, 1, 13, tzinfo=UTC)
RESOLVES_AFTER_DAYS = 28


def rounds_of_today(limit: int, number: int | None, *, is_open: bool) -> list[Record]:
    """The newest rounds, newest first, or the one with this number. `is_open`: the newest one."""
    newest = (datetime.now(UTC) - FIRST_OPENED).days
    wanted = [number] if number else range(newest, newest - limit, -1)
    return [_round(each, newest, is_open=is_open and each == newest) for each in wanted if 0 < each <= newest]


def _round(number: int, newest: int, *, is_open: bool) -> Record:
    opened = FIRST_OPENED + timedelta(days=number)
    unresolved = number > newest - RESOLVES_AFTER_DAYS
    return {
        "id": str(number),
        "number": number,
        "tournament": 8,
        "target": "target_ender_20",
        "isDaily": True,
        "status": "OPEN" if is_open else "RESOLVING" if unresolved else "RESOLVED",
        "openTime": opened.isoformat(),
        "closeTime": (opened + timedelta(days=int(is_open), hours=1)).isoformat(),
        "resolveTime": (opened + timedelta(days=RESOLVES_AFTER_DAYS)).isoformat(),
    }
