"""Linear models of scikit-learn: all of `LinearModel` (LinearRegression, Ridge, Lasso, ElasticNet, HuberRegressor,
BayesianRidge, LinearSVR, ... and their CV forms), SGDRegressor and PLSRegression.

Whole-number features are computed with in the dtype of the coefficients, as scikit-learn does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bundle_core.frontends.sklearn_estimators import network, refused, require_fitted, require_library_method
from bundle_core.ir.network import Arithmetic, Linear, Network


def read(model: Any) -> Network:
    """A fitted linear model of one target. Raises ModelRefused for a classifier or several targets."""
    require_fitted(model, "coef_")
    if hasattr(model, "classes_") or type(model).__name__.endswith("Classifier"):
        raise refused(model, "It is a classifier: its predictions are labels, not scores.")
    require_library_method(model, "predict")
    coefficients, intercept = np.asarray(model.coef_), np.asarray(model.intercept_)
    if coefficients.ndim == 2 and len(coefficients) != 1:
        raise refused(model, f"It predicts {len(coefficients)} targets; only models of one target are converted.")
    weight = coefficients.reshape(-1, 1)
    layers = (Linear(weight=weight, bias=intercept.reshape(-1).astype(weight.dtype)),)
    return network(model, len(weight), layers, _float_name(weight.dtype))


def read_pls(model: Any) -> Network:
    """A fitted PLSRegression of one target: centered columns, then a linear model."""
    require_fitted(model, "y_loadings_")
    require_library_method(model, "predict")
    loadings = np.asarray(model.y_loadings_, np.float64)
    if len(loadings) != 1:
        raise refused(model, f"It predicts {len(loadings)} targets; only models of one target are converted.")
    mean = np.asarray(model._x_mean, np.float64)
    # Whether coef_ is of the scaled columns depends on scikit-learn's version; these do not.
    weight = np.dot(model.x_rotations_, loadings.T) * model._y_std / np.asarray(model._x_std)[:, np.newaxis]
    layers = (
        Arithmetic("subtract", mean),
        Linear(weight=weight, bias=np.asarray(model._y_mean, np.float64).reshape(-1)),
    )
    return network(model, len(mean), layers, "float64")


def _float_name(dtype: np.dtype[Any]) -> str:
    return "float32" if dtype == np.float32 else "float64"
