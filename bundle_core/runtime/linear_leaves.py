"""LightGBM's linear leaves (include/LightGBM/tree.h, Tree::Predict)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.split_tests import LIGHTGBM_ZERO


def linear_values(
    linear: dict[str, Any],
    leaf: npt.NDArray[np.intp],
    constant: npt.NDArray[np.float64],
    row: npt.NDArray[np.intp],
    columns: npt.NDArray[Any],
    positions: npt.NDArray[np.intp],
) -> npt.NDArray[np.float64]:
    """(m,) The linear models of m leaves, term by term in their order; `constant` where a feature of it is NaN.

    Each is of the row of the same place, and columns[positions] (F, n) are the features. `linear` has "const" (L,),
    "start" (L+1,), and "feature" and "coefficient" of all terms.
    """
    values = linear["const"][leaf]
    first = linear["start"][leaf]
    terms = linear["start"][leaf + 1] - first
    unknown = np.zeros(len(leaf), np.bool_)
    for j in range(int(terms.max(initial=0))):
        some = np.flatnonzero(terms > j)
        term = first[some] + j
        x = columns[positions[linear["feature"][term]], row[some]].astype(np.float64)
        x[np.abs(x) <= LIGHTGBM_ZERO] = 0
        unknown[some] |= np.isnan(x)
        with np.errstate(invalid="ignore", over="ignore"):
            values[some] += linear["coefficient"][term] * x
    return np.where(unknown, constant, values)
