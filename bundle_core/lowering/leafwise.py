"""Layout of the leaf-wise kernel: trees of any shape without padding.

Every leaf gets a code so that code(leaf) is the XOR of key(split) over the splits where its rows went right. The tree
is grown split by split: the left part keeps the code, the right part takes an unused one as near to it as there is
(most keys are then a single bit), and the key is the XOR of the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import TreeEnsemble

POOL_ROWS = 2048
"""Planes of 6,528 rows that a block of trees may need: 1.7 MB, about a second level cache."""


def lower_leafwise(model: TreeEnsemble, plane_of_split: npt.NDArray[Any]) -> dict[str, Any]:
    """ "depth" c: bits of the codes; "leaves" (T, 2**c) by code; "block": trees that are walked together; and the walk.

    The walk goes through a pool of planes. A level of n splits adds the planes of the rows that go right at each
    split, then of those that go left where a left child is a split. All arrays are in the order of the walk:
    "level_size" and "left_size", one number a level, blocks one after the other, "levels" a block; "test" (S,), the
    splits' tests; "mask" (S,), the pool's plane of the rows that reach a split. The bits of all trees, c times block,
    are XORs of the pool's planes "key_plane": first one plane of each, then a second one of those that have more, and
    so on, "rank_size" each time, "ranks" times a block; "key_place" (blocks, c * block) is where a bit then stands.
    """
    most_leaves = int(np.diff(model.leaf_start).max(initial=2))
    bits = max(1, (most_leaves - 1).bit_length())
    key, code = _keys_and_codes(model, bits)
    leaves = np.zeros((model.n_trees, 1 << bits), model.sum_dtype)
    leaves[np.repeat(np.arange(model.n_trees), np.diff(model.leaf_start)), code] = model.leaf_value
    block = max(1, min(model.n_trees, POOL_ROWS // (2 * most_leaves)))
    walks = [_walk(model, plane_of_split, key, bits, start, block) for start in range(0, model.n_trees, block)]
    joined = {name: np.concatenate([walk[name] for walk in walks]) for name in walks[0]}
    return {"kernel": "leafwise", "depth": bits, "block": block, "leaves": leaves, **joined}


def _keys_and_codes(model: TreeEnsemble, bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(S,) the splits' keys and (L,) the leaves' codes; the i-th split of all trees at the same time."""
    splits_of_tree = np.diff(model.split_start)
    key = np.zeros(model.n_splits, np.int64)
    entering = np.zeros(model.n_splits, np.int64)
    code = np.zeros(model.n_leaves, np.int64)
    used = np.zeros((model.n_trees, 1 << bits), np.bool_)
    used[:, 0] = True
    patterns = np.arange(1, 1 << bits)
    patterns = patterns[np.argsort([bin(pattern).count("1") for pattern in patterns], kind="stable")]
    for i in range(int(splits_of_tree.max(initial=0))):
        tree = np.flatnonzero(splits_of_tree > i)
        split = model.split_start[tree] + i
        old = entering[split]
        new = _nearest_unused(used, tree, old, patterns, bits)
        used[tree, new] = True
        key[split] = old ^ new
        for child, number in ((model.left[split], old), (model.right[split], new)):
            ends = child < 0
            code[model.leaf_start[tree[ends]] + ~child[ends]] = number[ends]
            entering[model.split_start[tree[~ends]] + child[~ends]] = number[~ends]
    return key, code


def _nearest_unused(
    used: npt.NDArray[np.bool_],
    tree: npt.NDArray[np.int64],
    old: npt.NDArray[np.int64],
    patterns: npt.NDArray[np.int64],
    bits: int,
) -> npt.NDArray[np.int64]:
    """(len(tree),) For each tree the unused code that differs from `old` in the fewest bits."""
    new = np.empty_like(old)
    open_ = np.arange(len(tree))
    # Most find one that differs in a single bit; only the others look through all.
    for some in (patterns[:bits], patterns):
        candidates = old[open_, None] ^ some
        free = ~used[tree[open_, None], candidates]
        first = free.argmax(axis=1)
        new[open_] = candidates[np.arange(len(open_)), first]
        open_ = open_[~free.any(axis=1)]
        if not len(open_):
            break
    return new


