"""The Python minor of cloudpickled functions, over a grid of interpreters, cloudpickle versions and shapes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bundle_core.fingerprint import PYTHON_MINORS, read
from tests.conftest import INSTALL_ENVIRONMENT, base_python

MINORS = ("3.10", "3.11", "3.12", "3.13")
CLOUDPICKLES = ("2.2.1", "3.1.2")
SHAPES = Path(__file__).with_name("shapes.py")
CLASS_TRACKER = re.compile(rb"[0-9a-f]{32}")

Grid = dict[tuple[str, str], dict[str, bytes]]


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """(cloudpickle, minor) -> shape -> pickle, each made by that interpreter."""
    made: Grid = {}
    for version in CLOUDPICKLES:
        packages = tmp_path_factory.mktemp(f"cloudpickle-{version}")
        command = [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "install",
            "--quiet",
            "--target",
            packages,
            f"cloudpickle=={version}",
        ]
        subprocess.run(command, check=True, env=INSTALL_ENVIRONMENT)
        for minor in MINORS:
            command = [str(base_python(minor)), "-s", str(SHAPES)]
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(packages), "PYTHONHASHSEED": "0"}
            ran = subprocess.run(command, check=True, capture_output=True, env=environment)
            made[version, minor] = {name: bytes.fromhex(text) for name, text in json.loads(ran.stdout).items()}
    return made


@pytest.mark.requires(*(f"python:{minor}" for minor in MINORS))
@pytest.mark.parametrize("version", CLOUDPICKLES)
def test_the_minor_is_told_wherever_the_bytes_differ(grid: Grid, version: str, tmp_path: Path) -> None:
    wrong: list[str] = []
    for minor in MINORS:
        for shape, pickled in grid[version, minor].items():
            alike = [other for other in MINORS if _bytes(grid[version, other][shape]) == _bytes(pickled)]
            path = tmp_path / "model.pkl"
            path.write_bytes(pickled)
            found = read(path)
            if found.python_version != (minor if alike == [minor] else None):
                wrong.append(f"{minor} {shape}: {found.python_version}, {found.python_candidates}, alike {alike}")
            elif not set(alike) <= set(found.python_candidates):
                wrong.append(f"{minor} {shape}: candidates {found.python_candidates} lack one of {alike}")
    assert not wrong
    assert len(grid[version, "3.12"]) >= 20


def test_python_3_14_is_told(tmp_path: Path) -> None:
    """The same shapes, written by Python 3.14.2 (Pyodide) with cloudpickle 3.1.2."""
    shapes: dict[str, str] = json.loads(SHAPES.with_name("python_3_14.json").read_text())
    path = tmp_path / "model.pkl"
    for shape, pickled in shapes.items():
        path.write_bytes(bytes.fromhex(pickled))
        assert read(path).python_version == "3.14", shape


@pytest.mark.requires(*(f"python:{minor}" for minor in MINORS))
def test_the_generation_of_cloudpickle_is_told(grid: Grid, tmp_path: Path) -> None:
    for (version, _), shapes in grid.items():
        path = tmp_path / "model.pkl"
        path.write_bytes(shapes["plain"])
        assert read(path).cloudpickle_generation == version[0]


def test_a_pickle_without_code_fits_all_minors(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps({"weights": [0.1, 0.2]}))
    found = read(path)
    assert found.python_version is None
    assert found.python_candidates == PYTHON_MINORS


def _bytes(pickled: bytes) -> bytes:
    """Without the random ids that cloudpickle gives to classes."""
    return CLASS_TRACKER.sub(b"", pickled)
