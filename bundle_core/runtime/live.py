"""Columns, ids and eras of the live frames; benchmark columns aligned by id."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bundle_core.runtime.columns import located, select


def ids_of(frame: pd.DataFrame) -> pd.Index:
    """The rows' ids: the column `id` where there is one, else the index."""
    return pd.Index(frame["id"]) if "id" in frame.columns else frame.index


def row_groups(live_features: pd.DataFrame, by: str) -> list[npt.NDArray[np.int64]]:
    """The row numbers of each era in their order, or of all rows; a missing era is an era of its own.

    Raises ValueError where the rows have no `era` and `by` is "era".
    """
    if by == "all":
        return [np.arange(len(live_features))]
    if "era" not in live_features.columns:
        raise ValueError("live_features has no column 'era', which this model ranks or neutralizes by")
    codes, _ = pd.factorize(live_features["era"].to_numpy(dtype=object), use_na_sentinel=False)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def aligned(
    live_features: pd.DataFrame, live_benchmark_models: pd.DataFrame | None, names: list[str]
) -> npt.NDArray[np.float64]:
    """(n, k) Benchmark columns in the order of the live rows; NaN where the benchmarks lack an id.

    Raises ValueError where a column is missing, an id occurs twice, or no id at all is in common.
    """
    if live_benchmark_models is None:
        raise ValueError(f"this model needs live_benchmark_models with {listed(names)}, and got none")
    lacking = [name for name in names if name not in live_benchmark_models.columns]
    if lacking:
        there = listed(benchmark_names(live_benchmark_models))
        raise ValueError(f"live_benchmark_models lacks {listed(lacking)}; it has {there}")
    ids = ids_of(live_benchmark_models)
    if not ids.is_unique:
        raise ValueError(f"live_benchmark_models has an id twice: {ids[ids.duplicated()][0]!r}")
    position = ids.get_indexer(ids_of(live_features))
    if len(position) and position.max() < 0:
        raise ValueError("live_benchmark_models has none of the ids of live_features")
    values = live_benchmark_models[names].to_numpy(dtype=np.float64)[position]
    values[position < 0] = np.nan
    return values


def matrix(
    live_features: pd.DataFrame, live_benchmark_models: pd.DataFrame | None, names: list[str]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """(X, positions): X[:, positions] (n, k) are the columns by name; X may be a view of the frame.

    Those that `live_features` lacks come from the benchmarks, all in float64 then. Raises ValueError naming the columns
    that neither has.
    """
    try:
        return located(live_features, names)
    except KeyError:
        lacking = [name for name in names if name not in live_features.columns]
    known = [] if live_benchmark_models is None else benchmark_names(live_benchmark_models)
    nowhere = [name for name in lacking if name not in known]
    if nowhere:
        raise ValueError(
            f"live_features lacks {len(nowhere)} of the model's {len(names)} columns: {listed(nowhere)}; "
            f"live_benchmark_models has {listed(known)}"
        )
    own = [i for i, name in enumerate(names) if name in live_features.columns]
    foreign = [i for i, name in enumerate(names) if name not in live_features.columns]
    values = np.empty((len(live_features), len(names)))
    values[:, own] = select(live_features, [names[i] for i in own])
    values[:, foreign] = aligned(live_features, live_benchmark_models, lacking)
    return values, np.arange(len(names))


def benchmark_names(live_benchmark_models: pd.DataFrame) -> list[str]:
    """The columns that hold predictions: all but era and id."""
    return [name for name in live_benchmark_models.columns if name not in ("era", "id")]


def listed(names: list[str]) -> str:
    """Up to ten names for a message."""
    shown = ", ".join(repr(name) for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown or "no columns"
