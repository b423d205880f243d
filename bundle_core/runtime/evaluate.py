"""Raw scores of a lowered model: what `bundle_core.lowering.lower` made, evaluated with numpy alone."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from bundle_core.runtime.network import network_scores
from bundle_core.runtime.trees import tree_scores


def raw_scores(lowered: dict[str, Any], X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(n, F) in the model's feature order, any real dtype and memory order -> (n,) in the model's own dtype.

    Raises ValueError if X has another number of columns than the model.
    """
    if X.ndim != 2 or X.shape[1] != lowered["n_features"]:
        raise ValueError(f"the model takes {lowered['n_features']} features, X has the shape {X.shape}")
    evaluator = lowered["evaluator"]
    if evaluator == "trees":
        return tree_scores(lowered, X)
    if evaluator == "network":
        return network_scores(lowered, X)
    raise ValueError(f"unknown evaluator {evaluator}")
