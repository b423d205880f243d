"""scikit-learn's MLPRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np

from bundle_core.frontends.sklearn_estimators import network, refused, require_fitted, require_library_method
from bundle_core.ir.network import Activation, Layer, Linear, Network

_ACTIVATIONS = {"identity": None, "relu": "relu", "tanh": "tanh", "logistic": "sigmoid", "exp": "exp"}


def read(model: Any) -> Network:
    """A fitted MLPRegressor of one target, in the dtype of its weights. Raises ModelRefused."""
    require_fitted(model, "coefs_")
    require_library_method(model, "predict")
    if model.n_outputs_ != 1:
        raise refused(model, f"It predicts {model.n_outputs_} targets; only models of one target are converted.")
    last = len(model.coefs_) - 1
    layers: list[Layer] = []
    for i, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        layers.append(Linear(weight=np.asarray(weight), bias=np.asarray(bias)))
        name = model.activation if i < last else model.out_activation_
        if name not in _ACTIVATIONS:
            raise refused(model, f"Its activation {name!r} is not known.")
        function = _ACTIVATIONS[name]
        if function is not None:
            layers.append(Activation(function))
    dtype = "float32" if model.coefs_[0].dtype == np.float32 else "float64"
    return network(model, len(model.coefs_[0]), tuple(layers), dtype)
