"""Changes of the account, each read back. A change whose answer was lost is looked for before it is repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

import anyio

from server.errors import InputError, NumeraiRefused, NumeraiUnreachable, OutcomeUnknown
from server.numerai.account import check_name, find_slot
from server.numerai.client import Numerai
from server.numerai.types import ModelSlot, Pickle, Trigger
from server.numerai.watch import find_pickle

T = TypeVar("T")


@dataclass(frozen=True)
class Assignment:
    """What runs for a slot now, read back from the account, and what ran before."""

    slot: ModelSlot
    previous_pickle_id: str | None


async def create_slot(numerai: Numerai, name: str) -> ModelSlot:
    """Make a Classic slot, or give the one that a lost earlier answer was about.

    Raises:
        InputError: the name cannot be used or is taken.
    """
    check_name(name)

    async def look() -> ModelSlot | None:
        return next((slot for slot in (await numerai.account()).models if slot.name == name), None)

    if await look():
        raise InputError(f"The account already has a slot {name}.", next_step="Use it, or choose another name.")
    if not await numerai.model_name_available(name):
        raise InputError(f"The name {name} is taken.", next_step="Choose another name: they are unique at Numerai.")
    return await make_once(numerai, partial(numerai.add_model, name), look, f"the slot {name}")


async def assign(numerai: Numerai, slot_id: str, pickle_id: str | None) -> Assignment:
    """Make the pickle the one that runs for the slot (None: nothing runs), and read it back from the account."""
    before = find_slot(await numerai.account(), slot_id)
    previous = before.assigned.id if before.assigned else None
    if previous == pickle_id:
        return Assignment(before, previous)

    async def look() -> ModelSlot | None:
        slot = find_slot(await numerai.account(), slot_id)
        return slot if (slot.assigned.id if slot.assigned else None) == pickle_id else None

    change = partial(numerai.assign, slot_id, pickle_id)
    return Assignment(await make_once(numerai, change, look, f"the assignment to {before.name}"), previous)


async def set_label(numerai: Numerai, pickle_id: str, label: str | None) -> Pickle:
    """Set the pickle's label and read it back."""

    async def look() -> Pickle | None:
        pickle = await find_pickle(numerai, pickle_id)
        return pickle if pickle.label == label else None

    labelled = await look()
    return labelled or await make_once(numerai, partial(numerai.update_label, pickle_id, label), look, "the label")


async def clear_webhook(numerai: Numerai, slot_id: str) -> ModelSlot:
    """Clear the slot's submission webhook and read it back."""

    async def look() -> ModelSlot | None:
        slot = find_slot(await numerai.account(), slot_id)
        return None if slot.webhook_host else slot

    cleared = await look()
    change = partial(numerai.set_submission_webhook, slot_id, None)
    return cleared or await make_once(numerai, change, look, "the cleared webhook")


async def trigger(numerai: Numerai, pickle_id: str, *, model_id: str | None = None, validation: bool = True) -> Trigger:
    """Run the pickle now, once: to validate it, or (`validation=False`) to submit for the slot."""
    known = {each.id for each in (await find_pickle(numerai, pickle_id)).triggers}

    async def look() -> Trigger | None:
        triggers = (await find_pickle(numerai, pickle_id)).triggers
        return next((each for each in reversed(triggers) if each.id not in known), None)

    change = partial(numerai.trigger, pickle_id, model_id=model_id, validation=validation)
    return await make_once(numerai, change, look, "the new execution")


async def make_once(
    numerai: Numerai, change: Callable[[], Awaitable[object]], look: Callable[[], Awaitable[T | None]], what: str
) -> T:
    """What `look` finds once the change is made. Where the answer to the change was lost, only several looks that find
    nothing lead to a repeat.

    Raises:
        NumeraiRefused: Numerai said no.
        OutcomeUnknown: the answer was lost every time, or was yes, and nothing is found.
    """
    unknown = None
    for _ in range(numerai.pace.attempts):
        unknown = None
        try:
            await change()
        except OutcomeUnknown as error:
            unknown = error
        except NumeraiRefused:
            # An earlier try that was thought lost may have come through late.
            if found := await look():
                return found
            raise
        for wait in islice(numerai.pace.look, numerai.pace.looks):
            try:
                found = await look()
            except NumeraiUnreachable as error:
                # What is not known is the change; that a look failed too is the smaller news.
                raise unknown or error from None
            if found:
                return found
            await anyio.sleep(wait)
        if unknown is None:
            break
    raise unknown or OutcomeUnknown(
        f"Numerai said yes, but {what} does not show in the account.",
        next_step="Look at list_models and list_pickles in a minute, then call again.",
    )
