"""The embedded Numerai really runs what is uploaded, and says of it what the real one says."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from server.local_numerai.app import LocalNumerai
from server.local_numerai.runs import runner
from server.numerai.account import choose_data_version, choose_image
from server.numerai.client import open_numerai
from server.numerai.types import LogLine, Pickle
from server.numerai.upload import UploadRequest, upload
from tests.numerai.serving import FAST, serving, settings_for

GOOD = """
def predict(live_features, live_benchmark_models):
    ranks = (np.arange(len(live_features)) + 0.5) / len(live_features)
    return pd.DataFrame({"prediction": ranks}, index=live_features.index)
"""
WRONG_COLUMN = GOOD.replace('"prediction"', '"score"')
NOTHING = """
def predict(live_features, live_benchmark_models):
    return None
"""


def build(python: Path, source: str, folder: Path) -> Path:
    script = folder / "make.py"
    script.write_text(f"import cloudpickle, numpy as np, pandas as pd\n{source}\n")
    script.write_text(script.read_text() + "cloudpickle.dump(predict, open('model.pkl', 'wb'))\n")
    subprocess.run([python, script.name], cwd=folder, check=True)
    return folder / "model.pkl"


async def validate(local: LocalNumerai, path: Path, image: str, folder: Path) -> tuple[Pickle, list[LogLine]]:
    settings = settings_for(local.api_url, local.mcp_url, local.token, folder)
    async with open_numerai(settings, replace(FAST, watch_seconds=120)) as numerai:
        slot = (await numerai.account()).models[0]
        chosen = choose_image(await numerai.docker_images(), image)
        version = choose_data_version(await numerai.data_versions())
        request = UploadRequest(path, slot, chosen, version)
        pickle = (await upload(numerai, request, state_dir=folder / "state")).pickle
        return pickle, await numerai.trigger_logs(pickle.triggers[0].id)


@pytest.mark.requires("python:3.12", "image:3.12", "python:3.11")
async def test_the_outcome_of_a_run_in_the_container_becomes_statuses_and_logs(
    tmp_path: Path, image_python: Callable[..., Path]
):
    python = image_python("3.12")
    with serving(tmp_path / "numerai", run=runner(tmp_path / "cache")) as local:
        good, log = await validate(local, build(python, GOOD, tmp_path), "Python 3.12", tmp_path)
        assert (good.validation_status, good.trigger_status) == ("validated", "submission_succeeded")
        assert any("Generated" in (line.message or "") for line in log)
        assert all(line.timestamp and line.timestamp > 2**31 for line in log)

        nothing, _ = await validate(local, build(python, NOTHING, tmp_path), "Python 3.12", tmp_path)
        assert (nothing.validation_status, nothing.trigger_status) == ("invalid", "model_failed")
        assert nothing.triggers[0].statuses[-1].description == "Pickle function is invalid - returned None"

        column, _ = await validate(local, build(python, WRONG_COLUMN, tmp_path), "Python 3.12", tmp_path)
        assert column.validation_status == "invalid"
        assert (column.triggers[0].statuses[-1].description or "").startswith("invalid_submission_headers")

        other_minor = build(image_python("3.11"), GOOD, tmp_path)
        crashed, _ = await validate(local, other_minor, "Python 3.12", tmp_path)
        assert crashed.triggers[0].statuses[-1].description == (
            "Segmentation fault! Ensure python and library versions match our environment."
        )


@pytest.mark.requires("python:3.13")
async def test_without_the_image_a_matching_venv_serves(tmp_path: Path, image_python: Callable[..., Path]):
    with serving(tmp_path / "numerai", run=runner(tmp_path / "cache")) as local:
        path = build(image_python("3.13"), GOOD, tmp_path)
        pickle, _ = await validate(local, path, "Python 3.13", tmp_path)
    assert pickle.validation_status == "validated"
