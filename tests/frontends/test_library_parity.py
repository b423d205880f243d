"""Raw scores equal the libraries' to the last bit: random models and frames, newest versions and an image's pins."""

from __future__ import annotations

import importlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
PINNED = ("xgboost", "catboost", "scikit-learn")
NEWEST = ("xgboost-cpu==3.4.1", "catboost==1.2.10", "scikit-learn==1.9.1", "numpy==2.5.5", "pandas==3.1.1")
LIBRARIES = [
    pytest.param("xgboost", marks=pytest.mark.requires("xgboost")),
    pytest.param("catboost", marks=pytest.mark.requires("catboost")),
    pytest.param("sklearn", marks=pytest.mark.requires("sklearn")),
]


@pytest.mark.parametrize("library", LIBRARIES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_raw_scores_of_random_models_equal_the_librarys(library: str, seed: int) -> None:
    cases = importlib.import_module(f"tests.frontends.{library}_cases")

    assert cases.differences(seed) == []


@pytest.mark.parametrize("library", ["xgboost", "catboost", "sklearn"])
@pytest.mark.parametrize(
    ("python", "packages"),
    [
        pytest.param("3.10", PINNED, marks=pytest.mark.requires("python:3.10"), id="the oldest image's pins"),
        pytest.param("3.13", NEWEST, marks=pytest.mark.requires("python:3.13"), id="the newest versions"),
    ],
)
def test_raw_scores_equal_the_librarys_of_another_version(
    library: str, python: str, packages: tuple[str, ...], image_python: Callable[..., Path]
) -> None:
    run = subprocess.run(
        [image_python(python, *packages), "-W", "ignore", ROOT / "tests" / "frontends" / f"{library}_cases.py", "20"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
