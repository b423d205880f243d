"""Kernel for trees padded to complete ones: all trees' upper levels are walked on bit planes.

Below them a level has more nodes than it pays to walk; there each row goes on from its own node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.descent import by_plane, by_value, descend
from bundle_core.runtime.leaf_sums import MOST_LEAVES, add_indexed, add_leaves, numbered
from bundle_core.runtime.walk import walk_workspace, walked

NUMBERS_AT_ONCE = 4 * 6528
"""Rows times trees that descend together: more of them fall out of the second level cache."""


def sum_complete(
    lowered: dict[str, Any],
    tests: npt.NDArray[np.uint64],
    plane_of_test: npt.NDArray[np.intp],
    columns: npt.NDArray[Any],
    positions: npt.NDArray[np.intp],
    total: npt.NDArray[Any],
) -> None:
    """Add to total (lanes, length) the leaves of all trees, for the features columns[positions] (F, n).

    tests (P, W) has the answers of test t in plane_of_test[t]. `lowered` has "depth" d, test numbers level by level of
    the w walked levels, "nodes" (2**w - 1, T), "leaves" (T, 2**d), and (T, 2**d) of the nodes below, node j of level k
    at 2**k + j: "below", test numbers, or their tests themselves (`descent.by_value`).
    """
    depth, nodes, leaves = lowered["depth"], lowered["nodes"], lowered["leaves"]
    levels = len(nodes).bit_length()
    workspace = walk_workspace(tests.shape[1], nodes, total.dtype)
    at_once = max(1, min(len(workspace["index"]), MOST_LEAVES >> depth, NUMBERS_AT_ONCE // total.size))
    shape = (at_once, *total.shape)
    if depth == levels:
        ask_trees = None
    elif "below" in lowered:
        ask_trees = by_plane(lowered, tests, plane_of_test, shape)
    else:
        ask_trees = by_value(lowered, columns, positions, shape)
    for trees, numbers in walked(workspace, tests, plane_of_test, nodes):
        if ask_trees is None:
            add_leaves(workspace, numbers, leaves[trees], total)
            continue
        for first in range(0, numbers.shape[1], at_once):
            some = numbers[:, first : first + at_once].transpose(1, 0, 2)
            batch = np.s_[trees.start + first : trees.start + first + len(some)]
            index = numbered(workspace, some, 1 << depth)
            descend(ask_trees(batch), levels, depth, index)
            add_indexed(workspace, index, leaves[batch], total)
