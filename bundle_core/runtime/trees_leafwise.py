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
    """Add to total (lanes, length) the leaves of all trees.

    tests (P, W) has the answers of test t in plane_of_test[t].
    """
    words = tests.shape[1]
    workspace = leaf_workspace(words, lowered["depth"], int(lowered["trees"].max()), total.dtype)
    pool, masks, keys = (np.empty((count, words), np.uint64) for count in lowered["planes"].tolist())
    split, level, key, rank, place, leaf = 0, 0, 0, 0, 0, 0
    for number, (trees, bits) in enumerate(zip(lowered["trees"].tolist(), lowered["bits"].tolist(), strict=True)):
        levels, ranks = int(lowered["levels"][number]), int(lowered["ranks"][number])
        sizes = lowered["level_size"][level : level + levels].tolist()
        lefts = lowered["left_size"][level : level + levels].tolist()
        rank_sizes, rank_depth = lowered["rank_size"][rank : rank + ranks].tolist(), int(lowered["rank_depth"][number])
        splits, planes_needed = sum(sizes), sum(rank_sizes) * rank_depth
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
        chosen = lowered["key_plane"][key : key + planes_needed].astype(np.intp)
        _exclusive_or(pool, chosen, rank_sizes, rank_depth, masks, keys)
        planes = empty_planes(workspace, bits, trees)
        out = planes[:bits].reshape(bits * trees, words)
        keys.take(lowered["key_place"][place : place + bits * trees], axis=0, out=out, mode="clip")
        some = lowered["leaves"][leaf : leaf + (trees << bits)].reshape(trees, -1)
        add_leaves(workspace, leaf_numbers(workspace, planes, bits), some, total)
        split, level, rank = split + splits, level + levels, rank + ranks
        key, place, leaf = key + planes_needed, place + bits * trees, leaf + (trees << bits)


def _exclusive_or(
    pool: npt.NDArray[np.uint64],
    chosen: npt.NDArray[np.intp],
    sizes: list[int],
    depth: int,
    more: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint64],
) -> None:
    """keys[i] becomes the XOR of the pool's planes chosen for it: `depth` in each run that is longer than i."""
    first = 0
    for size in sizes:
        taken = more[: depth * size]
        pool.take(chosen[first : first + depth * size], axis=0, out=taken, mode="clip")
        together = taken if depth == 1 else np.bitwise_xor.reduce(taken.reshape(depth, size, -1), axis=0)
        if first:
            np.bitwise_xor(keys[:size], together, out=keys[:size])
        else:
            keys[:size] = together
        first += depth * size


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
