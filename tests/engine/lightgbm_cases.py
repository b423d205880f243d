"""Random LightGBM models and frames, and the comparison of our raw scores with the library's.

Runs under pytest in the development environment and as a script, `python lightgbm_cases.py SEED COUNT`, in any
interpreter that has lightgbm, numpy and pandas: it prints one line a case that differs and exits with 1 if any does.
"""

from __future__ import annotations

import sys
from typing import Any

import lightgbm
import numpy as np

from bundle_core.frontends import read_object
from bundle_core.lowering import lower
from bundle_core.runtime.evaluate import raw_scores

FEATURES = 6
OBJECTIVES = ["regression", "regression_l1", "huber", "quantile", "poisson", "tweedie", "binary", "cross_entropy"]


def random_case(seed: int) -> dict[str, Any]:
    """Everything that a case is made of, drawn from its seed."""
    rng = np.random.default_rng(seed)
    return {
        "seed": seed,
        "boosting": rng.choice(["gbdt", "gbdt", "dart", "rf", "goss"]),
        "objective": rng.choice(OBJECTIVES),
        "values": rng.choice(["small", "continuous", "mixed", "tiny"]),
        "missing": rng.choice(["none", "nan", "zero"]),
        "categorical": bool(rng.random() < 0.3),
        "linear": bool(rng.random() < 0.2),
        "trees": int(rng.choice([1, 3, 20, 70])),
        "leaves": int(rng.choice([2, 7, 31, 300])),
        "depth": int(rng.choice([-1, 3, 8, 11])),
        "rows": int(rng.choice([300, 1500])),
    }


def train(case: dict[str, Any]) -> lightgbm.Booster:
    rng = np.random.default_rng(case["seed"])
    X = draw_values(rng, case["rows"], case["values"])
    if case["missing"] == "nan":
        X[rng.random(X.shape) < 0.1] = np.nan
    y = np.nan_to_num(X[:, 0]) - np.nan_to_num(X[:, 1]) * (X[:, 2] > 1) + rng.normal(size=len(X))
    if case["objective"] in ("poisson", "tweedie"):
        y = np.abs(y)
    if case["objective"] in ("binary", "cross_entropy"):
        y = (y > 0).astype(float)
    parameters: dict[str, Any] = {
        "objective": case["objective"],
        "boosting": case["boosting"],
        "num_leaves": case["leaves"],
        "max_depth": case["depth"],
        "min_data_in_leaf": 2,
        "min_data_per_group": 2,
        "zero_as_missing": case["missing"] == "zero",
        "use_missing": case["missing"] != "none",
        "linear_tree": case["linear"] and case["objective"] != "regression_l1" and case["missing"] != "zero",
        "num_threads": 1,
        "seed": case["seed"],
        "verbose": -1,
    }
    if case["boosting"] == "rf":
        parameters.update(bagging_fraction=0.7, bagging_freq=1)
    data = lightgbm.Dataset(X, y, categorical_feature=[3] if case["categorical"] else "auto")
    return lightgbm.train(parameters, data, case["trees"])


def draw_values(rng: np.random.Generator, rows: int, kind: str) -> np.ndarray:
    """(rows, FEATURES) float64."""
    small = rng.integers(0, 5, (rows, FEATURES)).astype(np.float64)
    continuous = rng.normal(size=(rows, FEATURES)) * 2
    if kind == "small":
        return small
    if kind == "tiny":
        return small * rng.choice([-3e-36, 1e-35, 2e-35, 1.0], (rows, FEATURES))
    if kind == "mixed":
        continuous[:, :3] = small[:, :3]
    continuous[:, 3] = rng.integers(0, 70, rows)
    return continuous


def frames(case: dict[str, Any], booster: lightgbm.Booster) -> dict[str, np.ndarray]:
    """Frames of every dtype and order, with values that training never saw, infinities, NaN and the thresholds."""
    rng = np.random.default_rng(case["seed"] + 1)
    rows = int(rng.choice([1, 2, 63, 64, 65, 700]))
    thresholds = booster.trees_to_dataframe()["threshold"] if booster.num_trees() else []
    usable = np.array([float(t) for t in thresholds if isinstance(t, (int, float)) and t == t] or [0.0])
    X = draw_values(rng, rows, case["values"])
    odd = np.concatenate(
        [usable, np.nextafter(usable, np.inf), [np.inf, -np.inf, np.nan, -0.0, -0.5, 1e-35, -1e-35, 1e30]]
    )
    wild = np.where(rng.random(X.shape) < 0.5, rng.choice(odd, X.shape), X)
    ones = rng.integers(-128, 128, X.shape)
    return {
        "float64": X,
        "float64 wild": wild,
        "float64 wild by columns": np.asfortranarray(wild),
        "float32 wild": wild.astype(np.float32),
        "float32 by columns": np.asfortranarray(X.astype(np.float32)),
        "float32 small": rng.integers(0, 5, X.shape).astype(np.float32),
        "int8": ones.astype(np.int8),
        "int8 small": rng.integers(0, 5, X.shape).astype(np.int8),
        "int8 small by columns": np.asfortranarray(rng.integers(0, 5, X.shape).astype(np.int8)),
        "uint8": (ones + 128).astype(np.uint8),
        "int16": (ones * 200).astype(np.int16),
        "a slice": np.repeat(wild, 2, axis=1)[:, ::2],
    }


def differences(case: dict[str, Any]) -> list[str]:
    """What differs between the library and us, one line a frame; empty if all is equal to the last bit."""
    booster = train(case)
    lowered = lower(read_object(booster))
    found: list[str] = []
    for name, X in frames(case, booster).items():
        expected = booster.predict(X, raw_score=True, num_threads=1)
        scores = raw_scores(lowered, X)
        if scores.dtype != np.float64 or not np.array_equal(scores, expected, equal_nan=True):
            wrong = np.flatnonzero(~((scores == expected) | (np.isnan(scores) & np.isnan(expected))))
            found.append(f"{case}: {name}: {len(wrong)} of {len(X)} rows, first {wrong[:1]}")
    return found


if __name__ == "__main__":
    np.seterr(all="ignore")
    first, count = int(sys.argv[1]), int(sys.argv[2])
    lines = [line for seed in range(first, first + count) for line in differences(random_case(seed))]
    print("\n".join(lines))
    sys.exit(1 if lines else 0)
