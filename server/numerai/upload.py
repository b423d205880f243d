"""One upload: checks, leave, PUT, registration, validation, label, assignment. Called again, it goes on.

What Numerai has is looked at before anything is repeated. A registered pickle is known by the file name that Numerai
returned (in the journal), and by the file's checksum, which is part of the name that is asked for.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import anyio

from server.errors import NumeraiRefused
from server.numerai.account import check_upload_slot, find_slot, require_scope
from server.numerai.changes import assign, make_once, set_label
from server.numerai.client import Numerai
from server.numerai.journal import Entry, Journal
from server.numerai.locks import slot_lock
from server.numerai.pace import attempt
from server.numerai.put import LocalFile, look_at, put_file
from server.numerai.types import UPLOAD_SCOPE, DataVersion, ModelSlot, Pickle
from server.numerai.watch import Outcome, outcome, watch_pickle
from server.runners.types import DockerImage, Progress, silent

STORED_SECONDS = 3600.0
"""How long a stored but unregistered file is relied on."""

SLOWEST_BYTES_PER_SECOND = 50_000


@dataclass(frozen=True)
class UploadRequest:
    """A file for a slot. `sha256` is that of the inspected file, checked again before it is sent."""

    pickle_path: Path
    slot: ModelSlot
    image: DockerImage
    data_version: DataVersion
    sha256: str | None = None
    label: str | None = None
    assign: bool = False


@dataclass(frozen=True)
class UploadResult:
    """What Numerai has now. `pickle` is its newest state; `steps` are those of this call, in order."""

    pickle: Pickle
    outcome: Outcome
    steps: tuple[str, ...]
    assigned: bool
    previous_pickle_id: str | None
    sha256: str
    size_bytes: int


async def upload(
    numerai: Numerai, request: UploadRequest, *, state_dir: Path, progress: Progress = silent
) -> UploadResult:
    """Upload, validate, and as asked label and assign (only a validated pickle). Safe to repeat.

    Raises:
        InputError: the file cannot be used or changed meanwhile.
        CredentialsMissing, NumeraiRefused, NumeraiUnreachable, OutcomeUnknown: see `Numerai`. Calling again goes on.
    """
    check_upload_slot(request.slot)
    file = await look_at(request.pickle_path, request.sha256)
    await require_scope(numerai, UPLOAD_SCOPE)
    steps: list[str] = []
    async with slot_lock(state_dir, request.slot.id, seconds=numerai.pace.watch_seconds, progress=progress):
        journal = Journal(state_dir, file.sha256, request.slot.id, request.image.id or "", request.data_version.id)
        pickle = await _registered(numerai, request, file, journal, steps, progress)
        await progress(f"registered as pickle {pickle.id}; waiting for the validation")
        pickle = await watch_pickle(numerai, pickle.id, progress)
        steps.append(outcome(pickle))
        if request.label is not None:
            pickle = await set_label(numerai, pickle.id, request.label)
            steps.append("labelled")
        previous, assigned = None, False
        if request.assign and outcome(pickle) == "validated":
            previous = await _assign(numerai, request.slot.id, pickle.id, journal)
            assigned = True
            steps.append("assigned")
    return UploadResult(pickle, outcome(pickle), tuple(steps), assigned, previous, file.sha256, file.size)


async def _registered(
    numerai: Numerai, request: UploadRequest, file: LocalFile, journal: Journal, steps: list[str], progress: Progress
) -> Pickle:
    entry = journal.read()

    async def look() -> Pickle | None:
        return await _find(numerai, request, file, journal.read())

    # A registration that was under way when the last call ended may still show up.
    for wait in islice(numerai.pace.look, numerai.pace.looks if entry.step == "registering" else 1):
        if found := await look():
            journal.note(entry, "registered", pickle_id=found.id)
            steps.append("found")
            return found
        if entry.step == "registering":
            await anyio.sleep(wait)
    if entry.step not in ("uploaded", "registering") or time.time() - entry.uploaded_at > STORED_SECONDS:
        entry = await _store(numerai, request, file, journal, progress)
        steps.append("uploaded")
    entry = journal.note(entry, "registering")
    register = partial(
        numerai.register_pickle,
        filename=entry.filename or "",
        model_id=request.slot.id,
        docker_image_id=request.image.id or "",
        data_version_id=request.data_version.id,
    )
    try:
        pickle = await make_once(numerai, register, look, "the registered pickle")
    except NumeraiRefused:
        # The next call starts with a new file: what was refused may be this one.
        journal.note(Entry(), "started")
        raise
    journal.note(entry, "registered", pickle_id=pickle.id)
    steps.append("registered")
    return pickle


async def _store(
    numerai: Numerai, request: UploadRequest, file: LocalFile, journal: Journal, progress: Progress
) -> Entry:
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", request.pickle_path.stem)[:40]
    entry = Entry()

    async def send() -> Entry:
        # A new leave for every try: it may have expired, and must be fresh right before the PUT.
        auth = await numerai.upload_auth(f"{stem}-{_mark(file)}.pkl", request.slot.id)
        started = journal.note(entry, "uploading", filename=auth.filename)
        await put_file(auth.url, file, progress, seconds=numerai.pace.call_seconds)
        return journal.note(started, "uploaded")

    seconds = numerai.pace.call_seconds + file.size / SLOWEST_BYTES_PER_SECOND
    return await attempt(send, what="the upload of the file", changes=False, pace=numerai.pace, seconds=seconds)


async def _find(numerai: Numerai, request: UploadRequest, file: LocalFile, entry: Entry) -> Pickle | None:
    """The pickle that an earlier call registered."""
    for pickle in await numerai.pickles(model_id=request.slot.id):
        image_fits = pickle.docker_image_id in (None, request.image.id)
        run_fits = (pickle.docker_image_id, pickle.data_version_id) == (request.image.id, request.data_version.id)
        if (
            pickle.id == entry.pickle_id
            or (pickle.filename == entry.filename and image_fits)
            or (_mark(file) in (pickle.filename or "") and run_fits)
        ):
            return pickle
    return None


async def _assign(numerai: Numerai, slot_id: str, pickle_id: str, journal: Journal) -> str | None:
    """Assign; the id of what ran before, also when an interrupted call has assigned already."""
    slot = find_slot(await numerai.account(), slot_id)
    entry = journal.read()
    current = slot.assigned.id if slot.assigned else None
    if current != pickle_id:
        entry = journal.note(entry, "assigning", previous_pickle_id=current)
        await assign(numerai, slot_id, pickle_id)
    journal.note(entry, "done")
    return entry.previous_pickle_id


def _mark(file: LocalFile) -> str:
    return file.sha256[:16]
