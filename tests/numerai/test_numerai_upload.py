"""One upload: what it refuses before bytes move, what it does, and that it can be repeated."""

from __future__ import annotations

import asyncio
import hashlib
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import numpy as np
import pytest

from server.errors import (
    CredentialsMissing,
    InputError,
    NumeraiFailure,
    NumeraiRefused,
    NumeraiUnreachable,
    OutcomeUnknown,
)
from server.local_numerai.app import LocalNumerai
from server.local_numerai.faults import FaultKind, Faults, Rule
from server.numerai.account import choose_data_version, choose_image, find_slot
from server.numerai.client import Numerai
from server.numerai.journal import Journal
from server.numerai.put import summed_up
from server.numerai.upload import UploadRequest, UploadResult, upload
from server.settings import Settings
from tests.numerai.serving import Connect, one_call, registered, settings_for


@pytest.fixture
def pickle_path(tmp_path: Path) -> Path:
    path = tmp_path / "my model.pkl"
    path.write_bytes(b"\x80\x04 a model " * 300_000)
    return path


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def request_for(numerai: Numerai, path: Path, slot: str = "my_first_model") -> UploadRequest:
    return UploadRequest(
        path,
        find_slot(await numerai.account(), slot),
        choose_image(await numerai.docker_images()),
        choose_data_version(await numerai.data_versions()),
    )


async def go(connect: Connect, path: Path, state_dir: Path, *, assign: bool = False) -> UploadResult:
    """One call, with a connection of its own."""
    async with connect() as numerai:
        request = replace(await request_for(numerai, path), assign=assign)
        return await upload(numerai, request, state_dir=state_dir)


def holds_exactly(local: LocalNumerai, path: Path) -> None:
    """Numerai has one registered pickle, and it is this file."""
    (pickle,) = local.store.pickles.values()
    stored = local.store.pickle_folder / pickle["filename"]
    assert stored.read_bytes() == path.read_bytes()


