"""Raw scores of a lowered model: what `bundle_core.lowering.lower` made, evaluated with numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.network import network_scores
from bundle_core.runtime.trees import tree_scores


def raw_scores(
    lowered: dict[str, Any], X: npt.NDArray[Any], positions: npt.NDArray[np.intp] | None = None
) -> npt.NDArray[Any]:
    """X[:, positions], or all of X, is (n, F) in the model's feature order -> (n,) in the model's own dtype.

    Any real dtype and memory order. Raises ValueError for another number of columns than the model's.
    """
    columns = X.shape[1:] if positions is None else (len(positions),)
    if columns != (lowered["n_features"],):
        raise ValueError(f"the model takes {lowered['n_features']} features, X has the shape {X.shape}")
    evaluator = lowered["evaluator"]
    if evaluator == "trees":
        return tree_scores(lowered, X, positions)
    if evaluator == "network":
        return network_scores(lowered, X if positions is None else X[:, positions])
    raise ValueError(f"unknown evaluator {evaluator}")
