"""`predict(live_features, live_benchmark_models)` of a plan: the whole pipeline in its fixed order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bundle_core.runtime.evaluate import raw_scores
from bundle_core.runtime.live import aligned, benchmark_names, ids_of, matrix, row_groups
from bundle_core.runtime.neutralization import neutralize
from bundle_core.runtime.preparation import imputed, scaled
from bundle_core.runtime.ranking import gaussianize, rank


def build(plan: dict[str, Any]) -> Callable[[pd.DataFrame, pd.DataFrame | None], pd.DataFrame]:
    """The function that Numerai calls, closed over `plan` (see `bundle_core.plan`)."""

    def predict(live_features: pd.DataFrame, live_benchmark_models: pd.DataFrame | None) -> pd.DataFrame:
        return run(plan, live_features, live_benchmark_models)

    return predict


def run(plan: dict[str, Any], live_features: pd.DataFrame, live_benchmark_models: pd.DataFrame | None) -> pd.DataFrame:
    """One column `prediction` in [0, 1], indexed by `id` in the rows' order.

    Raises ValueError where columns are missing, or predictions are NaN or leave [0, 1].
    """
    every = scores_of_models(plan, live_features, live_benchmark_models)
    if plan["rank_each"] is not None:
        every = [ranked(scores, live_features, plan["rank_each"]) for scores in every]
    scores = weighted_mean(every, [source["weight"] for source in plan["sources"]])
    if plan["blend"] is not None:
        scores = blended(scores, live_features, live_benchmark_models, plan["blend"])
    if plan["neutralize"] is not None:
        scores = neutralized(scores, live_features, live_benchmark_models, plan["neutralize"])
    if plan["gaussianize"] is not None:
        scores = gaussianize(scores, row_groups(live_features, plan["gaussianize"]))
    if plan["clip"] is not None:
        scores = np.clip(scores, plan["clip"][0], plan["clip"][1])
    if plan["rank"] is not None:
        scores = ranked(scores, live_features, plan["rank"])
    check_range(scores, live_features)
    index = ids_of(live_features).rename("id")
    return pd.DataFrame(scores[:, None], index, columns=["prediction"], copy=False)


def scores_of_models(
    plan: dict[str, Any], live_features: pd.DataFrame, live_benchmark_models: pd.DataFrame | None
) -> list[npt.NDArray[np.float64]]:
    """The raw scores of every model, (n,) each."""
    inputs: dict[int, tuple[npt.NDArray[Any], npt.NDArray[np.intp]]] = {}
    every: list[npt.NDArray[np.float64]] = []
    for source in plan["sources"]:
        number = source["input"]
        if number not in inputs:
            inputs[number] = prepared(plan["inputs"][number], live_features, live_benchmark_models)
        every.append(raw_scores(source["model"], *inputs[number]).astype(np.float64))
    return every


def prepared(
    wanted: dict[str, Any], live_features: pd.DataFrame, live_benchmark_models: pd.DataFrame | None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """(X, positions): X[:, positions] (n, F) are the columns of one model, imputed and scaled."""
    X, positions = matrix(live_features, live_benchmark_models, wanted["names"])
    if wanted["fill"] is None and wanted["mean"] is None:
        return X, positions
    values = scaled(imputed(X[:, positions], wanted["fill"]), wanted["mean"], wanted["std"])
    return values, np.arange(len(positions))


def ranked(
    scores: npt.NDArray[np.float64], live_features: pd.DataFrame, how: dict[str, Any]
) -> npt.NDArray[np.float64]:
    """Percentile ranks as `how` says."""
    return rank(scores, row_groups(live_features, how["by"]), how["method"], how["centered"])


def weighted_mean(every: list[npt.NDArray[np.float64]], weights: list[float]) -> npt.NDArray[np.float64]:
    """(n,) Of the models' scores; those of a single model are left as they are."""
    if len(every) == 1:
        return every[0]
    total = np.zeros(len(every[0]))
    for scores, weight in zip(every, weights, strict=True):
        total = total + scores * weight
    return total / sum(weights)


def blended(
    scores: npt.NDArray[np.float64],
    live_features: pd.DataFrame,
    live_benchmark_models: pd.DataFrame | None,
    blend: dict[str, Any],
) -> npt.NDArray[np.float64]:
    """(n,) (1 - sum of weights) * scores + sum of weight * benchmark.

    An id that the benchmarks lack, or that has NaN there: the scores alone, the column's mean, or ValueError.
    """
    columns = aligned(live_features, live_benchmark_models, blend["names"])
    lacking = np.isnan(columns.sum(axis=1))
    if blend["missing"] == "error" and lacking.any():
        raise ValueError(
            f"live_benchmark_models has no prediction for {np.count_nonzero(lacking)} of {len(lacking)} ids, "
            f"the first is {ids_of(live_features)[lacking][0]!r}"
        )
    if blend["rank"] is not None:
        scores = ranked(scores, live_features, blend["rank"])
    mixed = scores * (1 - sum(blend["weights"]))
    for i, weight in enumerate(blend["weights"]):
        column = columns[:, i]
        if blend["rank"] is not None:
            column = ranked(column, live_features, blend["rank"])
        known = column[~np.isnan(column)]
        mixed = mixed + weight * np.where(np.isnan(column), known.mean() if len(known) else np.nan, column)
    return np.where(lacking, scores, mixed) if blend["missing"] == "models" else mixed


def neutralized(
    scores: npt.NDArray[np.float64],
    live_features: pd.DataFrame,
    live_benchmark_models: pd.DataFrame | None,
    how: dict[str, Any],
) -> npt.NDArray[np.float64]:
    """(n,) What is left of the scores beside the named columns, or beside all benchmarks."""
    if how["names"] is None:
        names = [] if live_benchmark_models is None else benchmark_names(live_benchmark_models)
        if not names:
            raise ValueError("live_benchmark_models has no column to neutralize to")
        columns = aligned(live_features, live_benchmark_models, names)
    else:
        X, positions = matrix(live_features, live_benchmark_models, how["names"])
        columns = imputed(X[:, positions], how["fill"])
    return neutralize(scores, columns, row_groups(live_features, how["by"]), how["proportion"])


def check_range(scores: npt.NDArray[np.float64], live_features: pd.DataFrame) -> None:
    """Raise ValueError for NaN or what is not within [0, 1], which Numerai refuses."""
    unknown = np.isnan(scores)
    if unknown.any():
        raise ValueError(
            f"{np.count_nonzero(unknown)} of {len(scores)} predictions are NaN, "
            f"the first is that of {ids_of(live_features)[unknown][0]!r}: impute the features that are missing"
        )
    if len(scores) and not 0 <= scores.min() <= scores.max() <= 1:
        raise ValueError(f"predictions from {scores.min()} to {scores.max()} leave [0, 1]: rank or clip them")
