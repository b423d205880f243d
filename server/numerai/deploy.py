"""Many slots in one go: equal files go up once, a slot is assigned only when its pickle has validated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import anyio
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from server.errors import InputError, NumeraiRefused, PickleMcpError
from server.numerai.account import check_upload_slot, find_slot, require_scope
from server.numerai.changes import assign
from server.numerai.client import Numerai
from server.numerai.journal import write_whole
from server.numerai.locks import slot_lock
from server.numerai.put import LocalFile, look_at
from server.numerai.types import UPLOAD_SCOPE, ModelSlot, Pickle
from server.numerai.upload import UploadRequest, upload
from server.numerai.watch import find_pickle, outcome
from server.runners.types import Progress, silent

UPLOADS_AT_ONCE = 3


class DeploymentSpec(BaseModel):
    """One entry of a deployments list or file: a slot, and what is to run there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(description="Name or id of the slot")
    pickle_path: str | None = Field(default=None, description="A file to upload")
    pickle_id: str | None = Field(
        default=None, description="A registered pickle; an explicit null disables the slot's upload"
    )
    docker_image: str | None = Field(default=None, description="For pickle_path: id, name or reference")
    data_version: str | None = Field(default=None, description="For pickle_path: id or name")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.pickle_path is not None) == ("pickle_id" in self.model_fields_set):
            raise ValueError("give either pickle_path or pickle_id")
        if self.pickle_path is None and (self.docker_image or self.data_version):
            raise ValueError("docker_image and data_version go with pickle_path")
        return self


@dataclass(frozen=True)
class Deployment:
    """A spec whose names are resolved: an `upload`, a registered `pickle_id`, or neither (disable)."""

    slot: ModelSlot
    upload: UploadRequest | None = None
    pickle_id: str | None = None


@dataclass
class SlotResult:
    """What became of one slot. `plan` says what is to be done; `error` why it was not."""

    slot: ModelSlot
    previous_pickle_id: str | None
    plan: str
    pickle: Pickle | None = None
    assigned: bool = False
    error: str | None = None


@dataclass(frozen=True)
class DeployResult:
    """`rollback_path` holds a deployments file that restores what ran before; None on a dry run."""

    slots: tuple[SlotResult, ...]
    rollback_path: Path | None
    uploads: int
    """Different files among the deployments."""


@dataclass
class _Upload:
    """One file that serves several slots; it is uploaded for the first of them by id."""

    request: UploadRequest
    file: LocalFile
    slot_ids: list[str] = field(default_factory=list[str])


class _Before(BaseModel):
    """What ran in each slot before a deployment that may be interrupted and called again."""

    finished: bool = False
    previous: dict[str, str | None] = {}


def read_specs(source: Sequence[object] | Path) -> list[DeploymentSpec]:
    """The deployments in a list or in a JSON file that holds one.

    Raises:
        InputError: it cannot be read or an entry does not fit; the message names the entry.
    """
    try:
        entries: object = json.loads(source.read_bytes()) if isinstance(source, Path) else list(source)
        specs = TypeAdapter(list[DeploymentSpec]).validate_python(entries)
    except OSError as error:
        raise InputError(f"{source} cannot be read.", evidence=error.strerror or "") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            "The deployments do not fit.",
            evidence=f"{'.'.join(str(part) for part in first['loc']) or 'entries'}: {first['msg']}",
            next_step='Give a list of {"model", "pickle_path" or "pickle_id", "docker_image"?, "data_version"?}.',
        ) from None
    except ValueError as error:
        raise InputError(f"{source} holds no JSON.", evidence=str(error)[:200]) from None
    if not specs:
        raise InputError("There is nothing to deploy.", next_step="Give at least one deployment.")
    return specs


async def deploy(
    numerai: Numerai,
    deployments: Sequence[Deployment],
    *,
    state_dir: Path,
    dry_run: bool = False,
    progress: Progress = silent,
) -> DeployResult:
    """Upload what is to be uploaded, then assign each slot whose pickle has validated. Safe to repeat.

    A slot that cannot be served says why in its result and keeps what runs there; the others go on.

    Raises:
        InputError: two entries are for one slot, or a file cannot be used.
        CredentialsMissing, NumeraiRefused, NumeraiUnreachable: before anything was changed.
    """
    _check_slots(deployments)
    await require_scope(numerai, UPLOAD_SCOPE)
    uploads = await _group(deployments)
    account = await numerai.account()
    current = {each.slot.id: _assigned(find_slot(account, each.slot.id)) for each in deployments}
    if dry_run:
        results = [SlotResult(each.slot, current[each.slot.id], _plan(each)) for each in deployments]
        return DeployResult(tuple(results), None, len(uploads))
    path, before = _begin(state_dir, deployments, uploads, current)
    results = [SlotResult(each.slot, before.previous[each.slot.id], _plan(each)) for each in deployments]
    by_slot = {result.slot.id: result for result in results}
    rollback_path = path.with_name(f"{path.stem}-rollback.json")
    entries = [{"model": result.slot.name, "pickle_id": result.previous_pickle_id} for result in results]
    write_whole(rollback_path, json.dumps(entries, indent=2))
    await _upload_all(numerai, uploads, by_slot, state_dir, progress)
    for each in deployments:
        await _assign(numerai, each, by_slot[each.slot.id], state_dir, progress)
    if all(result.assigned for result in results):
        write_whole(path, before.model_copy(update={"finished": True}).model_dump_json())
    return DeployResult(tuple(results), rollback_path, len(uploads))


