"""Random CatBoost models, read from objects and JSON, beside CatBoost's own raw scores."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import catboost
import numpy as np

from bundle_core.frontends import read_model, read_object
from bundle_core.ir import Model
from tests.frontends import comparison

LOSSES = ["RMSE", "MAE", "Quantile:alpha=0.3", "Poisson", "Tweedie:variance_power=1.5"]


def differences(seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    X = comparison.training_values(rng, 300)
    missing = bool(rng.random() < 0.5)
    if missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    parameters: dict[str, Any] = {
        "loss_function": str(
            rng.choice(["RMSE", "MAE", "Quantile:alpha=0.3", "Poisson", "Tweedie:variance_power=1.5"])
        ),
        "grow_policy": str(rng.choice(["SymmetricTree", "SymmetricTree", "Depthwise", "Lossguide"])),
        "depth": int(rng.choice([1, 4, 6, 9])),
        "iterations": int(rng.choice([1, 5, 40])),
        "border_count": int(rng.choice([4, 254])),
        "nan_mode": str(rng.choice(["Min", "Max"])),
        "random_seed": seed,
        "thread_count": 1,
        "verbose": 0,
        "allow_writing_files": False,
    }
    trained = catboost.CatBoostRegressor(**parameters).fit(X, comparison.target(rng, X))
    if rng.random() < 0.3:
        trained.set_scale_and_bias(0.37, 1.234)
    model = _read(rng, trained)
    scored = comparison.frames(rng, X, model, missing=missing, infinite=True, whole=[])
    return comparison.differences(
        parameters,
        model,
        scored,
        lambda values: trained.predict(values, prediction_type="RawFormulaVal", thread_count=1),
    )


def _read(rng: np.random.Generator, trained: Any) -> Model:
    form = str(rng.choice(["object", "json", "cbm"]))
    if form == "object":
        return read_object(trained)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{form}"
        trained.save_model(str(path), format=form)
        return read_model(path)


if __name__ == "__main__":
    comparison.run(differences)