async def test_a_file_is_uploaded_validated_and_assigned(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    before = registered(local)
    slot = next(iter(local.store.models.values()))
    slot["assigned"] = before
    result = await go(connect, pickle_path, state_dir, assign=True)
    assert result.steps == ("uploaded", "registered", "validated", "assigned")
    assert (result.outcome, result.assigned, result.previous_pickle_id) == ("validated", True, before)
    assert slot["assigned"] == result.pickle.id
    assert result.sha256 == hashlib.sha256(pickle_path.read_bytes()).hexdigest()
    assert result.pickle.docker_image_id and result.pickle.data_version_id


async def test_the_same_call_again_registers_nothing_new(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    first = await go(connect, pickle_path, state_dir)
    again = await go(connect, pickle_path, state_dir)
    assert again.steps == ("found", "validated")
    assert again.pickle.id == first.pickle.id
    holds_exactly(local, pickle_path)


async def test_even_without_its_journal_an_upload_is_known_again(
    local: LocalNumerai, connect: Connect, pickle_path: Path, tmp_path: Path
):
    await go(connect, pickle_path, tmp_path / "one machine")
    assert (await go(connect, pickle_path, tmp_path / "another")).steps[0] == "found"
    holds_exactly(local, pickle_path)


async def test_another_image_is_another_upload(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    async with connect() as numerai:
        request = await request_for(numerai, pickle_path)
        await upload(numerai, request, state_dir=state_dir)
        other = replace(request, image=choose_image(await numerai.docker_images(), "Python 3.11"))
        assert (await upload(numerai, other, state_dir=state_dir)).pickle.docker_image_name == "Python 3.11"
    assert len(local.store.pickles) == 2


async def test_two_calls_at_once_register_once(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    results = await asyncio.gather(*(go(connect, pickle_path, state_dir, assign=True) for _ in range(3)))
    assert len({result.pickle.id for result in results}) == 1
    assert local.faults.calls["createComputePickleUpload"] == 1
    holds_exactly(local, pickle_path)


async def test_a_label_is_set(local: LocalNumerai, connect_graphql: Connect, pickle_path: Path, state_dir: Path):
    async with connect_graphql() as numerai:
        request = replace(await request_for(numerai, pickle_path), label="ender 20")
        assert (await upload(numerai, request, state_dir=state_dir)).pickle.label == "ender 20"


async def test_a_slot_with_a_webhook_is_refused_before_bytes_move(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    next(iter(local.store.models.values()))["submissionWebhook"] = "https://hooks.example/secret"
    with pytest.raises(NumeraiRefused, match="clear_submission_webhook"):
        await go(connect, pickle_path, state_dir)
    assert not local.store.files


async def test_a_missing_scope_is_refused_before_bytes_move(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    local.store.scopes.remove("upload_submission")
    with pytest.raises(CredentialsMissing, match="upload_submission"):
        await go(connect, pickle_path, state_dir)
    assert not local.store.files


async def test_a_file_that_cannot_be_an_upload_is_refused(connect: Connect, tmp_path: Path, state_dir: Path):
    empty = tmp_path / "empty.pkl"
    empty.touch()
    with pytest.raises(InputError, match="0 bytes"):
        await go(connect, empty, state_dir)
    with pytest.raises(InputError, match="cannot be read"):
        await go(connect, tmp_path / "missing.pkl", state_dir)


async def test_a_file_other_than_the_inspected_one_is_refused(connect: Connect, pickle_path: Path, state_dir: Path):
    async with connect() as numerai:
        request = replace(await request_for(numerai, pickle_path), sha256="0" * 64)
        with pytest.raises(InputError, match="changed"):
            await upload(numerai, request, state_dir=state_dir)


async def test_a_file_that_changes_while_it_is_sent_is_not_registered(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    pickle_path.write_bytes(b"\x80\x04 a model " * 2_000_000)

    async def meddle(line: str) -> None:
        if line.startswith("sent"):
            with pickle_path.open("r+b") as file:
                file.seek(-1, 2)
                file.write(b"!")

    async with connect() as numerai:
        request = await request_for(numerai, pickle_path)
        with pytest.raises(InputError, match="changed"):
            await upload(numerai, request, state_dir=state_dir, progress=meddle)
    assert not local.store.pickles
    assert all(file["size"] is None for file in local.store.files.values())


async def test_an_expired_address_is_asked_for_again(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    local.faults.set(one_call("PUT", "expired", times=2))
    await go(connect, pickle_path, state_dir)
    assert local.faults.calls["computePickleUploadAuth"] == 3
    holds_exactly(local, pickle_path)


LOST: list[FaultKind] = ["reset_after", "hang_after", "http_503_after", "truncated", "not_json", "partial", "slow_body"]


@pytest.mark.parametrize("kind", LOST)
async def test_changes_whose_answers_are_lost_are_made_once(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path, kind: FaultKind
):
    changes = ("createComputePickleUpload", "assignPickleToModel")
    local.faults.set(Faults(rules=[Rule(operation=change, kind=kind) for change in changes]))
    result = await go(connect, pickle_path, state_dir, assign=True)
    assert local.faults.injected == [f"{change} {kind}" for change in changes]
    assert [local.faults.calls[change] for change in changes] == [1, 1]
    assert result.assigned
    holds_exactly(local, pickle_path)


async def test_a_registration_that_cannot_be_looked_for_is_said_to_be_unknown_and_found_later(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    local.faults.set(
        Faults(
            rules=[
                Rule(operation="createComputePickleUpload", kind="reset_after"),
                Rule(operation="computePickles", kind="http_503", first=2, times=1000),
            ]
        )
    )
    with pytest.raises(OutcomeUnknown, match="not known whether"):
        await go(connect, pickle_path, state_dir)
    local.faults.set(Faults())
    assert (await go(connect, pickle_path, state_dir)).steps[0] == "found"
    holds_exactly(local, pickle_path)


NEVER_DONE: list[FaultKind] = ["http_429", "reset", "graphql_error", "hang"]


@pytest.mark.parametrize("kind", NEVER_DONE)
async def test_a_registration_that_was_never_made_is_repeated(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path, kind: FaultKind
):
    local.faults.set(one_call("createComputePickleUpload", kind))
    await go(connect, pickle_path, state_dir)
    assert local.faults.calls["createComputePickleUpload"] == 2
    holds_exactly(local, pickle_path)


@pytest.mark.parametrize("kind", ["reset", "http_503_after", "redirect"])
async def test_only_a_stored_file_is_registered(
    local: LocalNumerai, connect_graphql: Connect, pickle_path: Path, state_dir: Path, kind: FaultKind
):
    local.faults.set(one_call("PUT", kind, times=100))
    with pytest.raises((NumeraiUnreachable, NumeraiRefused)):
        await go(connect_graphql, pickle_path, state_dir)
    assert not local.store.pickles
    local.faults.set(Faults())
    await go(connect_graphql, pickle_path, state_dir)
    holds_exactly(local, pickle_path)


async def test_a_refused_registration_is_told_and_the_next_call_sends_the_file_anew(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    slot = next(iter(local.store.models.values()))

    async def set_webhook(line: str) -> None:
        if line.startswith("sent"):
            slot["submissionWebhook"] = "https://hooks.example/secret"

    async with connect() as numerai:
        request = await request_for(numerai, pickle_path)
        with pytest.raises(NumeraiRefused, match="webhook"):
            await upload(numerai, request, state_dir=state_dir, progress=set_webhook)
    slot["submissionWebhook"] = None
    assert (await go(connect, pickle_path, state_dir)).steps[:2] == ("uploaded", "registered")


async def test_a_cancelled_upload_goes_on_where_it_stopped(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    local.faults.set(one_call("createComputePickleUpload", "hang", times=100))
    with anyio.move_on_after(2.5):
        await go(connect, pickle_path, state_dir)
    local.faults.set(Faults())
    assert (await go(connect, pickle_path, state_dir)).steps[0] == "registered"
    assert local.faults.calls["PUT"] == 0
    holds_exactly(local, pickle_path)


async def test_what_ran_before_is_still_known_when_the_assignment_was_interrupted(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    before = registered(local)
    next(iter(local.store.models.values()))["assigned"] = before
    local.faults.set(
        Faults(
            rules=[
                Rule(operation="assignPickleToModel", kind="reset_after"),
                Rule(operation="account", kind="http_503", first=4, times=100),
            ]
        )
    )
    with pytest.raises(NumeraiUnreachable):
        await go(connect, pickle_path, state_dir, assign=True)
    local.faults.set(Faults())
    assert (await go(connect, pickle_path, state_dir, assign=True)).previous_pickle_id == before


async def test_a_pickle_that_does_not_validate_is_not_assigned(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    with failing_validation(local):
        result = await go(connect, pickle_path, state_dir, assign=True)
    assert (result.outcome, result.assigned) == ("invalid", False)
    assert next(iter(local.store.models.values()))["assigned"] is None


@contextmanager
def failing_validation(local: LocalNumerai) -> Generator[None]:
    """Every pickle turns out invalid."""
    set_status = local.store.set_status

    def invalid(trigger: dict[str, str], status: str, description: str | None = None) -> None:
        local.store.pickles[trigger["computePickleUploadId"]]["validationStatus"] = "invalid"
        set_status(trigger, "model_failed", "Pickle function is invalid - returned None")

    local.store.set_status = invalid  # pyright: ignore[reportAttributeAccessIssue]
    yield
    local.store.set_status = set_status


@pytest.mark.parametrize(
    ("operation", "kind"),
    [("computePickleUploadAuth", "truncated"), ("PUT", "redirect"), ("createComputePickleUpload", "http_503")],
)
async def test_no_error_shows_the_key_or_a_signed_address(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path, operation: str, kind: FaultKind
):
    local.faults.set(one_call(operation, kind, times=1000))
    with pytest.raises(NumeraiFailure) as caught:
        await go(connect, pickle_path, state_dir)
    told = "".join(traceback.format_exception(caught.value))
    assert local.token.partition("$")[2] not in told
    assert "X-Amz" not in told


async def test_the_journal_holds_no_address_and_no_key(
    local: LocalNumerai, connect: Connect, pickle_path: Path, state_dir: Path
):
    await go(connect, pickle_path, state_dir, assign=True)
    (entry,) = (state_dir / "uploads").glob("*.json")
    text = entry.read_text()
    assert "http" not in text and local.token.partition("$")[2] not in text


def test_a_damaged_journal_counts_as_none(tmp_path: Path):
    journal = Journal(tmp_path, "a", "b")
    journal.note(journal.read(), "uploaded", filename="x.pkl")
    (file,) = (tmp_path / "uploads").glob("*.json")
    file.write_bytes(file.read_bytes()[:10])
    assert journal.read().step == "started"


async def test_the_key_is_not_sent_to_where_numerai_redirects(local: LocalNumerai, connect: Connect):
    local.faults.set(one_call("account", "redirect"))
    async with connect() as numerai:
        with pytest.raises(NumeraiRefused, match="redirects"):
            await numerai.account()


def test_settings_are_shown_without_the_key(local: LocalNumerai, tmp_path: Path):
    settings: Settings = settings_for(local.api_url, local.mcp_url, local.token, tmp_path)
    assert local.token.partition("$")[2] not in repr(settings)


@pytest.mark.parametrize("size", [1, 4096, 4097, 100_000])
def test_the_checksum_made_on_the_way_changes_with_every_byte(size: int) -> None:
    content = bytearray(np.random.default_rng(size).bytes(size))
    before = summed_up(bytes(content))
    for place in {0, size // 2, size - 1}:
        content[place] ^= 1
        assert summed_up(bytes(content)) != before
        content[place] ^= 1
    assert summed_up(bytes(content)) == before
