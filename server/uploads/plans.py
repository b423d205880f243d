"""What a change of the account would do, settled before anything moves: the facts that the user agrees to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.errors import InputError
from server.files import sha256_of
from server.numerai.types import Account, ModelSlot, Pickle
from server.runs.proofs import Proofs
from server.settings import Settings
from server.workspace import existing_file

if TYPE_CHECKING:
    from server.numerai.client import Numerai
    from server.numerai.deploy import Deployment
    from server.numerai.upload import UploadRequest


OTHER_COLUMNS = ("features_of_other_version", "benchmark_column_renamed")
"""Findings that keep the default data version from being chosen: a version that is asked for by name is taken."""


@dataclass(frozen=True)
class UploadPlan:
    """One upload. `facts` is the question's text."""

    facts: str
    request: UploadRequest


@dataclass(frozen=True)
class AssignPlan:
    """One assignment."""

    facts: str
    slot: ModelSlot
    pickle_id: str | None


@dataclass(frozen=True)
class TriggerPlan:
    """One execution of a registered pickle: to validate it, or to submit."""

    facts: str
    pickle_id: str
    slot: ModelSlot | None
    validation: bool


@dataclass(frozen=True)
class DeployPlan:
    """Many slots at once."""

    facts: str
    deployments: tuple[Deployment, ...]


async def plan_upload(
    settings: Settings,
    proofs: Proofs,
    pickle_path: str,
    model: str,
    docker_image: str | None,
    data_version: str | None,
    label: str | None,
    assign: bool,
) -> UploadPlan:
    """Check everything about an upload that can be known before it.

    Raises:
        InputError: the file, slot, image or data version can't be used, or the pickle will fail in the image.
        NumeraiFailure: the key lacks a scope, the slot refuses uploads, or Numerai can't be asked.
    """
    from server.numerai.account import require_scope
    from server.numerai.client import open_numerai
    from server.numerai.types import UPLOAD_SCOPE

    path = existing_file(settings, pickle_path)
    settings.require_credentials()
    async with open_numerai(settings) as numerai:
        await require_scope(numerai, UPLOAD_SCOPE)
        account = await numerai.account()
        return await _plan_one(
            settings, proofs, numerai, account, path, model, docker_image, data_version, label, assign
        )


async def plan_assign(settings: Settings, model: str, pickle_id: str | None) -> AssignPlan:
    """What the slot runs now and will run.

    Raises:
        InputError: no such slot, or the pickle has not validated.
        NumeraiRefused: no such pickle.
    """
    from server.numerai.account import find_slot, require_scope
    from server.numerai.client import open_numerai
    from server.numerai.types import UPLOAD_SCOPE

    settings.require_credentials()
    async with open_numerai(settings) as numerai:
        await require_scope(numerai, UPLOAD_SCOPE)
        slot = find_slot(await numerai.account(), model)
        pickle = await _validated(numerai, pickle_id) if pickle_id is not None else None
    return AssignPlan(_assignment_words(slot, pickle), slot, pickle_id)


async def plan_trigger(settings: Settings, pickle_id: str, model: str | None, validation: bool) -> TriggerPlan:
    """Which pickle would run, for which slot, and whether its predictions are submitted.

    Raises:
        InputError: no such slot.
        NumeraiRefused: no such pickle.
    """
    from server.numerai.account import find_slot, require_scope
    from server.numerai.client import open_numerai
    from server.numerai.types import UPLOAD_SCOPE
    from server.numerai.watch import find_pickle

    settings.require_credentials()
    async with open_numerai(settings) as numerai:
        await require_scope(numerai, UPLOAD_SCOPE)
        account = await numerai.account()
        pickle = await find_pickle(numerai, pickle_id)
    slot = find_slot(account, model) if model is not None else None
    assigned = [each.name for each in account.models if each.assigned is not None and each.assigned.id == pickle.id]
    where = slot.name if slot else ", ".join(assigned) or "no slot: it is assigned to none"
    what = "to validate it; nothing is submitted" if validation else f"and submit its predictions for {where}"
    return TriggerPlan(f"Run {_pickle_words(pickle)} now {what}.", pickle.id, slot, validation)


