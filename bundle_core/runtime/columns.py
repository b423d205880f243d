"""Named columns of a live frame as one array."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

MOST_SPREAD = 2
"""A part of the frame this many times as wide as the columns asked for is still looked at as it is."""


def located(frame: pd.DataFrame, names: list[str]) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """(X, positions): X[:, positions] (n, len(names)) are the columns in the order of `names`.

    Their dtype is the one that holds them all: int8 stays int8. X may be a read-only view of the frame. Raises KeyError
    with the names that the frame does not have, and ValueError for a name that it has twice.
    """
    # As objects: pandas 3 keeps names in arrow, whose iteration costs a millisecond for a thousand.
    every = frame.columns.to_numpy(object).tolist()
    place = dict(zip(every, range(len(every)), strict=True))
    try:
        positions = np.fromiter(map(place.__getitem__, names), np.intp, len(names))
    except KeyError:
        missing = [name for name in names if name not in place]
        raise KeyError(f"the frame has no columns {missing[:10]}{' and more' if len(missing) > 10 else ''}") from None
    if len(place) < len(every):
        twice = [name for name in names if every.count(name) > 1]
        if twice:
            raise ValueError(f"the frame has more than one column {twice[0]!r}")
    first, end = int(positions.min(initial=len(every))), int(positions.max(initial=-1)) + 1
    if 0 < end - first <= MOST_SPREAD * len(names):
        part = frame.iloc[:, first:end]
        # One row tells whether these are numbers: of other things the whole would take seconds.
        row = part.iloc[:1].to_numpy()
        if row.dtype.kind in "biuf":
            X = part.to_numpy()
            # Columns that pandas gives without a copy have one dtype; asking for their dtypes takes longer.
            if np.may_share_memory(X, row):
                return X, positions - first
    some = frame.iloc[:, positions]
    values = some.to_numpy()
    return values if values.dtype.kind in "biuf" else some.to_numpy(np.float64, na_value=np.nan), np.arange(len(names))


def select(frame: pd.DataFrame, names: list[str]) -> npt.NDArray[Any]:
    """(n, len(names)) The columns in the order of `names`; raises as `located` does."""
    X, positions = located(frame, names)
    return X[:, positions]
