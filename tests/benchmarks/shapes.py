"""Is any shape of model slower than its library? Ours against the library's own, from 50 trees and 1,000 rows on.

Run: python tests/benchmarks/shapes.py ["PART OF A LABEL" ...] [--rows 1000 6500]. Both sides start from an array, the
library from one of the dtype and order that it likes best; one thread each, alternating in one process, and the best of
their rounds counts. A ratio above 1 is marked, and then the command ends with status 1.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from predict import best_times

import bundle_core
from bundle_core.lowering import lower
from bundle_core.runtime.evaluate import raw_scores

TRAINING_ROWS = 5000
SECONDS = 1.5

Predict = Callable[[np.ndarray], np.ndarray]


def five_valued(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, (rows, 300), np.int8)


def continuous(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 50)).astype(np.float32)


def target(X: np.ndarray) -> np.ndarray:
    weights = np.random.default_rng(7).normal(size=X.shape[1])
    return X @ weights + np.random.default_rng(8).normal(size=len(X)) * 5


def lightgbm(X: np.ndarray, trees: int, depth: int) -> tuple[Any, Predict]:
    import lightgbm as library

    leaves = {"num_leaves": min(1 << depth, 1024), "max_depth": depth} if depth else {"num_leaves": 255}
    settings = {"verbose": -1, "min_data_in_leaf": 3, "feature_fraction": 0.3, "num_threads": 2, **leaves}
    booster = library.train(settings, library.Dataset(X.astype(np.float64), target(X)), trees)
    return booster, lambda rows: booster.predict(rows, raw_score=True, num_threads=1)


def xgboost(X: np.ndarray, trees: int, depth: int) -> tuple[Any, Predict]:
    import xgboost as library

    how = {"max_depth": depth} if depth else {"max_depth": 0, "max_leaves": 255, "grow_policy": "lossguide"}
    model = library.XGBRegressor(
        n_estimators=trees, learning_rate=0.05, colsample_bytree=0.3, min_child_weight=3, **how
    )
    booster = model.fit(X.astype(np.float32), target(X)).get_booster()
    booster.set_param({"nthread": 1})
    return booster, lambda rows: booster.inplace_predict(rows, predict_type="margin")


def catboost(X: np.ndarray, trees: int, depth: int) -> tuple[Any, Predict]:
    import catboost as library

    model = library.CatBoostRegressor(
        iterations=trees, depth=min(depth, 8) or 8, verbose=False, allow_writing_files=False, rsm=0.3
    ).fit(X.astype(np.float32), target(X))
    return model, lambda rows: model.predict(rows, prediction_type="RawFormulaVal", thread_count=1)


def hist_gradient_boosting(X: np.ndarray, trees: int, depth: int) -> tuple[Any, Predict]:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingRegressor(
        max_iter=trees, max_depth=depth or None, max_leaf_nodes=255, early_stopping=False
    ).fit(X.astype(np.float64), target(X))

    def predict(rows: np.ndarray) -> np.ndarray:
        with threadpool_limits(1):
            return model.predict(rows)

    return model, predict


def forest(kind: str) -> Callable[[np.ndarray, int, int], tuple[Any, Predict]]:
    def train(X: np.ndarray, trees: int, depth: int) -> tuple[Any, Predict]:
        from sklearn import ensemble

        model = getattr(ensemble, kind)(n_estimators=trees, max_depth=depth or None, max_features=0.1)
        model.fit(X.astype(np.float32), target(X))
        return model, lambda rows: model.predict(rows)

    return train


LIBRARIES: dict[str, tuple[Callable[[np.ndarray, int, int], tuple[Any, Predict]], type]] = {
    "LightGBM": (lightgbm, np.float32),
    "XGBoost": (xgboost, np.float32),
    "CatBoost": (catboost, np.float32),
    "HistGradientBoosting": (hist_gradient_boosting, np.float64),
    "RandomForest": (forest("RandomForestRegressor"), np.float32),
    "ExtraTrees": (forest("ExtraTreesRegressor"), np.float32),
    "GradientBoosting": (forest("GradientBoostingRegressor"), np.float32),
}


def shapes() -> Iterator[tuple[str, Callable[[], tuple[Any, Predict]], Callable[[int, int], np.ndarray], type]]:
    """Label, how to train it, rows of its features, and the dtype that the library likes best."""
    for (name, (train, liked)), data, depth, trees in itertools.product(
        LIBRARIES.items(), (five_valued, continuous), (2, 5, 8, 12, 0), (50, 300)
    ):
        label = f"{name}, {data.__name__}, {trees} trees, {f'depth {depth}' if depth else 'unlimited depth'}"
        yield label, (lambda t=train, d=data, n=trees, k=depth: t(d(TRAINING_ROWS, 0), n, k)), data, liked


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 6500])
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    slower = 0
    print("| model | rows | kernel | library | ours | ratio |\n|" + " --- |" * 6)
    for label, make, data, liked in shapes():
        if options.words and not all(word.lower() in label.lower() for word in options.words):
            continue
        model, predict = make()
        converted = bundle_core.convert(model, features=[f"f{i}" for i in range(data(1, 0).shape[1])])
        lowered = lower(converted.sources[0].model)
        for rows in options.rows:
            X = np.asfortranarray(data(rows, 1))
            for_library = np.ascontiguousarray(X, liked)
            if not np.array_equal(raw_scores(lowered, X), predict(for_library).astype(lowered["sum_dtype"])):
                print(f"{label}: predictions differ")
            ours, library = best_times(
                lambda lowered=lowered, X=X: raw_scores(lowered, X),
                lambda predict=predict, rows=for_library: predict(rows),
                SECONDS,
            )
            slower += ours > library
            mark = " slower" if ours > library else ""
            print(
                f"| {label} | {rows} | {lowered['kernel']} | {library * 1000:.2f} ms | {ours * 1000:.2f} ms "
                f"| {ours / library:.2f}{mark} |",
                flush=True,
            )
    print(f"\n{slower} slower than the library")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