def _walk(
    model: TreeEnsemble,
    plane_of_split: npt.NDArray[Any],
    key: npt.NDArray[np.int64],
    bits: int,
    start: int,
    block: int,
) -> dict[str, npt.NDArray[Any]]:
    """The walk of the trees from `start` on, level by level; a block's missing trees at the end have no splits."""
    trees = np.arange(start, min(start + block, model.n_trees))
    tree = trees[np.diff(model.split_start)[trees] > 0]
    split = model.split_start[tree]
    mask = np.zeros(len(split), np.int64)
    walked: dict[str, list[Any]] = {name: [] for name in ("split", "mask", "tree", "right_plane")}
    sizes: list[tuple[int, int]] = []
    pool = 0
    while len(split):
        # Splits whose left child is a split come first: only they need the plane of the rows that go left.
        order = np.argsort(model.left[split] < 0, kind="stable")
        tree, split, mask = tree[order], split[order], mask[order]
        lefts = int(np.count_nonzero(model.left[split] >= 0))
        size = len(split)
        sizes.append((size, lefts))
        right_plane = pool + np.arange(size)
        for name, values in (("split", split), ("mask", mask), ("tree", tree), ("right_plane", right_plane)):
            walked[name].append(values)
        goes_on = model.right[split] >= 0
        children = np.concatenate([model.left[split[:lefts]], model.right[split[goes_on]]])
        mask = np.concatenate([pool + size + np.arange(lefts), right_plane[goes_on]])
        tree = np.concatenate([tree[:lefts], tree[goes_on]])
        split = model.split_start[tree] + children
        pool += size + lefts
    every = {name: np.concatenate(parts) if parts else np.zeros(0, np.int64) for name, parts in walked.items()}
    size_type = np.uint16 if pool < 0xFFFF else np.uint32
    key_plane, rank_size, key_place = _key_planes(
        every["right_plane"], key[every["split"]], every["tree"] - start, bits, block, pool
    )
    return {
        "levels": np.array([len(sizes)], np.int32),
        "level_size": np.array([size for size, _ in sizes], np.int32),
        "left_size": np.array([lefts for _, lefts in sizes], np.int32),
        "test": plane_of_split[every["split"]],
        "mask": every["mask"].astype(size_type),
        "key_plane": key_plane.astype(size_type),
        "ranks": np.array([len(rank_size)], np.int32),
        "rank_size": rank_size.astype(np.int32),
        "key_place": key_place.astype(np.int32)[None],
    }


def _key_planes(
    plane: npt.NDArray[np.int64],
    key: npt.NDArray[np.int64],
    tree: npt.NDArray[np.int64],
    bits: int,
    block: int,
    zero: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(planes, rank_size, place): the planes of the splits that have a bit in their key, as the runtime XORs them.

    A bit that no split of a tree has is the pool's plane `zero`, which is empty.
    """
    which, bit = np.nonzero((key[:, None] >> np.arange(bits)) & 1)
    segment = bit * block + tree[which]
    empty = np.flatnonzero(np.bincount(segment, minlength=bits * block) == 0)
    segment = np.concatenate([segment, empty])
    planes = np.concatenate([plane[which], np.full(len(empty), zero)])
    size = np.bincount(segment, minlength=bits * block)
    place = np.empty(len(size), np.int64)
    place[np.argsort(-size, kind="stable")] = np.arange(len(size))
    by_place = np.argsort(place[segment], kind="stable")
    longest_first = np.sort(size)[::-1]
    rank = np.arange(len(planes)) - np.repeat(np.cumsum(longest_first) - longest_first, longest_first)
    return planes[by_place][np.argsort(rank, kind="stable")], np.bincount(rank), place
