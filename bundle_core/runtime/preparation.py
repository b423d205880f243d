"""What is done to feature columns before a model sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def imputed(values: npt.NDArray[Any], fill: npt.NDArray[np.float64] | None) -> npt.NDArray[Any]:
    """NaN replaced by the column's value in `fill`, in the dtype of `values`; whole numbers have no NaN."""
    if fill is None or values.dtype.kind != "f":
        return values
    return np.where(np.isnan(values), fill.astype(values.dtype), values)


def scaled(
    values: npt.NDArray[Any], mean: npt.NDArray[np.float64] | None, std: npt.NDArray[np.float64] | None
) -> npt.NDArray[Any]:
    """(x - mean) / std in float64; the values as they are without a mean and std."""
    return values if mean is None or std is None else (values - mean) / std
