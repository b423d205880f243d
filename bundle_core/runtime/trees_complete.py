"""Kernel for trees padded to complete ones: whole blocks of trees are walked level by level on bit planes.

At a level, `mask` holds for every node the rows that reach it and `test` those that its test sends right:

    right = mask & test                  rows that go right
    mask of the next level               [mask ^ right, right], so node j's children are j and j + 2**level
    bit `level` of every leaf number     the OR of `right` over the level's nodes

Below WALKED_LEVELS a level has more nodes than it pays to walk; there each row fetches the bit of its own node's test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.leaf_sums import add_indexed, add_leaves, empty_planes, leaf_numbers, leaf_workspace

WALKED_LEVELS = 7
MASK_WORDS = 104448
"""Masks of the trees that are walked together, in words: 816 KB, under half of a usual second level cache."""
BLOCKS_AT_ONCE = 4


def sum_complete(
    lowered: dict[str, Any],
    tests: npt.NDArray[np.uint64],
    plane_of_test: npt.NDArray[np.intp],
    total: npt.NDArray[Any],
) -> None:
    """Add to total (lanes, length) the leaves of all trees.

    tests (P, W) has the answers of test t in plane_of_test[t]. `lowered` has "depth" d, test numbers level by level,
    "nodes" (2**walked - 1, T) and from the level `walked` on "below" (T, 2**d - 2**walked), and "leaves" (T, 2**d).
    """
    depth, nodes, leaves = lowered["depth"], lowered["nodes"], lowered["leaves"]
    walked = min(depth, WALKED_LEVELS)
    words, trees = tests.shape[1], nodes.shape[1]
    block = max(1, min(trees, MASK_WORDS // (words << walked)))
    several = block * BLOCKS_AT_ONCE
    workspace = leaf_workspace(words, depth, min(several, trees), total.dtype)
    masks = np.empty((2, block * words << max(0, walked - 1)), np.uint64)
    descent = _descent_workspace(tests, workspace["index"]) if depth > walked else {}
    byte_of_test = plane_of_test * (8 * words)
    at_once = len(workspace["index"])
    for start in range(0, trees, several):
        stop = min(trees, start + several)
        planes = empty_planes(workspace, walked, stop - start)
        top = plane_of_test.take(nodes[:, start:stop])
        for first in range(0, stop - start, block):
            some = np.s_[first : first + block]
            _walk_block(tests, top[:, some], walked, masks, planes[:walked, some])
        numbers = leaf_numbers(workspace, planes, walked)
        if depth == walked:
            add_leaves(workspace, numbers, leaves[start:stop], total)
            continue
        for first in range(0, stop - start, at_once):
            some = numbers[:, first : first + at_once].transpose(1, 0, 2)
            index = workspace["index"][: len(some)]
            np.copyto(index, some)
            batch = np.s_[start + first : start + first + len(some)]
            _descend(descent, byte_of_test.take(lowered["below"][batch]), walked, depth, index)
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


def _descent_workspace(tests: npt.NDArray[np.uint64], index: npt.NDArray[np.intp]) -> dict[str, npt.NDArray[Any]]:
    """Where each row's bit is in a plane, and arrays to work in; index is (trees, lanes, length)."""
    lanes, length = index.shape[1:]
    lane = np.arange(lanes)
    return {
        "bytes": tests.view(np.uint8).reshape(-1),
        "byte_of_row": np.arange(length) * (lanes // 8) + (lane >> 3)[:, None],
        "bit_of_row": np.broadcast_to((1 << (lane & 7)).astype(np.uint8)[:, None], (lanes, length)).copy(),
        "address": np.empty_like(index),
        "bit": np.empty(index.shape, np.uint8),
        "step": np.empty(index.shape, np.uint16),
        "number": np.empty(index.shape, np.uint16),
    }


def _descend(
    workspace: dict[str, npt.NDArray[Any]],
    nodes: npt.NDArray[np.intp],
    level: int,
    depth: int,
    index: npt.NDArray[np.intp],
) -> None:
    """index (trees, lanes, length): the nodes' numbers in `level` become the leaves', in place.

    `nodes` (trees, 2**depth - 2**level): where the plane of each node's test begins in workspace["bytes"].
    """
    trees = len(index)
    address, bit = workspace["address"][:trees], workspace["bit"][:trees]
    step, number = workspace["step"][:trees], workspace["number"][:trees]
    np.copyto(number, index, casting="unsafe")
    for below in range(level, depth):
        first = (1 << below) - (1 << level)
        for of_tree, at, place in zip(nodes[:, first : first + (1 << below)], index, address, strict=True):
            of_tree.take(at, out=place, mode="wrap")
        np.add(address, workspace["byte_of_row"], out=address)
        workspace["bytes"].take(address, out=bit, mode="wrap")
        np.bitwise_and(bit, workspace["bit_of_row"], out=bit)
        np.not_equal(bit, 0, out=bit.view(np.bool_))
        np.copyto(step, bit)
        np.left_shift(step, below, out=step)
        np.bitwise_or(number, step, out=number)
        np.copyto(index, number)
