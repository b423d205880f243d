"""A bundle's raw scores beside the source's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from bundle_core.reports import Parity
from bundle_core.runtime.ranking import rank_group

Scores = npt.NDArray[np.floating]
_POINTS = 200
_ROUNDING = 64
"""Units in the last place that sums of products may differ by where they are added in another order."""


def compare(name: str, own: Scores, theirs: Scores, data: Literal["sample", "synthetic"], against: str) -> Parity:
    """`identical` if every score is equal to the last bit (NaN equals NaN), else `different` with how far apart.

    `own` and `theirs` are (n,); a float32 score is compared as the float64 that it is.
    """
    ours, source = np.asarray(own, np.float64), np.asarray(theirs, np.float64)
    same = np.array_equal(ours, source, equal_nan=True)
    known = np.isfinite(ours) & np.isfinite(source)
    apart = float(np.abs(ours[known] - source[known]).max()) if known.any() else None
    word = "equal to the last bit" if same else f"up to {apart:.3g} apart" if apart is not None else "not comparable"
    if apart and apart <= _ROUNDING * np.finfo(own.dtype).eps * max(1.0, float(np.abs(source[known]).max())):
        word += f", which is {own.dtype} rounding: the same sums in another order"
    unlike = int((~known & ~((ours == source) | (np.isnan(ours) & np.isnan(source)))).sum())
    also = f"; {unlike} rows are NaN or infinite on one side only" if unlike else ""
    chosen = np.linspace(0, len(ours) - 1, min(_POINTS, len(ours))).astype(np.int64)
    points = [[float(source[i]), float(ours[i])] for i in chosen if known[i]]
    return Parity(
        status="identical" if same else "different",
        reason=f"{name}: raw scores of {len(ours)} {data} rows against {against} are {word}{also}.",
        rows=len(ours),
        data=data,
        max_abs_diff=apart,
        rank_correlation=rank_correlation(ours[known], source[known]),
        points=points,
    )


def not_run(reason: str) -> Parity:
    """Nothing was compared."""
    return Parity(status="not_run", reason=reason)


def together(each: Sequence[Parity]) -> Parity:
    """One verdict on all sources: the worst one, with every reason."""
    if len(each) == 1:
        return each[0]
    ran = [parity for parity in each if parity.status != "not_run"]
    gaps = [parity.max_abs_diff for parity in ran if parity.max_abs_diff is not None]
    correlations = [parity.rank_correlation for parity in ran if parity.rank_correlation is not None]
    status = "different" if any(parity.status == "different" for parity in ran) else "identical"
    return Parity(
        status=status if len(ran) == len(each) or status == "different" else "not_run",
        reason=" ".join(parity.reason for parity in each),
        rows=max((parity.rows for parity in ran), default=0),
        data=ran[0].data if ran else "none",
        max_abs_diff=max(gaps, default=None),
        rank_correlation=min(correlations, default=None),
        points=ran[0].points if ran else [],
    )


def rank_correlation(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float | None:
    """Spearman's; None where a side is constant."""
    if len(left) < 2 or left.min() == left.max() or right.min() == right.max():
        return None
    ranks = [rank_group(scores, "average", True) - 0.5 for scores in (left, right)]
    return float((ranks[0] * ranks[1]).sum() / np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
