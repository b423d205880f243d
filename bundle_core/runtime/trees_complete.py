"""Kernel for trees padded to complete ones: whole blocks of trees are walked level by level on bit planes.

At a level, `mask` holds for every node the rows that reach it and `test` those that its test sends right:

    right = mask & test                  rows that go right
    mask of the next level               [mask ^ right, right], so node j's children are j and j + 2**level
    bit `level` of every leaf number     the OR of `right` over the level's nodes

Below them a level has more nodes than it pays to walk; there each row goes on from its own node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.descent import by_plane, by_value, descend
from bundle_core.runtime.leaf_sums import (
    MOST_LEAVES,
    add_indexed,
    add_leaves,
    empty_planes,
    leaf_numbers,
    leaf_workspace,
    numbered,
)

MASK_WORDS = 104448
"""Masks of the trees that are walked together, in words: 816 KB, under half of a usual second level cache."""
BLOCKS_AT_ONCE = 4
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
    walked = len(nodes).bit_length()
    words, trees = tests.shape[1], nodes.shape[1]
    block = max(1, min(trees, MASK_WORDS // (words << walked)))
    several = block * BLOCKS_AT_ONCE
    workspace = leaf_workspace(words, walked, min(several, trees), total.dtype)
    masks = np.empty((2, block * words << max(0, walked - 1)), np.uint64)
    at_once = max(1, min(len(workspace["index"]), MOST_LEAVES >> depth, NUMBERS_AT_ONCE // total.size))
    shape = (at_once, *workspace["index"].shape[1:])
    if depth == walked:
        ask_trees = None
    elif "below" in lowered:
        ask_trees = by_plane(lowered, tests, plane_of_test, shape)
    else:
        ask_trees = by_value(lowered, columns, positions, shape)
    for start in range(0, trees, several):
        stop = min(trees, start + several)
        planes = empty_planes(workspace, walked, stop - start)
        top = plane_of_test.take(nodes[:, start:stop])
        for first in range(0, stop - start, block):
            some = np.s_[first : first + block]
            _walk_block(tests, top[:, some], walked, masks, planes[:walked, some])
        numbers = leaf_numbers(workspace, planes, walked)
        if ask_trees is None:
            add_leaves(workspace, numbers, leaves[start:stop], total)
            continue
        for first in range(0, stop - start, at_once):
            some = numbers[:, first : first + at_once].transpose(1, 0, 2)
            batch = np.s_[start + first : start + first + len(some)]
            index = numbered(workspace, some, 1 << depth)
            descend(ask_trees(batch), walked, depth, index)
            add_indexed(workspace, index, leaves[batch], total)


def _walk_block(
    tests: npt.NDArray[np.uint64],
    nodes: npt.NDArray[np.intp],
    levels: int,
    masks: npt.NDArray[np.uint64],
    planes: npt.NDArray[np.uint64],
) -> None:
    """nodes (2**levels - 1, trees) -> planes (levels, trees, W): the bits of the number of the node below."""
    trees, words = nodes.shape[1], tests.shape[1]
    half = 1 << max(0, levels - 1)
    mask, right = masks[:, : half * trees * words].reshape(2, half, trees, words)
    for level in range(levels):
        width = 1 << level
        test = right[:width]
        tests.take(nodes[width - 1 : 2 * width - 1], axis=0, out=test, mode="clip")
        if level == 0:
            planes[0] = test[0]
            if levels > 1:
                mask[1] = test[0]
                np.invert(test[0], out=mask[0])
            continue
        if level == levels - 1:
            goes_right = np.bitwise_and(mask[:width], test, out=test)
        else:
            goes_right = np.bitwise_and(mask[:width], test, out=mask[width : 2 * width])
            np.bitwise_xor(mask[:width], goes_right, out=mask[:width])
        np.bitwise_or.reduce(goes_right, axis=0, out=planes[level])
