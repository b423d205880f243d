"""Random tree regressors of scikit-learn beside their own predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

from bundle_core.frontends import read_object
from tests.frontends import comparison

CATEGORICAL = 3
TREES = (DecisionTreeRegressor, ExtraTreeRegressor)


def differences(seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    X = comparison.training_values(rng, 300)
    y = comparison.target(rng, X)
    model = _draw(rng, seed)
    hist = isinstance(model, HistGradientBoostingRegressor)
    whole = [CATEGORICAL] if hist and rng.random() < 0.5 else []
    if whole:
        X[:, CATEGORICAL] = rng.choice([0, 3, 4, 7, 9, 20, 31, 40], len(X))
        y = y + X[:, CATEGORICAL] % 3
        model.set_params(categorical_features=whole)
    # The trees of one kind or the other take NaN from some version on; the rest never does.
    missing = bool(rng.random() < 0.5) and isinstance(
        model, (DecisionTreeRegressor, RandomForestRegressor, HistGradientBoostingRegressor)
    )
    missing = missing and not isinstance(model, ExtraTreeRegressor)
    if missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    model.fit(X, y)
    made = read_object(model)

    def native(values: np.ndarray) -> Any:
        return model._raw_predict(values)[:, 0] if hist else model.predict(values)

    scored = comparison.frames(rng, X, made, missing=missing, infinite=hist, whole=whole)
    return comparison.differences(model, made, scored, native)


def _draw(rng: np.random.Generator, seed: int) -> Any:
    depth = [None, 1, 4, 8][rng.integers(4)]
    trees = int(rng.choice([1, 5, 20]))
    kind = min(rng.integers(8), 5)
    if kind < 2:
        return TREES[kind](max_depth=depth, random_state=seed)
    if kind == 2:
        return RandomForestRegressor(trees, max_depth=depth, random_state=seed)
    if kind == 3:
        return ExtraTreesRegressor(trees, max_depth=depth, random_state=seed)
    if kind == 4:
        loss = str(rng.choice(["squared_error", "absolute_error", "huber", "quantile"]))
        init = [None, "zero"][rng.integers(2)]
        return GradientBoostingRegressor(
            loss=loss, init=init, n_estimators=trees, learning_rate=0.17, subsample=0.9, random_state=seed
        )
    loss = str(rng.choice(["squared_error", "absolute_error", "poisson", "quantile"]))
    quantile = 0.3 if loss == "quantile" else None
    return HistGradientBoostingRegressor(
        loss=loss, quantile=quantile, max_iter=trees, max_depth=depth, early_stopping=seed % 2 == 0, random_state=seed
    )


if __name__ == "__main__":
    comparison.run(differences)
