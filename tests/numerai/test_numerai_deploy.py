"""Many slots in one go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.errors import InputError, NumeraiRefused
from server.local_numerai.app import LocalNumerai
from server.local_numerai.faults import Faults
from server.numerai.account import choose_data_version, choose_image, find_slot
from server.numerai.client import Numerai
from server.numerai.deploy import Deployment, DeploymentSpec, DeployResult, deploy, read_specs
from server.numerai.upload import UploadRequest
from tests.numerai.serving import Connect, one_call, registered


@pytest.fixture
def files(local: LocalNumerai, tmp_path: Path) -> list[Path]:
    """Ten slots; three different files for them."""
    for number in range(1, 10):
        local.store.add_model(f"slot_{number}")
    paths = [tmp_path / f"model_{number}.pkl" for number in range(10)]
    for number, path in enumerate(paths):
        path.write_bytes(f"model {number % 3}".encode())
    return paths


async def resolve(numerai: Numerai, specs: list[DeploymentSpec]) -> list[Deployment]:
    account = await numerai.account()
    image = choose_image(await numerai.docker_images())
    version = choose_data_version(await numerai.data_versions())
    return [
        Deployment(
            slot := find_slot(account, spec.model),
            UploadRequest(Path(spec.pickle_path), slot, image, version) if spec.pickle_path else None,
            spec.pickle_id,
        )
        for spec in specs
    ]


def specs_for(local: LocalNumerai, files: list[Path]) -> list[DeploymentSpec]:
    names = [slot["name"] for slot in local.store.models.values()]
    return [DeploymentSpec(model=name, pickle_path=str(path)) for name, path in zip(names, files, strict=True)]


async def go(connect: Connect, specs: list[DeploymentSpec], state_dir: Path, *, dry_run: bool = False) -> DeployResult:
    async with connect() as numerai:
        return await deploy(numerai, await resolve(numerai, specs), state_dir=state_dir, dry_run=dry_run)


def running(local: LocalNumerai) -> dict[str, str | None]:
    return {slot["name"]: slot["assigned"] for slot in local.store.models.values()}


async def test_ten_slots_share_three_uploads_and_the_rollback_restores_what_ran(
    local: LocalNumerai, connect: Connect, files: list[Path], tmp_path: Path
):
    old = registered(local)
    list(local.store.models.values())[3]["assigned"] = old
    before = running(local)
    result = await go(connect, specs_for(local, files), tmp_path / "state")
    assert all(slot.assigned and slot.error is None for slot in result.slots)
    assert local.faults.calls["createComputePickleUpload"] == result.uploads == 3
    assert len(set(running(local).values())) == 3
    assert result.rollback_path
    rolled_back = await go(connect, read_specs(result.rollback_path), tmp_path / "state")
    assert all(slot.assigned for slot in rolled_back.slots)
    assert running(local) == before


async def test_a_dry_run_changes_nothing_and_says_what_would_be_done(
    local: LocalNumerai, connect: Connect, files: list[Path], tmp_path: Path
):
    result = await go(connect, specs_for(local, files), tmp_path / "state", dry_run=True)
    assert result.uploads == 3 and result.rollback_path is None
    assert all("upload model_" in slot.plan for slot in result.slots)
    assert not local.store.files and not (tmp_path / "state").exists()


async def test_a_slot_whose_pickle_is_invalid_keeps_what_it_has_and_the_others_go_on(
    local: LocalNumerai, connect: Connect, files: list[Path], tmp_path: Path
):
    bad, good = registered(local), registered(local)
    local.store.pickles[bad]["validationStatus"] = "invalid"
    specs = [DeploymentSpec(model="slot_1", pickle_id=bad), DeploymentSpec(model="slot_2", pickle_id=good)]
    first, second = (await go(connect, specs, tmp_path / "state")).slots
    assert not first.assigned and "has not validated" in (first.error or "")
    assert second.assigned
    assert (running(local)["slot_1"], running(local)["slot_2"]) == (None, good)


async def test_an_interrupted_deployment_still_knows_what_ran_before_it(
    local: LocalNumerai, connect: Connect, files: list[Path], tmp_path: Path
):
    old, new = registered(local), registered(local)
    for slot in local.store.models.values():
        slot["assigned"] = old
    specs = [DeploymentSpec(model=f"slot_{number}", pickle_id=new) for number in (1, 2)]
    local.faults.set(one_call("assignPickleToModel", "redirect", first=2))
    interrupted = await go(connect, specs, tmp_path / "state")
    assert [slot.assigned for slot in interrupted.slots] == [True, False]
    local.faults.set(Faults())
    done = await go(connect, specs, tmp_path / "state")
    assert [slot.previous_pickle_id for slot in done.slots] == [old, old]
    assert done.rollback_path
    await go(connect, read_specs(done.rollback_path), tmp_path / "state")
    assert set(running(local).values()) == {old}


async def test_two_entries_for_one_slot_and_a_webhook_are_refused_before_anything_changes(
    local: LocalNumerai, connect: Connect, files: list[Path], tmp_path: Path
):
    twice = [DeploymentSpec(model="slot_1", pickle_path=str(files[0]))] * 2
    with pytest.raises(InputError, match="Two deployments"):
        await go(connect, twice, tmp_path / "state")
    list(local.store.models.values())[1]["submissionWebhook"] = "https://hooks.example"
    with pytest.raises(NumeraiRefused, match="webhook"):
        await go(connect, twice[:1], tmp_path / "state")
    assert not local.store.files


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{"model": "a"}],
        [{"model": "a", "pickle_path": "x", "pickle_id": "y"}],
        [{"model": "a", "pickle_id": "y", "docker_image": "z"}],
        [{"model": "a", "pickle_path": "x", "unknown": 1}],
        {"model": "a"},
    ],
)
def test_entries_that_do_not_fit_are_refused(entries: object, tmp_path: Path):
    file = tmp_path / "deployments.json"
    file.write_text(json.dumps(entries))
    with pytest.raises(InputError):
        read_specs(file)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path):
    file = tmp_path / "deployments.json"
    file.write_text("model: a")
    with pytest.raises(InputError, match="no JSON"):
        read_specs(file)


def test_an_explicit_null_disables_and_a_missing_one_is_refused():
    assert read_specs([{"model": "a", "pickle_id": None}])[0].pickle_id is None
    with pytest.raises(InputError, match="either pickle_path or pickle_id"):
        read_specs([{"model": "a"}])
