"""What is left of scores when a least-squares fit by other columns is taken away."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def neutralize(
    scores: npt.NDArray[np.float64],
    columns: npt.NDArray[Any],
    groups: list[npt.NDArray[np.int64]],
    proportion: float,
) -> npt.NDArray[np.float64]:
    """(n,) scores - proportion * fit of the scores by (n, k) `columns` and a constant, fitted within each group.

    NaN in a column counts as the column's mean in its group. A column that the ones before it explain is left out,
    which does not change the fit. A group of constant scores, or of one row, fits perfectly: (1 - proportion) * score
    is left. NaN scores stay NaN and are not fitted.
    """
    neutral = np.full(len(scores), np.nan)
    for rows in groups:
        rows = rows[~np.isnan(scores[rows])]
        if len(rows):
            neutral[rows] = neutralize_group(scores[rows], columns[rows], proportion)
    return neutral


def neutralize_group(
    scores: npt.NDArray[np.float64], columns: npt.NDArray[Any], proportion: float
) -> npt.NDArray[np.float64]:
    """`neutralize` of one group without NaN scores."""
    if scores.min() == scores.max():
        return (1 - proportion) * scores
    design = filled_design(columns)
    factor, kept = cholesky(gram(design))
    design = design[kept]
    left = scores
    # Once more on what is left: the second fit corrects the rounding of the first.
    for _ in range(2):
        products = np.array([(row * left).sum() for row in design])
        left = left - combine(design, solve(factor, products))
    return scores - proportion * (scores - left)


def filled_design(columns: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(k+1, n) A constant and the columns, NaN replaced by the column's mean."""
    design = np.concatenate((np.ones((1, len(columns))), columns.T))
    if columns.dtype.kind != "f":
        return design
    for i in np.flatnonzero(np.isnan(design).any(axis=1)):
        known = design[i][~np.isnan(design[i])]
        design[i] = np.where(np.isnan(design[i]), known.mean() if len(known) else 0.0, design[i])
    return design


def gram(design: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(k, k) Products of all pairs of (k, n) rows, equal to the last bit whatever library multiplies."""
    if np.array_equal(design, np.rint(design)) and np.abs(design).max() < 1024:
        return design @ design.T  # sums of small whole numbers are exact in any order
    product = np.empty((len(design), len(design)))
    for i in range(len(design)):
        product[i, i:] = (design[i:] * design[i]).sum(axis=1)
        product[i:, i] = product[i, i:]
    return product


def cholesky(matrix: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The lower factor of (k, k) `matrix` without the rows that depend on earlier ones, and the rows kept.

    Written out because LAPACK's last bits differ between builds of numpy.
    """
    left = matrix.copy()
    limit = 1e-12 * matrix.diagonal()
    factor = np.zeros(matrix.shape)
    kept = np.zeros(len(matrix), np.bool_)
    for j in range(len(matrix)):
        if left[j, j] <= limit[j]:
            continue
        kept[j] = True
        column = left[j:, j] / np.sqrt(left[j, j])
        factor[j:, j] = column
        left[j:, j:] -= column[:, None] * column
    rows = np.flatnonzero(kept)
    return factor[np.ix_(rows, rows)], rows


def solve(factor: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The x of factor @ factor.T @ x = right."""
    x = right.copy()
    for j in range(len(x)):
        x[j] /= factor[j, j]
        x[j + 1 :] -= factor[j + 1 :, j] * x[j]
    for j in range(len(x) - 1, -1, -1):
        x[j] /= factor[j, j]
        x[:j] -= factor[j, :j] * x[j]
    return x


def combine(design: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n,) The weighted sum of (k, n) rows, added one by one."""
    total = np.zeros(design.shape[1])
    for row, weight in zip(design, weights.tolist(), strict=True):
        total += row * weight
    return total