def _check_slots(deployments: Sequence[Deployment]) -> None:
    seen: set[str] = set()
    for each in deployments:
        if each.slot.id in seen:
            raise InputError(f"Two deployments are for the slot {each.slot.name}.", next_step="Keep one of them.")
        seen.add(each.slot.id)
        if each.upload or each.pickle_id:
            check_upload_slot(each.slot)


async def _group(deployments: Sequence[Deployment]) -> list[_Upload]:
    groups: dict[tuple[str, str | None, str], _Upload] = {}
    for each in sorted(deployments, key=lambda each: each.slot.id):
        if request := each.upload:
            file = await look_at(request.pickle_path, request.sha256)
            key = (file.sha256, request.image.id, request.data_version.id)
            groups.setdefault(key, _Upload(replace(request, assign=False), file)).slot_ids.append(each.slot.id)
    return list(groups.values())


def _begin(
    state_dir: Path, deployments: Sequence[Deployment], uploads: Sequence[_Upload], current: dict[str, str | None]
) -> tuple[Path, _Before]:
    """The deployment's own file and what ran before it, from an interrupted earlier call where there was one."""
    parts = [f"{group.file.sha256} {group.request.image.id} {group.slot_ids}" for group in uploads]
    parts += [f"{each.slot.id} {each.pickle_id}" for each in deployments if each.upload is None]
    key = hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]
    path = state_dir / "deployments" / f"{key}.json"
    try:
        before = _Before.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        before = _Before(finished=True)
    if before.finished:
        before = _Before(previous=current)
        write_whole(path, before.model_dump_json())
    return path, before


async def _upload_all(
    numerai: Numerai, uploads: Sequence[_Upload], by_slot: dict[str, SlotResult], state_dir: Path, progress: Progress
) -> None:
    places = anyio.CapacityLimiter(UPLOADS_AT_ONCE)

    async def serve(group: _Upload) -> None:
        async with places:
            name = group.request.slot.name

            async def told(line: str) -> None:
                await progress(f"{name}: {line}")

            try:
                pickle = (await upload(numerai, group.request, state_dir=state_dir, progress=told)).pickle
            except PickleMcpError as error:
                for slot_id in group.slot_ids:
                    by_slot[slot_id].error = str(error)
            else:
                for slot_id in group.slot_ids:
                    by_slot[slot_id].pickle = pickle

    async with anyio.create_task_group() as tasks:
        for group in uploads:
            tasks.start_soon(serve, group)


async def _assign(
    numerai: Numerai, deployment: Deployment, result: SlotResult, state_dir: Path, progress: Progress
) -> None:
    if result.error:
        return
    try:
        if deployment.pickle_id:
            result.pickle = await find_pickle(numerai, deployment.pickle_id)
        pickle = result.pickle
        if pickle and outcome(pickle) != "validated":
            raise NumeraiRefused(
                f"The pickle {pickle.id} has not validated, so the slot {result.slot.name} keeps what it has.",
                evidence=f"validation: {pickle.validation_status}, trigger: {pickle.trigger_status}",
                next_step="Call get_trigger_logs with its id.",
            )
        async with slot_lock(state_dir, result.slot.id, seconds=numerai.pace.watch_seconds, progress=progress):
            await assign(numerai, result.slot.id, pickle.id if pickle else None)
        result.assigned = True
        await progress(f"{result.slot.name}: {f'runs {pickle.id}' if pickle else 'disabled'}")
    except PickleMcpError as error:
        result.error = str(error)


def _plan(deployment: Deployment) -> str:
    if request := deployment.upload:
        return f"upload {request.pickle_path.name} for {request.image.reference}, then assign it if it validates"
    return f"assign {deployment.pickle_id}" if deployment.pickle_id else "disable the slot's upload"


def _assigned(slot: ModelSlot) -> str | None:
    return slot.assigned.id if slot.assigned else None
