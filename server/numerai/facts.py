"""Read-only questions to Numerai: an allow-list, each with its own typed call."""

from __future__ import annotations

from typing import Any, Literal

from server.diagnosis import quote_foreign
from server.errors import InputError
from server.numerai.account import find_slot
from server.numerai.client import open_numerai
from server.settings import Settings

Status = Literal["OPEN", "RESOLVED", "RESOLVING", "UPCOMING"]


async def facts(
    settings: Settings,
    topic: str,
    *,
    status: Status | None,
    number: int | None,
    contains: str | None,
    model: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    """The entries on a topic, as Numerai orders them.

    Raises:
        InputError: the topic needs a filter that is missing.
    """
    async with open_numerai(settings) as numerai:
        match topic:
            case "rounds":
                found = await numerai.rounds(limit=limit, number=number, status=status)
            case "tournaments":
                found = await numerai.tournaments()
            case "datasets":
                names = await numerai.list_datasets(round_number=number)
                return [
                    {"filename": quote_foreign(name, 120)} for name in names if contains is None or contains in name
                ]
            case "data_versions":
                found = await numerai.data_versions(deprecated=True)
            case "pipeline_status":
                status_now = await numerai.pipeline_status()
                found = [status_now] if status_now is not None else []
            case _:
                if model is None:
                    raise InputError("Diagnostics need a slot.", next_step="Give model.")
                slot = find_slot(await numerai.account(), model)
                found = await numerai.diagnostics(model_id=slot.id)
    return [entry.model_dump(mode="json", exclude_none=True) for entry in found]
