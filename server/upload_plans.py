"""What a change of the account would do, settled before anything moves: the facts that the user agrees to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from server.errors import InputError
from server.files import sha256_of
from server.numerai.types import Account, DataVersion, ModelSlot, Pickle
from server.proofs import Proofs
from server.runners.types import DockerImage
from server.settings import Settings
from server.workspace import existing_file

if TYPE_CHECKING:
    from server.numerai.client import Numerai


@dataclass(frozen=True)
class UploadPlan:
    """One upload. `facts` is the question's text."""

    facts: str
    pickle_path: Path
    sha256: str
    slot: ModelSlot
    image: DockerImage
    data_version: DataVersion
    label: str | None
    assign: bool


@dataclass(frozen=True)
class AssignPlan:
    """One assignment."""

    facts: str
    slot: ModelSlot
    pickle_id: str | None


class DeploymentEntry(BaseModel):
    """One entry of a deployments list."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str
    pickle_path: str | None = None
    pickle_id: str | None = None
    docker_image: str | None = None
    data_version: str | None = None


@dataclass(frozen=True)
class PlannedSlot:
    """One slot of a deployment: a file to upload, or a registered pickle (None turns the slot's pickle off)."""

    slot: ModelSlot
    upload: UploadPlan | None
    pickle: Pickle | None


@dataclass(frozen=True)
class DeployPlan:
    """Many slots at once."""

    facts: str
    slots: tuple[PlannedSlot, ...]


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
        InputError: no such slot or pickle, or the pickle has not validated.
    """
    from server.numerai.account import find_slot, require_scope
    from server.numerai.client import open_numerai
    from server.numerai.types import UPLOAD_SCOPE

    settings.require_credentials()
    async with open_numerai(settings) as numerai:
        await require_scope(numerai, UPLOAD_SCOPE)
        slot = find_slot(await numerai.account(), model)
        pickle = await _validated(numerai, pickle_id) if pickle_id is not None else None
    will = _pickle_words(pickle) if pickle else "nothing (model uploads are turned off for the slot)"
    facts = f"Slot {slot.name} ({slot.id}) runs now: {_pickle_words(slot.assigned)}. It will run: {will}."
    return AssignPlan(facts, slot, pickle_id)


async def plan_deploy(settings: Settings, proofs: Proofs, deployments: list[dict[str, Any]] | str) -> DeployPlan:
    """What every slot runs now and will run.

    Raises:
        InputError: the list, or an entry of it, can't be used; nothing was changed.
    """
    from server.numerai.account import find_slot, require_scope
    from server.numerai.client import open_numerai
    from server.numerai.types import UPLOAD_SCOPE

    entries = read_deployments(settings, deployments)
    settings.require_credentials()
    slots: list[PlannedSlot] = []
    async with open_numerai(settings) as numerai:
        await require_scope(numerai, UPLOAD_SCOPE)
        account = await numerai.account()
        for entry in entries:
            slot = find_slot(account, entry.model)
            if any(planned.slot.id == slot.id for planned in slots):
                raise InputError(f"The slot {slot.name} is in the list twice.", next_step="Keep one entry a slot.")
            if entry.pickle_path is not None:
                path = existing_file(settings, entry.pickle_path)
                upload = await _plan_one(
                    settings, proofs, numerai, account, path, slot.id, entry.docker_image, entry.data_version, None, True
                )
                slots.append(PlannedSlot(slot, upload, None))
            else:
                pickle = await _validated(numerai, entry.pickle_id) if entry.pickle_id is not None else None
                slots.append(PlannedSlot(slot, None, pickle))
    lines = [planned.upload.facts if planned.upload else _assignment_words(planned) for planned in slots]
    return DeployPlan("\n".join([f"Deploy to {len(slots)} slots:", *lines]), tuple(slots))


def read_deployments(settings: Settings, deployments: list[dict[str, Any]] | str) -> list[DeploymentEntry]:
    """The deployments, from a list or a JSON file of one.

    Raises:
        InputError: not a list of entries with a model and at most one of pickle_path and pickle_id.
    """
    value: Any = deployments
    if isinstance(deployments, str):
        try:
            value = json.loads(existing_file(settings, deployments).read_text())
        except ValueError as error:
            raise InputError(f"{deployments} is no JSON.", evidence=str(error), next_step="Fix the file.") from None
    try:
        entries = TypeAdapter(list[DeploymentEntry]).validate_python(value)
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise InputError(
            "The deployments are not as they should be.",
            evidence=places,
            next_step="Give a list of {model, pickle_path or pickle_id, docker_image?, data_version?}.",
        ) from None
    if not entries:
        raise InputError("The list of deployments is empty.", next_step="Name at least one slot and its pickle.")
    for entry in entries:
        if entry.pickle_path is not None and entry.pickle_id is not None:
            raise InputError(f"The entry for {entry.model} has both pickle_path and pickle_id.", next_step="Keep one.")
        if entry.pickle_path is None and "pickle_id" not in entry.model_fields_set:
            raise InputError(f"The entry for {entry.model} has neither pickle_path nor pickle_id.", next_step="Add one.")
    return entries


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

    slot = find_slot(account, model)
    check_upload_slot(slot)
    fingerprint = await read_fingerprint(path)
    images = await listed_images(numerai, deprecated=docker_image is not None)
    image = choose_image(images, docker_image, python_version=fingerprint.python_version)
    version = choose_data_version(await numerai.data_versions(deprecated=data_version is not None), data_version)
    fatal = [f for f in (await inspect(settings, fingerprint, image, version, numerai)) if f.verdict == "will_fail"]
    if fatal:
        raise InputError(
            f"{path.name} will fail in {image.reference} with the data version {version.name}; nothing was uploaded.",
            evidence=" ".join(finding.cause for finding in fatal),
            next_step=fatal[0].next_step,
        )
    sha256 = await sha256_of(path)
    will = f"{path.name} ({path.stat().st_size:,} bytes, sha256 {sha256[:12]})"
    after = "then assigned: it replaces what runs there" if assign else "not assigned"
    facts = (
        f"Upload {will} for the slot {slot.name} ({slot.id}), {after}. The slot runs now: {_pickle_words(slot.assigned)}. "
        f"Image: {image.reference} (Python {image.python_version}). Data version: {version.name}. "
        f"Proof: {proofs.sentence(sha256, image.reference)}."
    )
    return UploadPlan(facts, path, sha256, slot, image, version, label, assign)


async def _validated(numerai: Numerai, pickle_id: str) -> Pickle:
    found = next((p for p in await numerai.pickles(pickle_id=pickle_id) if p.id == pickle_id), None)
    if found is None:
        raise InputError(f"The account has no pickle {pickle_id!r}.", next_step="Look at list_pickles.")
    if found.validation_status != "validated":
        raise InputError(
            f"The pickle {pickle_id} has not validated: its status is {found.validation_status!r}.",
            next_step="Call get_trigger_logs with this pickle_id, or wait until it has validated.",
        )
    return found


def _assignment_words(planned: PlannedSlot) -> str:
    will = _pickle_words(planned.pickle) if planned.pickle else "nothing (turned off)"
    return f"Slot {planned.slot.name} runs now: {_pickle_words(planned.slot.assigned)}. It will run: {will}."


def _pickle_words(pickle: Pickle | None) -> str:
    if pickle is None:
        return "nothing"
    # Names come from the account: quoted, so that they can't pose as part of the facts.
    return f"pickle {pickle.id} ({json.dumps((pickle.label or pickle.filename or '')[:60])}, {pickle.validation_status})"

