"""What became of a pickle at Numerai: statuses, logs and scores, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.diagnosis import Diagnosis, Evidence, diagnose
from server.errors import InputError, NumeraiFailure
from server.inspection import read_fingerprint
from server.numerai.account import find_slot
from server.numerai.client import Numerai, open_numerai
from server.numerai.types import Account, LogLine, Pickle, Trigger
from server.numerai.watch import explain, is_failure, outcome
from server.runners.pins import pins_for
from server.runners.types import DockerImage
from server.settings import Settings


@dataclass(frozen=True)
class Story:
    """Everything about one pickle's newest, or one chosen, execution."""

    pickle: Pickle
    trigger: Trigger | None
    statuses: list[tuple[str, str, str]]
    """(when, status, description) in order."""
    log: str
    log_path: Path
    diagnosis: list[Diagnosis]
    scores: dict[str, Any] | None
    explained: str | None
    other_assigned: str | None
    """The pickle that is assigned to the slot, where it is another one."""
    unchecked: str | None
    """What could not be looked at, and why."""


async def read_story(
    settings: Settings, pickle_id: str | None, model: str | None, trigger_id: str | None, pickle_path: Path | None
) -> Story:
    """Statuses, logs and diagnosis of a pickle, of a slot's newest upload, or of one execution.

    Raises:
        InputError: not exactly one of the three is given, or Numerai knows no such thing.
    """
    if sum(given is not None for given in (pickle_id, model, trigger_id)) != 1:
        raise InputError("Exactly one of pickle_id, model and trigger_id is needed.", next_step="Give one of them.")
    async with open_numerai(settings) as numerai:
        account = await numerai.account()
        pickles = await numerai.pickles(pickle_id=pickle_id)
        other = None
        if model is not None:
            pickle, other = _newest_of_slot(account, pickles, model)
        else:
            pickle = _named(pickles, pickle_id, trigger_id)
        return await tell_story(settings, numerai, pickle, trigger_id, pickle_path, other)


async def tell_story(
    settings: Settings,
    numerai: Numerai,
    pickle: Pickle,
    trigger_id: str | None = None,
    pickle_path: Path | None = None,
    other_assigned: str | None = None,
) -> Story:
    """The same for a pickle that is at hand; its newest execution where none is named."""
    triggers = [t for t in pickle.triggers if trigger_id in (None, t.id)]
    trigger = triggers[-1] if triggers else None
    lines = await _log_lines(numerai, pickle, trigger)
    log = "\n".join(f"{line.message or ''}".rstrip("\n") for line in lines)
    folder = settings.state_dir / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path = folder / f"{_safe(pickle.id)}-{_safe(trigger.id) if trigger else 'none'}.log"
    log_path.write_text(log)
    failed = outcome(pickle) == "invalid" or (trigger is not None and is_failure(trigger.status))
    statuses = _statuses(trigger)
    found = await _diagnose(settings, pickle, statuses, log, pickle_path) if failed else []
    return Story(
        pickle=pickle,
        trigger=trigger,
        statuses=statuses,
        log=log,
        log_path=log_path,
        diagnosis=found,
        scores=await _scores(numerai, pickle),
        explained=explain(pickle),
        other_assigned=other_assigned,
        unchecked=None
        if pickle_path is not None or not failed
        else "The pickle's own bytes were not looked at: give pickle_path to check its Python, imports and columns.",
    )


async def _log_lines(numerai: Numerai, pickle: Pickle, trigger: Trigger | None) -> list[LogLine]:
    lines = await numerai.trigger_logs(trigger.id) if trigger is not None else []
    if pickle.diagnostics_id is not None:
        lines = [*lines, *await numerai.diagnostics_logs(pickle.id)]
    return sorted(lines, key=lambda line: line.timestamp or 0)


async def _diagnose(
    settings: Settings, pickle: Pickle, statuses: list[tuple[str, str, str]], log: str, pickle_path: Path | None
) -> list[Diagnosis]:
    name, _, tag = (pickle.docker_image or "").rpartition(":")
    image = DockerImage(pickle.docker_image_id, pickle.docker_image_name or "", name.rpartition("/")[2] or tag, tag)
    pins = await pins_for(image, settings.cache_dir) if image.python_version else None
    return diagnose(
        Evidence(
            log=log,
            statuses=tuple((status, description) for _, status, description in statuses),
            stage="numerai",
            fingerprint=await read_fingerprint(pickle_path) if pickle_path is not None else None,
            image_python=image.python_version,
            pins=pins.versions if pins else None,
        )
    )


async def _scores(numerai: Numerai, pickle: Pickle) -> dict[str, Any] | None:
    if pickle.diagnostics_id is None:
        return None
    try:
        found = await numerai.diagnostics(diagnostics_id=pickle.diagnostics_id)
    except NumeraiFailure:
        # Scores are extra: their lack must not hide the logs.
        return None
    scores = found[0].model_dump(mode="json", exclude_none=True) if found else {}
    return {name: value for name, value in scores.items() if name.startswith("validation_")} or None


def _statuses(trigger: Trigger | None) -> list[tuple[str, str, str]]:
    return [
        (step.inserted_at.isoformat() if step.inserted_at else "", step.status or "", step.description or "")
        for step in (trigger.statuses if trigger else ())
    ]


def _newest_of_slot(account: Account, pickles: list[Pickle], model: str) -> tuple[Pickle, str | None]:
    slot = find_slot(account, model)
    own = [p for p in pickles if p.model_id == slot.id]
    newest = max(own, key=lambda p: p.inserted_at.timestamp() if p.inserted_at else 0.0, default=slot.assigned)
    if newest is None:
        raise InputError(f"Nothing was ever uploaded for the slot {slot.name}.", next_step="Call upload_pickle first.")
    newest = next((p for p in pickles if p.id == newest.id), newest)
    other = slot.assigned.id if slot.assigned and slot.assigned.id != newest.id else None
    return newest, other


def _named(pickles: list[Pickle], pickle_id: str | None, trigger_id: str | None) -> Pickle:
    for pickle in pickles:
        if pickle.id == pickle_id or any(trigger.id == trigger_id for trigger in pickle.triggers):
            return pickle
    kind, wanted = ("pickle", pickle_id) if pickle_id is not None else ("trigger", trigger_id)
    raise InputError(f"The account has no {kind} {wanted!r}.", next_step="Take the id from list_pickles.")


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:64]
