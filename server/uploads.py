"""Carries agreed changes out: uploads, deployments, executions; explains what Numerai then says."""

from __future__ import annotations

from typing import Any

from server.errors import NumeraiFailure
from server.log_results import diagnosis_fields
from server.numerai.changes import trigger
from server.numerai.client import Numerai, open_numerai
from server.numerai.types import Pickle
from server.numerai.upload import UploadRequest, UploadResult, upload
from server.numerai.watch import explain, trigger_outcome, watch_trigger
from server.runners.types import Progress
from server.settings import Settings
from server.trigger_logs import tell_story
from server.upload_plans import UploadPlan


async def run_upload(settings: Settings, plan: UploadPlan, progress: Progress) -> dict[str, Any]:
    """The fields of upload_pickle's result.

    Raises:
        InputError: the file changed since it was agreed to.
        NumeraiFailure: what is known and what is not; calling again goes on.
    """
    request = UploadRequest(
        pickle_path=plan.pickle_path,
        slot=plan.slot,
        image=plan.image,
        data_version=plan.data_version,
        sha256=plan.sha256,
        label=plan.label,
        assign=plan.assign,
    )
    async with open_numerai(settings) as numerai:
        done = await upload(numerai, request, state_dir=settings.state_dir, progress=progress)
        diagnosis = await _why(settings, numerai, done.pickle, plan) if done.outcome == "invalid" else []
    return {
        "summary": _upload_words(plan, done, diagnosis),
        "pickle_id": done.pickle.id,
        "model": plan.slot.name,
        "sha256": done.sha256,
        "validation_status": done.pickle.validation_status,
        "trigger_status": done.pickle.trigger_status,
        "docker_image": plan.image.reference,
        "data_version": plan.data_version.name,
        "steps": list(done.steps),
        "assigned": done.assigned,
        "previous_pickle_id": done.previous_pickle_id,
        "diagnosis": diagnosis,
    }


async def run_trigger(
    settings: Settings, pickle_id: str, model_id: str | None, validation: bool, progress: Progress
) -> dict[str, Any]:
    """The fields of trigger_pickle's result, once the execution has ended or the watching time is over."""
    settings.require_credentials()
    async with open_numerai(settings) as numerai:
        started = await trigger(numerai, pickle_id, model_id=model_id, validation=validation)
        pickle = await watch_trigger(numerai, pickle_id, started.id, progress)
    now = next((each for each in pickle.triggers if each.id == started.id), started)
    what = {"succeeded": "ran well", "failed": "FAILED", "pending": "is still running"}[trigger_outcome(now)]
    return {
        "summary": f"The execution {now.id} of the pickle {pickle_id} {what} (status {now.status!r}). "
        f"{explain(pickle) or ''} Next: get_trigger_logs with trigger_id={now.id!r}.",
        "pickle_id": pickle_id,
        "trigger_id": now.id,
        "trigger_status": now.status,
        "statuses": [step.status or "" for step in now.statuses],
    }


async def _why(settings: Settings, numerai: Numerai, pickle: Pickle, plan: UploadPlan) -> list[dict[str, Any]]:
    try:
        story = await tell_story(settings, numerai, pickle, pickle_path=plan.pickle_path)
    except NumeraiFailure:
        # The upload's own outcome must not be lost with its logs; get_trigger_logs can be called later.
        return []
    return [diagnosis_fields(found) for found in story.diagnosis]


def _upload_words(plan: UploadPlan, done: UploadResult, diagnosis: list[dict[str, Any]]) -> str:
    name = f"The pickle {done.pickle.id} for the slot {plan.slot.name}"
    if done.outcome == "invalid":
        why = f"{diagnosis[0]['cause']} Next: {diagnosis[0]['next_step']}" if diagnosis else "Next: get_trigger_logs."
        return f"{name} is registered, and INVALID; it was not assigned. {why}"
    if done.outcome == "pending":
        return f"{name} is registered; its validation goes on. Call upload_pickle again to wait on."
    if done.assigned:
        before = f"it replaced {done.previous_pickle_id}" if done.previous_pickle_id else "nothing ran there before"
        after = f"and assigned; {before}. Next: after the next round opens, get_trigger_logs."
    else:
        after = "and not assigned. Next: assign_pickle, once the user agrees."
    return f"{name} is validated {after} {explain(done.pickle) or ''}".rstrip()

