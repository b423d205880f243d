"""Kernel for trees of any shape with few leaves: the splits of a block of trees are walked level by level.

The pool holds the planes "rows that go right" and "rows that go left" of the splits walked so far; a split's own rows
are one of them. Every bit of a leaf's code is the XOR of the "right" planes of the splits that have it in their key.
`bundle_core.lowering.leafwise` makes the walk and describes its arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.leaf_sums import add_leaves, empty_planes, leaf_numbers, leaf_workspace


def sum_leafwise(
    lowered: dict[str, Any],
    tests: npt.NDArray[np.uint64],
    plane_of_test: npt.NDArray[np.intp],
    total: npt.NDArray[Any],
) -> None:
    """Add to total (lanes, length) the leaves of all trees; tests (P, W) has the answers of test t in plane_of_test[t]."""
    depth, block, leaves = lowered["depth"], lowered["block"], lowered["leaves"]
    words = tests.shape[1]
    workspace = leaf_workspace(words, depth, block, total.dtype)
    pool, masks, keys = np.empty((3, 0, words), np.uint64)
    split, level, key = 0, 0, 0
    for number, levels in enumerate(lowered["levels"]):
        sizes = lowered["level_size"][level : level + levels].tolist()
        lefts = lowered["left_size"][level : level + levels].tolist()
        key_size = lowered["key_size"][number].reshape(-1).astype(np.intp)
        splits, planes_needed = sum(sizes), int(key_size.sum())
        pool = _at_least(pool, splits + sum(lefts) + 1)
        masks = _at_least(masks, max(sizes, default=0))
        keys = _at_least(keys, planes_needed)
        walk = np.s_[split : split + splits]
        _walk_levels(
            tests,
            plane_of_test.take(lowered["test"][walk]),
            lowered["mask"][walk].astype(np.intp),
            sizes,
            lefts,
            pool,
            masks,
        )
        planes = empty_planes(workspace, depth, block)
        chosen = lowered["key_plane"][key : key + planes_needed].astype(np.intp)
        pool.take(chosen, axis=0, out=keys[:planes_needed], mode="clip")
        starts = np.cumsum(key_size) - key_size
        out = planes[:depth].reshape(depth * block, words)
        np.bitwise_xor.reduceat(keys[:planes_needed], starts, axis=0, out=out)
        some = leaves[number * block : (number + 1) * block]
        add_leaves(workspace, leaf_numbers(workspace, planes, depth)[:, : len(some)], some, total)
        split, level, key = split + splits, level + int(levels), key + planes_needed


def _at_least(planes: npt.NDArray[np.uint64], count: int) -> npt.NDArray[np.uint64]:
    """(>= count, W) These planes, or new ones if they are too few."""
    return planes if len(planes) >= count else np.empty((count, planes.shape[1]), np.uint64)


def _walk_levels(
    tests: npt.NDArray[np.uint64],
    test: npt.NDArray[np.intp],
    mask: npt.NDArray[np.intp],
    sizes: list[int],
    lefts: list[int],
    pool: npt.NDArray[np.uint64],
    masks: npt.NDArray[np.uint64],
) -> None:
    """Fill the pool with the planes of one block's splits; the plane after the last one is empty."""
    split, plane = 0, 0
    for level in range(len(sizes)):
        size, left = sizes[level], lefts[level]
        right = pool[plane : plane + size]
        tests.take(test[split : split + size], axis=0, out=right, mode="clip")
        goes_left = pool[plane + size : plane + size + left]
        if level == 0:
            np.invert(right[:left], out=goes_left)
        else:
            reached = masks[:size]
            pool.take(mask[split : split + size], axis=0, out=reached, mode="clip")
            np.bitwise_and(reached, right, out=right)
            np.bitwise_xor(reached[:left], right[:left], out=goes_left)
        split, plane = split + size, plane + size + left
    pool[plane] = 0
