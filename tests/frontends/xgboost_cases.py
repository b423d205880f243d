"""Random XGBoost models, read from objects, JSON and UBJSON, beside XGBoost's own raw scores."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import xgboost

from bundle_core.frontends import read_object, xgboost_json
from bundle_core.ir import Model
from tests.frontends import comparison

OBJECTIVES = [
    "reg:squarederror",
    "reg:pseudohubererror",
    "reg:logistic",
    "binary:logitraw",
    "count:poisson",
    "reg:gamma",
]
BASE_SCORES = [0.5, 0.608000636, 0.492164046]
"""The margins of the last two are other floats by the C library's logf than by a double's logarithm, rounded."""
CATEGORICAL = 3


def differences(seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    X = comparison.training_values(rng, 300)
    y = comparison.target(rng, X).clip(0.01, 0.99)
    whole = [CATEGORICAL] if rng.random() < 0.4 else []
    if whole:
        X[:, CATEGORICAL] = rng.integers(0, 40, len(X))
        y = (y + X[:, CATEGORICAL] % 3) / 3
    missing = bool(rng.random() < 0.5)
    if missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    parameters: dict[str, Any] = {
        "booster": str(rng.choice(["gbtree", "gbtree", "dart"])),
        "objective": str(rng.choice(OBJECTIVES)),
        "max_depth": int(rng.choice([1, 3, 6, 13])),
        "num_parallel_tree": int(rng.choice([1, 1, 3])),
        "tree_method": "hist" if whole else str(rng.choice(["hist", "exact", "approx"])),
        "max_cat_to_onehot": int(rng.choice([1, 100])),
        "subsample": 0.8,
        "learning_rate": 0.3,
        "n_jobs": 1,
        "verbosity": 0,
    }
    if rng.random() < 0.8:
        parameters["base_score"] = float(rng.choice([*BASE_SCORES, rng.random()]))
    if parameters["booster"] == "dart":
        parameters.update(rate_drop=0.3, one_drop=True)
    trees = int(rng.choice([1, 5, 30]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not whole and rng.random() < 0.5:
            return _of_regressor(rng, X, y, parameters, trees, missing)
        return _of_booster(rng, X, y, parameters, trees, missing, whole)


def _of_booster(
    rng: np.random.Generator,
    X: np.ndarray,
    y: np.ndarray,
    parameters: dict[str, Any],
    trees: int,
    missing: bool,
    whole: list[int],
) -> list[str]:
    """A Booster predicts with all trees, whatever stopped it."""
    types = ["c" if column in whole else "q" for column in range(comparison.FEATURES)]

    def matrix(values: np.ndarray, label: np.ndarray | None = None) -> xgboost.DMatrix:
        return xgboost.DMatrix(values, label, feature_types=types, enable_categorical=True, nthread=1)

    watched = [(matrix(X[:50], y[::-1][:50]), "eval")]
    booster = xgboost.train(parameters, matrix(X, y), trees, evals=watched, early_stopping_rounds=2, verbose_eval=False)
    model = _read(_draw_form(rng), booster)
    scored = comparison.frames(rng, X, model, missing=missing, infinite=False, whole=whole)
    return comparison.differences(
        parameters, model, scored, lambda values: booster.predict(matrix(values), output_margin=True)
    )


def _of_regressor(
    rng: np.random.Generator, X: np.ndarray, y: np.ndarray, parameters: dict[str, Any], trees: int, missing: bool
) -> list[str]:
    """An XGBRegressor predicts with the trees up to the best iteration."""
    regressor = xgboost.XGBRegressor(n_estimators=trees, early_stopping_rounds=2, **parameters)
    regressor.fit(X, y, eval_set=[(X[:50], y[::-1][:50])], verbose=False)
    form = _draw_form(rng)
    until = (0, regressor.get_booster().best_iteration + 1)

    def native(values: np.ndarray) -> Any:
        if form == "object":
            return regressor.predict(values, output_margin=True)
        matrix = xgboost.DMatrix(values, nthread=1)
        return regressor.get_booster().predict(matrix, output_margin=True, iteration_range=until)

    model = _read(form, regressor)
    scored = comparison.frames(rng, X, model, missing=missing, infinite=form == "object", whole=[])
    return comparison.differences(parameters, model, scored, native)


def _draw_form(rng: np.random.Generator) -> str:
    return str(rng.choice(["object", "json", "ubj"]))


def _read(form: str, trained: Any) -> Model:
    """From the object, or from the file that it saves."""
    if form == "object":
        return read_object(trained)
    booster = trained if isinstance(trained, xgboost.Booster) else trained.get_booster()
    if booster is not trained:
        # What XGBModel.save_model adds to the file.
        booster.set_attr(scikit_learn='{"_estimator_type": "regressor"}')
    return xgboost_json.read(io.BytesIO(bytes(booster.save_raw(form))))


if __name__ == "__main__":
    comparison.run(differences)
