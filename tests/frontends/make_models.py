"""Makes the files of models/ with the xgboost and catboost of this Python: each model, and its raw scores of rows.npy.

A file's name says which version wrote it. The committed ones are of xgboost 1.7.5 and 3.4.1, and 3.3.0 for
its own layout of DART, and of catboost 1.2 and 1.2.10.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import xgboost

FOLDER = Path(__file__).parent / "models"
CATEGORICAL = 4


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    random = np.random.default_rng(11)
    X = random.normal(size=(200, 5))
    X[:, 1] = random.integers(0, 5, len(X))
    X[:, CATEGORICAL] = random.integers(0, 7, len(X))
    y = 0.5 + 0.1 * np.tanh(X[:, 0]) + 0.05 * (X[:, CATEGORICAL] % 2) + 0.02 * random.normal(size=len(X))
    X[random.random(X.shape) < 0.1] = np.nan
    np.save(FOLDER / "rows.npy", X)
    make_xgboost_models(X, y)
    make_catboost_models(X, y)


def make_xgboost_models(X: np.ndarray, y: np.ndarray) -> None:
    write_xgboost("gbtree.json", X, y, {"base_score": 0.3})
    write_xgboost("forest.ubj", X, y, {"base_score": 0.7, "num_parallel_tree": 3, "subsample": 0.5})
    write_xgboost("dart.json", X, y, {"booster": "dart", "rate_drop": 0.5, "one_drop": 1})
    write_xgboost("logistic.ubj", X, y, {"objective": "reg:logistic", "base_score": 0.4})
    write_xgboost("categorical.ubj", X, y, {"tree_method": "hist", "max_cat_to_onehot": 1}, "qqqqc")
    stopped = xgboost.XGBRegressor(n_estimators=9, max_depth=2, early_stopping_rounds=3, n_jobs=1)
    stopped.fit(X, y, eval_set=[(X[:40], y[40:80])], verbose=False)
    write(f"xgboost-{xgboost.__version__}-stopped.json", stopped.save_model, stopped.predict(X, output_margin=True))


def write_xgboost(name: str, X: np.ndarray, y: np.ndarray, parameters: dict[str, Any], types: str = "qqqqq") -> None:
    data = xgboost.DMatrix(X, y, feature_types=list(types), enable_categorical=True)
    booster = xgboost.train({"max_depth": 3, "nthread": 1, **parameters}, data, 4)
    scores = booster.predict(data, output_margin=True)
    write(f"xgboost-{xgboost.__version__}-{name}", booster.save_model, scores)


def make_catboost_models(X: np.ndarray, y: np.ndarray) -> None:
    for policy, nan_mode in (("SymmetricTree", "Max"), ("Depthwise", "Min")):
        model = catboost.CatBoostRegressor(
            iterations=4,
            depth=3,
            grow_policy=policy,
            nan_mode=nan_mode,
            thread_count=1,
            verbose=0,
            allow_writing_files=False,
        ).fit(X, y)
        model.set_scale_and_bias(0.5, 0.25)
        name = f"catboost-{catboost.__version__}-{policy}.json"
        write(name, lambda path, model=model: model.save_model(path, format="json"), model.predict(X))


def write(name: str, save: Callable[[str], object], scores: np.ndarray) -> None:
    save(str(FOLDER / name))
    np.save(FOLDER / f"{name}.npy", scores)


if __name__ == "__main__":
    main()
