"""A venv matches the image, or is not there; and nothing that is not ours is touched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.errors import EnvironmentFailure, InputError
from server.runners.types import DockerImage
from server.runners.venv import VenvReport, make_venv, read_venv

pytestmark = pytest.mark.requires("python:3.12")
Make = Callable[..., Awaitable[VenvReport]]
PINNED = {"numpy": "2.1.3", "pandas": "2.3.1", "scipy": "1.16.0", "cloudpickle": "3.1.1", "pyarrow": "18.1.0"}


@pytest.fixture
def make(tmp_path: Path, image: Callable[[str], DockerImage]) -> Make:
    def call(path: Path, *, minor: str = "3.12", **more: Any) -> Awaitable[VenvReport]:
        return make_venv(path, image(minor), cache_dir=tmp_path / "cache", **more)

    return call


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_venv_has_the_images_python_and_its_exact_pins(make: Make, tmp_path: Path) -> None:
    report = await make(tmp_path / "venv")
    assert (report.python_version, report.installed, report.pins) == ("3.12", PINNED, PINNED)
    assert (report.reused, report.warnings) == (False, ())
    assert report.interpreter == tmp_path / "venv" / "bin" / "python"
    assert names(tmp_path) == ["venv"]


async def test_an_entry_point_of_a_package_runs_in_its_place(make: Make, tmp_path: Path) -> None:
    await make(tmp_path / "venv")
    ran = await anyio.run_process([tmp_path / "venv" / "bin" / "f2py", "-v"])
    assert ran.stdout.decode().strip() == PINNED["numpy"]


async def test_a_venv_that_serves_is_reused(make: Make, tmp_path: Path) -> None:
    made = await make(tmp_path / "venv", packages=["tomlkit"])
    again = await make(tmp_path / "venv")
    assert again.reused
    assert again.installed == made.installed
    read = await read_venv(made.interpreter)
    assert (read.image, read.python_source, read.installed) == (made.image, made.python_source, made.installed)


async def test_a_package_takes_the_images_version_and_one_that_the_image_lacks_is_named(
    make: Make, tmp_path: Path
) -> None:
    report = await make(tmp_path / "venv", packages=["Joblib>=1", "tomlkit"])
    assert report.installed["joblib"] == report.pins["joblib"] == "1.5.1"
    assert report.pins["tomlkit"] is None
    assert [warning for warning in report.warnings if "no tomlkit" in warning] == list(report.warnings)


@pytest.mark.requires("python:3.11")
async def test_a_venv_for_another_image_is_replaced_only_when_told_so(make: Make, tmp_path: Path) -> None:
    await make(tmp_path / "venv", minor="3.11")
    with pytest.raises(EnvironmentFailure, match="another image") as caught:
        await make(tmp_path / "venv")
    assert "recreate=true" in caught.value.next_step
    assert (await read_venv(tmp_path / "venv")).python_version == "3.11"
    report = await make(tmp_path / "venv", recreate=True)
    assert report.python_version == "3.12"
    assert names(tmp_path) == ["venv"]


async def test_a_venv_that_was_changed_or_broken_is_not_reused(make: Make, tmp_path: Path) -> None:
    report = await make(tmp_path / "venv")
    info = next((tmp_path / "venv").glob("lib/*/site-packages/numpy-*.dist-info"))
    info.rename(info.with_name("numpy-9.9.dist-info"))
    metadata = info.with_name("numpy-9.9.dist-info") / "METADATA"
    text = metadata.read_text()
    metadata.unlink()  # the file is shared with uv's cache
    metadata.write_text(text.replace("Version: 2.1.3", "Version: 9.9"))
    with pytest.raises(EnvironmentFailure, match="was changed") as changed:
        await make(tmp_path / "venv")
    assert "numpy is 9.9" in changed.value.evidence
    report.interpreter.unlink()
    with pytest.raises(EnvironmentFailure, match="broken"):
        await make(tmp_path / "venv")


async def test_a_failed_installation_leaves_what_was_there(make: Make, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="image's pins") as caught:
        await make(tmp_path / "new", packages=["numpy==1.0"])
    assert "numpy" in caught.value.evidence
    assert names(tmp_path) == []
    await make(tmp_path / "venv")
    with pytest.raises(EnvironmentFailure):
        await make(tmp_path / "venv", packages=["numpy==1.0"], recreate=True)
    assert (await read_venv(tmp_path / "venv")).installed == PINNED
    assert names(tmp_path) == ["venv"]


async def test_a_cancelled_call_leaves_nothing(make: Make, tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:

        async def cancel_when_installing(line: str) -> None:
            if line.startswith("Installing"):
                scope.cancel()

        await make(tmp_path / "venv", progress=cancel_when_installing)
    assert scope.cancelled_caught
    assert names(tmp_path) == []


async def test_a_folder_that_is_no_venv_of_ours_is_never_touched(make: Make, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "model.txt").touch()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("work", "file", "link"):
        with pytest.raises(InputError, match="not a venv that make_venv made"):
            await make(tmp_path / name, recreate=True)
    assert names(tmp_path / "work") == ["model.txt"]
    report = await make(tmp_path / "empty")
    assert report.installed == PINNED


async def test_a_place_that_cannot_be_written_is_named(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFailure, match="cannot be put at"):
        await make(tmp_path / "file" / "venv")


@pytest.mark.parametrize(
    "package", ["-r secrets.txt", "--index-url=https://x", "https://x/y.whl", "./here", "a @ b", ""]
)
async def test_only_names_and_versions_are_packages(make: Make, tmp_path: Path, package: str) -> None:
    with pytest.raises(InputError, match="not a package's name"):
        await make(tmp_path / "venv", packages=[package])


async def test_a_folder_without_a_venv_is_not_read_as_one(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="no venv of make_venv"):
        await read_venv(tmp_path)
