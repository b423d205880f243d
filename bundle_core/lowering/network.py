"""Network -> lowered dict: layers as dicts, with their numbers in the network's dtype."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np

from bundle_core.ir.network import LAYERS, Layer, Network
from bundle_core.ir.tree_ensemble import TreeEnsemble
from bundle_core.lowering.trees import lower_trees

_NAMES = {layer_type: name for name, layer_type in LAYERS.items()}


def lower_network(model: Network) -> dict[str, Any]:
    """The dict that `bundle_core.runtime.network` evaluates."""
    return {
        "evaluator": "network",
        "n_features": model.n_features,
        "dtype": model.dtype,
        "layers": [_lower_layer(layer, model.dtype) for layer in model.layers],
    }


def _lower_layer(layer: Layer, dtype: str) -> dict[str, Any]:
    lowered = {field.name: _lower_value(getattr(layer, field.name), dtype) for field in dataclasses.fields(layer)}
    return {"layer": _NAMES[type(layer)], "dtype": dtype, **lowered}


def _lower_value(value: Any, dtype: str) -> Any:
    if isinstance(value, np.ndarray):
        array = cast("np.ndarray[Any, np.dtype[Any]]", value)
        return array.astype(dtype) if array.dtype.kind == "f" else array
    if isinstance(value, Layer):
        return _lower_layer(value, dtype)
    if isinstance(value, TreeEnsemble):
        return lower_trees(value)
    if isinstance(value, tuple):
        return [_lower_value(item, dtype) for item in cast("tuple[Any, ...]", value)]
    return value
