"""A model of Python 3.13 and the newest libraries is read there, and packed and run by the 3.11 image's Python."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pytest

from bundle_core.reports import (
    CheckReport,
    CheckRequest,
    ConvertReport,
    ConvertRequest,
    PackReport,
    PackRequest,
    ProbeReport,
    ProbeRequest,
)
from server.runners import interpreter

Report = TypeVar("Report")
NEWEST = ("numpy==2.4.6", "pandas==3.1.1", "scipy==1.17.1", "pyarrow==26.0.1", "scikit-learn==1.9.1")
ROUNDING = 1e-12
"""The two numpys bring different BLAS, which add in different orders."""

TRAINING = """
import joblib, numpy as np, pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor, StackingRegressor
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

random = np.random.default_rng(0)
names = [f"feature_{word}" for word in ("ant", "bee", "cat", "dog", "eel", "fox")]
frame = pd.DataFrame(random.integers(0, 5, (2000, 6)).astype("int8"), columns=names)
frame.index = pd.Index([f"n{i:015x}" for i in range(len(frame))], name="id")
target = 0.4 + frame.to_numpy() @ np.linspace(-0.02, 0.04, 6) + random.normal(0, 0.02, len(frame))
columns = ColumnTransformer([("scaled", StandardScaler(), names[:4]), ("encoded", OneHotEncoder(), names[4:])])
forest = RandomForestRegressor(10, max_depth=5, random_state=0)
net = MLPRegressor(hidden_layer_sizes=(8,), max_iter=40, random_state=0)
model = make_pipeline(columns, StackingRegressor([("forest", forest), ("net", net)], Ridge(), cv=2))
model.fit(frame, target)
joblib.dump(model, "model.pkl")
frame.assign(era="X", data_type="live").to_parquet("live.parquet")
pd.DataFrame({"prediction": model.predict(frame)}, index=frame.index).to_csv("sklearn.csv")
"""


@pytest.mark.requires("python:3.13", "python:3.11")
async def test_a_model_of_python_3_13_is_deployed_on_the_3_11_image(
    image_python: Callable[..., Path], tmp_path: Path
) -> None:
    training, matching = image_python("3.13", *NEWEST), image_python("3.11")
    subprocess.run([training, "-c", TRAINING], cwd=tmp_path, check=True)
    for python in (training, matching):
        installed = await call(python, "probe", ProbeRequest(["numerai-pickle-mcp", "scikit-learn"]), ProbeReport)
        assert installed.packages["numerai-pickle-mcp"] is None
        assert (installed.packages["scikit-learn"] is None) == (python == matching)

    converted = await call(
        training,
        "convert",
        ConvertRequest(output="model.npz", base_dir=str(tmp_path), model_path="model.pkl", sample="live.parquet"),
        ConvertReport,
    )
    assert converted.parity.max_abs_diff is not None
    assert converted.parity.max_abs_diff < ROUNDING
    assert converted.parity.rows == 2000
    assert not converted.rank_added

    pickled = str(tmp_path / "deployed.pkl")
    packed = await call(matching, "pack", PackRequest(bundle_path=converted.bundle_path, output=pickled), PackReport)
    assert packed.python_version == "3.11"
    assert "sklearn" not in packed.imports
    request = CheckRequest(
        pickle_path=pickled, sample=str(tmp_path / "live.parquet"), rows=2000, output=str(tmp_path / "ours.csv")
    )
    checked = await call(matching, "check", request, CheckReport)
    assert checked.failure is None
    assert checked.contract == []
    ours, theirs = pd.read_csv(tmp_path / "ours.csv"), pd.read_csv(tmp_path / "sklearn.csv")
    assert list(ours["id"]) == list(theirs["id"])
    np.testing.assert_allclose(ours["prediction"], theirs["prediction"], rtol=0, atol=ROUNDING)


async def call(python: Path, command: str, request: Any, report_type: type[Report]) -> Report:
    return await interpreter.call(python, command, request, report_type=report_type, timeout_seconds=120)
