"""Tree ensembles: rows in chunks through the kernel that the lowering chose, then the ensemble's own arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.bits import by_column, has_columns_in_one_piece, rows_in_order
from bundle_core.runtime.split_tests import number_of_tests, pack_tests
from bundle_core.runtime.trees_complete import sum_complete
from bundle_core.runtime.trees_gather import sum_gather
from bundle_core.runtime.trees_leafwise import sum_leafwise
from bundle_core.runtime.trees_oblivious import sum_oblivious

ROWS_AT_ONCE = 6528
"""At most: 102 words of 64 rows, so that the working set of a chunk stays in the second level cache."""
BYTES_AT_ONCE = 24_000_000
"""What the answers of all tests, and values in another order or dtype, may take up for a chunk, each."""


def tree_scores(
    lowered: dict[str, Any], X: npt.NDArray[Any], positions: npt.NDArray[np.intp] | None = None
) -> npt.NDArray[Any]:
    """X[:, positions], or all of X, is (n, F) -> (n,) raw scores in the ensemble's sum dtype."""
    features = np.arange(X.shape[1]) if positions is None else positions
    scores = np.empty(len(X), lowered["sum_dtype"])
    with np.errstate(all="ignore"):
        rows = _rows_at_once(lowered, X)
        for start in range(0, len(X), rows):
            scores[start : start + rows] = _chunk_scores(lowered, X[start : start + rows], features)
        return finished(lowered, scores)


def _rows_at_once(lowered: dict[str, Any], X: npt.NDArray[Any]) -> int:
    bits = 0 if has_columns_in_one_piece(X) else 8 * X.shape[1] * X.itemsize
    value = 8 * max(4, X.itemsize)
    if lowered["kernel"] == "gather":
        columns = lowered["n_features"] + number_of_tests(lowered["special_tests"])
        answers = max((number_of_tests(group["tests"]) for group in lowered["groups"]), default=0)
        bits = max(bits, value * columns, answers)
    else:
        compared = value * lowered["n_features"] if "below_cut" in lowered else 0
        bits = max(bits, compared, number_of_tests(lowered["tests"]))
    return max(64, min(ROWS_AT_ONCE, 8 * BYTES_AT_ONCE // max(1, bits) // 64 * 64))


def _chunk_scores(lowered: dict[str, Any], X: npt.NDArray[Any], positions: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    columns = by_column(X)
    # All but the leaf-wise and the oblivious kernel number at most 2**8 nodes before they fetch.
    lanes = 8 if lowered["kernel"] in ("complete", "gather") or lowered["depth"] <= 8 else 16
    words = -(-len(X) // 64)
    total = np.full((lanes, words * 64 // lanes), lowered["start"], lowered["sum_dtype"])
    if lowered["kernel"] == "gather":
        sum_gather(lowered, columns, positions, total)
        return rows_in_order(total)[: len(X)]
    planes, plane_of_test = pack_tests(lowered["tests"], columns, positions, lowered["input_dtype"])
    if lowered["kernel"] == "complete":
        sum_complete(lowered, planes, plane_of_test, columns, positions, total)
    elif lowered["kernel"] == "oblivious":
        sum_oblivious(lowered, planes, plane_of_test, total)
    else:
        sum_leafwise(lowered, planes, plane_of_test, total)
    return rows_in_order(total)[: len(X)]


def finished(lowered: dict[str, Any], scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The steps after the sum, in its dtype; one that changes nothing is left out, as -0.0 + 0.0 would be 0.0."""
    number = scores.dtype.type
    if lowered["divisor"] != 1:
        scores = scores / number(lowered["divisor"])
    if lowered["scale"] != 1:
        scores = scores * number(lowered["scale"])
    if lowered["bias"] != 0:
        scores = scores + number(lowered["bias"])
    return scores
