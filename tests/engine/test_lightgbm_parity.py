"""Raw scores equal LightGBM's to the last bit: random models and frames, at the newest version and at an image's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]


@pytest.mark.requires("lightgbm")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_raw_scores_of_random_models_equal_lightgbms(seed: int) -> None:
    from tests.engine.lightgbm_cases import differences, random_case

    assert differences(random_case(seed)) == []


@pytest.mark.requires("python:3.10")
def test_raw_scores_equal_those_of_the_oldest_images_lightgbm(image_python: Callable[..., Path]) -> None:
    interpreter = image_python("3.10", "lightgbm")
    run = subprocess.run(
        [interpreter, ROOT / "tests" / "engine" / "lightgbm_cases.py", "0", "60"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
