"""Which Python is taken, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from server.errors import EnvironmentFailure
from server.runners.pythons import find_python, run_uv

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def pretend_pyenv(root: Path, version: str, interpreter: str = sys.executable) -> Path:
    path = root / "versions" / version / "bin" / f"python{OWN}"
    path.parent.mkdir(parents=True)
    path.symlink_to(interpreter)
    return path


def on_path(folder: Path, name: str, interpreter: str = sys.executable) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).symlink_to(interpreter)
    return folder / name


async def test_pyenv_comes_before_path_and_its_newest_patch_first(tmp_path: Path) -> None:
    pretend_pyenv(tmp_path / "pyenv", f"{OWN}.9")
    newest = pretend_pyenv(tmp_path / "pyenv", f"{OWN}.10")
    on_path(tmp_path / "bin", f"python{OWN}")
    found = await find_python(OWN, environ={"PYENV_ROOT": str(tmp_path / "pyenv"), "PATH": str(tmp_path / "bin")})
    assert (found.path, found.source) == (newest, "pyenv")


async def test_a_pyenv_python_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    pretend_pyenv(tmp_path / "pyenv", f"{OWN}.9", "/bin/false")
    good = on_path(tmp_path / "bin", "python3")
    found = await find_python(OWN, environ={"PYENV_ROOT": str(tmp_path / "pyenv"), "PATH": str(tmp_path / "bin")})
    assert (found.path, found.source) == (good, "PATH")


async def test_a_shim_of_pyenv_is_not_taken_for_a_python(tmp_path: Path) -> None:
    root = tmp_path / "pyenv"
    root.mkdir()
    on_path(root / "shims", "python3")
    good = on_path(tmp_path / "bin", f"python{OWN}")
    path = f"{root / 'shims'}:{tmp_path / 'bin'}"
    found = await find_python(OWN, environ={"PYENV_ROOT": str(root), "PATH": path})
    assert found.path == good


async def test_where_there_is_none_the_error_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match=r"no Python 3\.13") as caught:
        await find_python("3.13", environ={"PYENV_ROOT": str(tmp_path), "PATH": str(tmp_path)})
    assert "pyenv install 3.13" in caught.value.next_step


async def test_packages_come_also_where_only_the_systems_store_knows_the_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    install = ("pip", "install", "--python", sys.executable, "--target", tmp_path / "target", "toolz")
    installed = await run_uv(*install, timeout_seconds=60)
    assert installed.exit_code == 0, installed.stderr
    assert (tmp_path / "target" / "toolz").is_dir()
