"""Waiting for the end of a validation or an execution. Statuses are free strings: unknown words are not the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import anyio

from server.diagnosis import quote_foreign
from server.errors import NumeraiRefused, NumeraiUnreachable
from server.numerai.client import Numerai
from server.numerai.types import Pickle, Trigger
from server.runners.types import Progress, silent

Outcome = Literal["validated", "invalid", "pending"]

NO_OPEN_ROUNDS = "No currently open rounds!"


def outcome(pickle: Pickle) -> Outcome:
    """How far the validation is, by its words and those of its executions."""
    if pickle.validation_status == "validated":
        return "validated"
    if is_failure(pickle.validation_status):
        return "validated" if _no_open_rounds(pickle.triggers[-1:]) else "invalid"
    if pickle.trigger_status == "model_failed":
        return "invalid"
    return "pending"


def trigger_outcome(trigger: Trigger) -> Literal["succeeded", "failed", "pending"]:
    """How far one execution is. `No currently open rounds!` means that it worked and nothing was to be submitted."""
    if _no_open_rounds((trigger,)) or is_success(trigger.status):
        return "succeeded"
    return "failed" if is_failure(trigger.status) else "pending"


def is_success(status: str | None) -> bool:
    """Whether the word means an end that went well."""
    return bool(status) and (status in ("validated", "succeeded", "success") or status.endswith("submission_succeeded"))


def is_failure(status: str | None) -> bool:
    """Whether the word means an end that went wrong: every public poller waits for `failed` alone, and hangs."""
    return bool(status) and (status in ("invalid", "failed", "error") or status.endswith("_failed"))


def explain(pickle: Pickle) -> str | None:
    """A plain sentence for words that mislead; None where there are none."""
    if _no_open_rounds(pickle.triggers):
        return f'"{NO_OPEN_ROUNDS}" is no failure: the pickle works, and there was nothing to submit at that time.'
    return None


async def watch_pickle(numerai: Numerai, pickle_id: str, progress: Progress = silent) -> Pickle:
    """The pickle at the end of its validation, or, after `pace.watch_seconds`, as it is then.

    Raises:
        NumeraiRefused: the account has no such pickle.
        NumeraiUnreachable: Numerai did not answer; the validation goes on without us.
    """
    return await _watch(numerai, pickle_id, lambda pickle: outcome(pickle) != "pending", progress)


async def watch_trigger(numerai: Numerai, pickle_id: str, trigger_id: str, progress: Progress = silent) -> Pickle:
    """The pickle when its execution ended, or, after `pace.watch_seconds`, as it is then."""

    def ended(pickle: Pickle) -> bool:
        return any(each.id == trigger_id and trigger_outcome(each) != "pending" for each in pickle.triggers)

    return await _watch(numerai, pickle_id, ended, progress)


async def find_pickle(numerai: Numerai, pickle_id: str) -> Pickle:
    """The account's pickle with this id.

    Raises:
        NumeraiRefused: there is none.
    """
    for pickle in await numerai.pickles(pickle_id=pickle_id):
        if pickle.id == pickle_id:
            return pickle
    raise NumeraiRefused(
        f"The account has no pickle {quote_foreign(pickle_id, 60)}.",
        next_step="Take an id from list_pickles, or upload the file.",
    )


async def _watch(numerai: Numerai, pickle_id: str, ended: Callable[[Pickle], bool], progress: Progress) -> Pickle:
    deadline = anyio.current_time() + numerai.pace.watch_seconds
    told = ""
    for wait in numerai.pace.poll:
        try:
            pickle = await find_pickle(numerai, pickle_id)
        except NumeraiUnreachable as error:
            error.next_step = f"The pickle {pickle_id} is registered. Call again, or get_trigger_logs later."
            raise
        words = f"validation: {pickle.validation_status}, trigger: {pickle.trigger_status}"
        if words != told:
            told = words
            await progress(words)
        if ended(pickle) or anyio.current_time() + wait > deadline:
            return pickle
        await anyio.sleep(wait)
    raise AssertionError("the waits have no end")


def _no_open_rounds(triggers: tuple[Trigger, ...]) -> bool:
    return any(
        NO_OPEN_ROUNDS.rstrip("!") in (step.description or "") for trigger in triggers for step in trigger.statuses[-1:]
    )
