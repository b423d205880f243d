"""Numerai-shaped rows to train small models on, and the comparison with the library that trained them."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np
import pandas as pd

from bundle_core.frontends import read_object
from bundle_core.ir import Model, from_arrays, to_arrays
from bundle_core.lowering import lower
from bundle_core.runtime.evaluate import raw_scores

NAMES = [f"feature_{word}" for word in ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen")]


def features(rows: int = 900, seed: int = 0) -> pd.DataFrame:
    """int8 values 0 to 4."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(random.integers(0, 5, (rows, len(NAMES))).astype(np.int8), columns=NAMES)


def target(frame: pd.DataFrame) -> pd.Series:
    """A signal with noise, above 0."""
    random = np.random.default_rng(1)
    signal = frame.to_numpy(np.float64) @ np.linspace(-0.05, 0.08, frame.shape[1])
    return pd.Series(np.clip(0.5 + signal + random.normal(0, 0.1, len(frame)), 0.01, None))


def sk(name: str, *arguments: Any, **parameters: Any) -> Any:
    """`sk("linear_model.Ridge", alpha=2)`: imported when called, so that tests can be collected without sklearn."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(f"sklearn.{module}"), attribute)(*arguments, **parameters)


def booster(**parameters: Any) -> Any:
    """A small LightGBM regressor."""
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=15, num_leaves=7, verbose=-1, n_jobs=1, **parameters)


def chain(*steps: Any) -> Any:
    """A scikit-learn pipeline."""
    return sk("pipeline.make_pipeline", *steps)


def with_holes(frame: pd.DataFrame) -> pd.DataFrame:
    """A tenth of the values missing."""
    return frame.astype(np.float64).mask(np.random.default_rng(2).random(frame.shape) < 0.1)


def reread(model: Model) -> Model:
    """The model after its way through the JSON and the arrays of a bundle file."""
    spec, arrays = to_arrays(model)
    return from_arrays(json.loads(json.dumps(spec, allow_nan=False)), arrays)


def scores(model: Model, frame: Any) -> Any:
    """Our raw scores."""
    return raw_scores(lower(model), np.asarray(frame))


def apart(estimator: Any, frame: pd.DataFrame) -> float:
    """The largest difference between our scores and the estimator's predictions, in units of their spread."""
    theirs = np.asarray(estimator.predict(frame)).reshape(-1)
    ours = scores(reread(read_object(estimator)), frame)
    return float(np.abs(ours - theirs).max() / np.std(theirs))