async def plan_deploy(settings: Settings, proofs: Proofs, deployments: list[dict[str, Any]] | str) -> DeployPlan:
    """What every slot runs now and will run.

    Raises:
        InputError: the list, or an entry of it, can't be used; nothing was changed.
    """
    from server.numerai.account import find_slot, require_scope
    from server.numerai.client import open_numerai
    from server.numerai.deploy import Deployment, read_specs
    from server.numerai.types import UPLOAD_SCOPE

    source = existing_file(settings, deployments) if isinstance(deployments, str) else deployments
    specs = read_specs(source)
    settings.require_credentials()
    planned: list[Deployment] = []
    lines: list[str] = []
    async with open_numerai(settings) as numerai:
        await require_scope(numerai, UPLOAD_SCOPE)
        account = await numerai.account()
        for spec in specs:
            slot = find_slot(account, spec.model)
            if spec.pickle_path is not None:
                path = existing_file(settings, spec.pickle_path)
                upload = await _plan_one(
                    settings, proofs, numerai, account, path, slot.id, spec.docker_image, spec.data_version, None, True
                )
                planned.append(Deployment(slot, upload.request))
                lines.append(upload.facts)
            else:
                pickle = await _validated(numerai, spec.pickle_id) if spec.pickle_id is not None else None
                planned.append(Deployment(slot, pickle_id=spec.pickle_id))
                lines.append(_assignment_words(slot, pickle))
    return DeployPlan("\n".join([f"Deploy to {len(planned)} slots:", *lines]), tuple(planned))


async def _plan_one(
    settings: Settings,
    proofs: Proofs,
    numerai: Numerai,
    account: Account,
    path: Path,
    model: str,
    docker_image: str | None,
    data_version: str | None,
    label: str | None,
    assign: bool,
) -> UploadPlan:
    from server.images import listed_images
    from server.inspection import inspect, read_fingerprint
    from server.numerai.account import check_upload_slot, choose_data_version, choose_image, find_slot
    from server.numerai.upload import UploadRequest

    slot = find_slot(account, model)
    check_upload_slot(slot)
    fingerprint = await read_fingerprint(path)
    images = await listed_images(numerai, deprecated=docker_image is not None)
    image = choose_image(images, docker_image, python_version=fingerprint.python_version)
    version = choose_data_version(await numerai.data_versions(deprecated=data_version is not None), data_version)
    findings = await inspect(settings, fingerprint, image, version, numerai)
    fatal = [f for f in findings if f.verdict == "will_fail" or (data_version is None and f.id in OTHER_COLUMNS)]
    if fatal:
        raise InputError(
            f"{path.name} will fail in {image.reference} with the data version {version.name}; nothing was uploaded.",
            evidence=" ".join(finding.cause for finding in fatal),
            next_step=fatal[0].next_step,
        )
    doubts = " ".join(finding.cause for finding in findings if finding.verdict == "may_fail")
    sha256 = await sha256_of(path)
    will = f"{path.name} ({path.stat().st_size:,} bytes, sha256 {sha256[:12]})"
    after = "then assigned: it replaces what runs there" if assign else "not assigned"
    facts = (
        f"Upload {will} for the slot {slot.name} ({slot.id}), {after}. "
        f"The slot runs now: {_pickle_words(slot.assigned)}. "
        f"Image: {image.reference} (Python {image.python_version}). Data version: {version.name}. "
        f"Proof: {proofs.sentence(sha256, image.reference)}."
        f"{f' It may fail: {doubts}' if doubts else ''}"
    )
    return UploadPlan(facts, UploadRequest(path, slot, image, version, sha256, label, assign))


async def _validated(numerai: Numerai, pickle_id: str) -> Pickle:
    from server.numerai.watch import find_pickle

    found = await find_pickle(numerai, pickle_id)
    if found.validation_status != "validated":
        raise InputError(
            f"The pickle {pickle_id} has not validated: its status is {found.validation_status!r}.",
            next_step="Call get_trigger_logs with this pickle_id, or wait until it has validated.",
        )
    return found


def _assignment_words(slot: ModelSlot, pickle: Pickle | None) -> str:
    will = _pickle_words(pickle) if pickle else "nothing (model uploads are turned off for the slot)"
    return f"Slot {slot.name} ({slot.id}) runs now: {_pickle_words(slot.assigned)}. It will run: {will}."


def _pickle_words(pickle: Pickle | None) -> str:
    if pickle is None:
        return "nothing"
    # Names come from the account: quoted, so that they can't pose as part of the facts.
    return (
        f"pickle {pickle.id} ({json.dumps((pickle.label or pickle.filename or '')[:60])}, {pickle.validation_status})"
    )
