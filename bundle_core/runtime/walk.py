"""The upper levels of trees padded to complete ones, walked on bit planes: whole blocks of trees level by level.

At a level, `mask` holds for every node the rows that reach it and `test` those that its test sends right:

    right = mask & test                  rows that go right
    mask of the next level               [mask ^ right, right], so node j's children are j and j + 2**level
    bit `level` of every number          the OR of `right` over the level's nodes
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.leaf_sums import empty_planes, leaf_numbers, leaf_workspace

MASK_WORDS = 104448
"""Masks of the trees that are walked together, in words: 816 KB, under half of a usual second level cache."""
BLOCKS_AT_ONCE = 4


def walk_workspace(words: int, nodes: npt.NDArray[Any], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Arrays for `walked` with these nodes, and for adding leaves of that dtype."""
    levels, trees = len(nodes).bit_length(), nodes.shape[1]
    return leaf_workspace(words, levels, min(BLOCKS_AT_ONCE * _block(words, levels), trees), dtype)


def walked(
    workspace: dict[str, Any],
    tests: npt.NDArray[np.uint64],
    plane_of_test: npt.NDArray[np.intp],
    nodes: npt.NDArray[Any],
) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """Some trees after the others, and (lanes, trees, length): where in the level below `nodes` their rows come to.

    tests (P, W) has the answers of test t in plane_of_test[t]; nodes (2**levels - 1, T) are test numbers. Overwritten
    by the next trees'.
    """
    levels, trees, words = len(nodes).bit_length(), nodes.shape[1], tests.shape[1]
    block = min(_block(words, levels), trees)
    masks = np.empty((2, block * words << max(0, levels - 1)), np.uint64)
    for start in range(0, trees, BLOCKS_AT_ONCE * block):
        some = slice(start, min(trees, start + BLOCKS_AT_ONCE * block))
        planes = empty_planes(workspace, levels, some.stop - start)
        top = plane_of_test.take(nodes[:, some])
        for first in range(0, some.stop - start, block):
            together = np.s_[first : first + block]
            _walk_block(tests, top[:, together], levels, masks, planes[:levels, together])
        yield some, leaf_numbers(workspace, planes, levels)


def _block(words: int, levels: int) -> int:
    return max(1, MASK_WORDS // (words << levels))


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
