"""Ranks of scores, whole-frame or within groups of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def rank(
    scores: npt.NDArray[np.float64], groups: list[npt.NDArray[np.int64]], method: str, centered: bool
) -> npt.NDArray[np.float64]:
    """(n,) Percentile ranks within each group: as pandas' `rank(method, pct=True)`, or (rank - 0.5) / count.

    NaN stays NaN and is not counted. Every row is in one of the groups, in the order of the rows.
    """
    if len(groups) == 1:
        return rank_group(scores, method, centered)
    ranked = np.full(len(scores), np.nan)
    for rows in groups:
        ranked[rows] = rank_group(scores[rows], method, centered)
    return ranked


def rank_group(scores: npt.NDArray[np.float64], method: str, centered: bool) -> npt.NDArray[np.float64]:
    """`rank` of one group."""
    ranked = np.full(len(scores), np.nan)
    # Only "first" tells equal scores apart; the default sort is several times faster.
    order = np.argsort(scores, kind="stable" if method == "first" else None)
    order = order[: len(scores) - np.count_nonzero(np.isnan(scores))]
    if not len(order):
        return ranked
    ordered = scores[order]
    differs = ordered[1:] != ordered[:-1]
    count = len(ordered)
    if method == "first" or differs.all():
        ranks = np.arange(1.0, count + 1)
    else:
        start = np.flatnonzero(np.append(True, differs))
        end = np.append(start[1:], count)
        if method == "dense":
            ranks = np.repeat(np.arange(1.0, len(start) + 1), end - start)
            count = len(start)
        else:
            tied = start + 1.0 if method == "min" else end + 0.0 if method == "max" else (start + 1 + end) / 2
            ranks = np.repeat(tied, end - start)
    ranked[order] = (ranks - 0.5) / count if centered else ranks / count
    return ranked


def gaussianize(scores: npt.NDArray[np.float64], groups: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.float64]:
    """(n,) The normal distribution's quantiles of the centered ranks within each group."""
    from statistics import NormalDist

    quantile = NormalDist().inv_cdf
    ranked = rank(scores, groups, "average", True)
    return np.array([quantile(share) if share == share else share for share in ranked.tolist()])
