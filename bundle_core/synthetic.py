"""Rows that look like Numerai's live data, the same ones every time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

SEED = 20240101


def feature_values(rows: int, columns: int) -> npt.NDArray[np.int8]:
    """(rows, columns) Values 0 to 4, column after column in memory as parquet files give them."""
    random = np.random.default_rng(SEED)
    # Raw 32-bit draws: the distributions' algorithms may change between versions of numpy, the bit stream does not.
    drawn = random.bit_generator.random_raw((columns * rows + 1) // 2).view(np.uint32)[: columns * rows]
    return (drawn % 5).astype(np.int8).reshape(columns, rows).T


def ids(rows: int) -> list[str]:
    """Ids like Numerai's: `n` and 15 hexadecimal digits."""
    raw = np.random.PCG64(SEED + 1).random_raw(rows)
    return [f"n{value >> 4:015x}" for value in raw.tolist()]


def live_features(names: list[str], rows: int) -> pd.DataFrame:
    """int8 features 0 to 4 with index `id`, and the columns era ("X") and data_type ("live") as live data have."""
    import pandas as pd

    index = pd.Index(ids(rows), name="id")
    marks = pd.DataFrame({"era": ["X"] * rows, "data_type": ["live"] * rows}, index=index)
    features = [name for name in names if name not in marks.columns]
    values = pd.DataFrame(feature_values(rows, len(features)), index=index, columns=pd.Index(features, dtype=object))
    return pd.concat([marks, values], axis=1)


def live_benchmark_models(names: list[str], rows: int) -> pd.DataFrame:
    """Benchmark predictions in (0, 1) for the ids of `live_features`, in another order.

    There is always a column, as in live data: "v52_lgbm_ender20" where none is named.
    """
    import pandas as pd

    names = names or ["v52_lgbm_ender20"]
    raw = np.random.PCG64(SEED + 2).random_raw(rows * len(names)).reshape(rows, -1)
    order = np.argsort(raw[:, 0], kind="stable")
    columns: dict[str, Any] = {"era": ["X"] * len(order)}
    for i, name in enumerate(names):
        columns[name] = (raw[order, i] >> np.uint64(11)).astype(np.float64) / 2.0**53
    return pd.DataFrame(columns, index=pd.Index(np.array(ids(rows), dtype=object)[order], name="id"))


def benchmarks_of(live: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The same for the ids of `live`."""
    made = live_benchmark_models(names, len(live))
    order = np.argsort(made[made.columns[-1]].to_numpy(), kind="stable")
    return made.set_axis(live.index[order], axis=0)
