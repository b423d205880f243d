"""Carries agreed changes out: uploads, deployments, executions; explains what Numerai then says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from server.errors import NumeraiFailure
from server.logs.results import diagnosis_fields
from server.logs.story import tell_story
from server.numerai.changes import trigger
from server.numerai.client import Numerai, open_numerai
from server.numerai.deploy import DeployResult, SlotResult, deploy
from server.numerai.types import Pickle
from server.numerai.upload import UploadResult, upload
from server.numerai.watch import explain, outcome, trigger_outcome, watch_trigger
from server.runners.types import Progress
from server.settings import Settings
from server.uploads.plans import DeployPlan, TriggerPlan, UploadPlan


async def run_upload(settings: Settings, plan: UploadPlan, progress: Progress) -> dict[str, Any]:
    """The fields of upload_pickle's result.

    Raises:
        InputError: the file changed since it was agreed to.
        NumeraiFailure: what is known and what is not; calling again goes on.
    """
    async with open_numerai(settings) as numerai:
        done = await upload(numerai, plan.request, state_dir=settings.state_dir, progress=progress)
        diagnosis = await _why(settings, numerai, done.pickle, plan) if done.outcome == "invalid" else []
    return {
        "summary": _upload_words(plan, done, diagnosis),
        "pickle_id": done.pickle.id,
        "model": plan.request.slot.name,
        "sha256": done.sha256,
        "validation_status": done.pickle.validation_status,
        "trigger_status": done.pickle.trigger_status,
        "docker_image": plan.request.image.reference,
        "data_version": plan.request.data_version.name,
        "steps": list(done.steps),
        "assigned": done.assigned,
        "previous_pickle_id": done.previous_pickle_id,
        "diagnosis": diagnosis,
    }


async def run_deploy(settings: Settings, plan: DeployPlan, dry_run: bool, progress: Progress) -> dict[str, Any]:
    """The fields of deploy_pickles' result. A dry run changes nothing.

    Raises:
        NumeraiFailure: before anything was changed; a slot that fails later says so in its entry.
    """
    async with open_numerai(settings) as numerai:
        done = await deploy(numerai, plan.deployments, state_dir=settings.state_dir, dry_run=dry_run, progress=progress)
        slots = [await _slot_fields(settings, numerai, slot) for slot in done.slots]
    return {
        "summary": _deploy_words(done, dry_run),
        "slots": slots,
        "rollback_path": _rollback_in(settings.workspace, done),
        "dry_run": dry_run,
    }


async def run_trigger(settings: Settings, plan: TriggerPlan, progress: Progress) -> dict[str, Any]:
    """The fields of trigger_pickle's result, once the execution has ended or the watching time is over."""
    pickle_id, model_id = plan.pickle_id, plan.slot.id if plan.slot else None
    async with open_numerai(settings) as numerai:
        started = await trigger(numerai, pickle_id, model_id=model_id, validation=plan.validation)
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
        story = await tell_story(settings, numerai, pickle, pickle_path=plan.request.pickle_path)
    except NumeraiFailure:
        # The upload's own outcome must not be lost with its logs; get_trigger_logs can be called later.
        return []
    return [diagnosis_fields(found) for found in story.diagnosis]


async def _slot_fields(settings: Settings, numerai: Numerai, slot: SlotResult) -> dict[str, Any]:
    pickle = slot.pickle
    invalid = pickle is not None and outcome(pickle) == "invalid"
    story = await tell_story(settings, numerai, pickle) if pickle is not None and invalid else None
    return {
        "model": slot.slot.name,
        "plan": slot.plan,
        "previous_pickle_id": slot.previous_pickle_id,
        "pickle_id": pickle.id if pickle else None,
        "validation_status": pickle.validation_status if pickle else None,
        "assigned": slot.assigned,
        "error": slot.error,
        "diagnosis": [diagnosis_fields(found) for found in story.diagnosis] if story else [],
    }


def _deploy_words(done: DeployResult, dry_run: bool) -> str:
    if dry_run:
        return f"Nothing was changed. {len(done.slots)} slots would be served with {done.uploads} different uploads."
    served = sum(slot.assigned for slot in done.slots)
    failed = [slot.slot.name for slot in done.slots if slot.error]
    rest = f" Not served: {', '.join(failed)}; they keep what they ran. See slots." if failed else ""
    return f"{served} of {len(done.slots)} slots are served.{rest} To undo: deploy_pickles(deployments=rollback_path)."


def _rollback_in(workspace: Path, done: DeployResult) -> str | None:
    """The rollback file, copied to where tools may read it."""
    if done.rollback_path is None:
        return None
    copy = workspace / f"rollback-{done.rollback_path.name}"
    copy.write_bytes(done.rollback_path.read_bytes())
    return str(copy)


def _upload_words(plan: UploadPlan, done: UploadResult, diagnosis: list[dict[str, Any]]) -> str:
    name = f"The pickle {done.pickle.id} for the slot {plan.request.slot.name}"
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
