"""LightGBM's linear leaves (include/LightGBM/tree.h, Tree::Predict)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.split_tests import LIGHTGBM_ZERO


def linear_values(
    linear: dict[str, Any], leaf: npt.NDArray[np.intp], constant: npt.NDArray[np.float64], X: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """(n,) The linear model of each row's leaf, term by term in its order; `constant` where a feature of it is NaN.

    `linear` has "const" (L,), "start" (L+1,), and "feature" and "coefficient" of all terms.
    """
    values = linear["const"][leaf]
    first = linear["start"][leaf]
    terms = linear["start"][leaf + 1] - first
    unknown = np.zeros(len(leaf), np.bool_)
    for j in range(int(terms.max(initial=0))):
        rows = np.flatnonzero(terms > j)
        term = first[rows] + j
        x = X[rows, linear["feature"][term]].astype(np.float64)
        x[np.abs(x) <= LIGHTGBM_ZERO] = 0
        unknown[rows] |= np.isnan(x)
        with np.errstate(invalid="ignore", over="ignore"):
            values[rows] += linear["coefficient"][term] * x
    return np.where(unknown, constant, values)
