"""Named columns of a live frame as one array."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def select(frame: pd.DataFrame, names: list[str]) -> npt.NDArray[Any]:
    """(n, len(names)) The columns in the order of `names`, in the dtype that holds them all: int8 stays int8.

    The result may be a read-only view of the frame. Raises KeyError with the names that the frame does not have.
    """
    positions = frame.columns.get_indexer(names)  # pyright: ignore[reportArgumentType]
    if (positions < 0).any():
        missing = [name for name, position in zip(names, positions, strict=True) if position < 0]
        raise KeyError(f"the frame has no columns {missing[:10]}{' and more' if len(missing) > 10 else ''}")
    values = frame.iloc[:, positions].to_numpy()
    return values if values.dtype.kind in "biuf" else frame.iloc[:, positions].to_numpy(np.float64, na_value=np.nan)
