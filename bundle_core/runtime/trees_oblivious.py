"""Kernel for oblivious trees (CatBoost): a level's splits all ask the same, so a leaf's number is the answers' bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.leaf_sums import add_leaves, empty_planes, leaf_numbers, leaf_workspace

TREES_IN_A_BLOCK = 32


def sum_oblivious(
    lowered: dict[str, Any],
    tests: npt.NDArray[np.uint64],
    plane_of_test: npt.NDArray[np.intp],
    total: npt.NDArray[Any],
) -> None:
    """Add to total (lanes, length) the leaves of all trees; tests (P, W) has the answers of test t in plane_of_test[t].

    `lowered` has "depth" d, "level_tests" (d, T), the test of every level, and "leaves" (T, 2**d).
    """
    depth, level_tests, leaves = lowered["depth"], lowered["level_tests"], lowered["leaves"]
    trees = len(leaves)
    workspace = leaf_workspace(tests.shape[1], depth, min(trees, TREES_IN_A_BLOCK), total.dtype)
    for start in range(0, trees, TREES_IN_A_BLOCK):
        some = plane_of_test.take(level_tests[:, start : start + TREES_IN_A_BLOCK])
        planes = empty_planes(workspace, depth, some.shape[1])
        tests.take(some, axis=0, out=planes[:depth], mode="clip")
        add_leaves(workspace, leaf_numbers(workspace, planes, depth), leaves[start : start + some.shape[1]], total)
