"""Kernel for oblivious trees (CatBoost): a level's splits all ask the same, so a leaf's number is the answers' bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.leaf_sums import add_leaves, empty_planes, leaf_numbers, leaf_workspace

BLOCK_WORDS = 3264
"""Trees that are done together, times words of a plane."""


def sum_oblivious(
    lowered: dict[str, Any],
    tests: npt.NDArray[np.uint64],
    plane_of_test: npt.NDArray[np.intp],
    total: npt.NDArray[Any],
) -> None:
    """Add to total (lanes, length) the leaves of all trees.

    tests (P, W) has the answers of test t in plane_of_test[t]. `lowered` has "depth" d, "level_tests" (d, T), the
    test of every level, and "leaves" (T, 2**d).
    """
    depth, level_tests, leaves = lowered["depth"], lowered["level_tests"], lowered["leaves"]
    words = tests.shape[1]
    block = min(len(leaves), max(1, BLOCK_WORDS // max(1, words)))
    workspace = leaf_workspace(words, depth, block, total.dtype)
    for start in range(0, len(leaves), block):
        some = plane_of_test.take(level_tests[:, start : start + block])
        planes = empty_planes(workspace, depth, some.shape[1])
        tests.take(some, axis=0, out=planes[:depth], mode="clip")
        add_leaves(workspace, leaf_numbers(workspace, planes, depth), leaves[start : start + block], total)
