"""Layout of the leaf-wise kernel: trees of any shape without padding.

Every leaf gets a code so that code(leaf) is the XOR of key(split) over the splits where its rows went right. The tree
is grown split by split: the left part keeps the code, the right part takes an unused one as near to it as there is
(most keys are then a single bit), and the key is the XOR of the two.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import TreeEnsemble

POOL_ROWS = 4096
"""Planes of 6,528 rows that a block of trees may need: 3.3 MB, of which a level reads and writes a small part."""
MOST_TREES = 128
PLANES_AT_ONCE = 300
"""Planes that are XORed by one call of numpy, at least: what a call costs besides is then small."""


def lower_leafwise(model: TreeEnsemble, plane_of_split: npt.NDArray[Any]) -> dict[str, Any]:
    """Blocks of trees that are walked together: "trees" and "bits", of the codes, a block; "leaves", flat: those of a
    block are (trees, 2**bits) by code; "depth", the most bits; and the walk.

    The walk goes through a pool of planes. A level of n splits adds the planes of the rows that go right at each
    split, then of those that go left where a left child is a split. All arrays are in the order of the walk:
    "level_size" and "left_size", one number a level, blocks one after the other, "levels" a block; "test" (S,), the
    splits' tests; "mask" (S,), the pool's plane of the rows that reach a split. The codes' bits, bits * trees of them,
    are XORs of the pool's planes "key_plane": first some planes of each bit, "rank_depth" a block, then as many again
    of those that have more, and so on, "rank_size" bits each time, "ranks" times a block; "key_place" is where a bit
    of a tree then stands. "planes" (3,) are those of the pool, of what is fetched from it at once, and of the bits, at
    most.
    """
    blocks = _blocks(np.diff(model.leaf_start))
    bits = np.array([_bits(model, block) for block in blocks], np.int64)
    key, code = np.zeros(model.n_splits, np.int64), np.zeros(model.n_leaves, np.int64)
    for width in np.unique(bits).tolist():
        trees = np.concatenate([block for block, its in zip(blocks, bits, strict=True) if its == width])
        _set_keys_and_codes(model, trees, width, key, code)
    walks = [
        _walk(model, plane_of_split, key, width, block) for width, block in zip(bits.tolist(), blocks, strict=True)
    ]
    planes = np.max([walk.pop("planes") for walk in walks], axis=0)
    joined = {name: np.concatenate([walk[name] for walk in walks]) for name in walks[0]}
    leaves = [_leaves_by_code(model, code, width, block) for width, block in zip(bits.tolist(), blocks, strict=True)]
    return {
        "kernel": "leafwise",
        "depth": int(bits.max()),
        "trees": np.array([len(block) for block in blocks], np.int32),
        "bits": bits.astype(np.int32),
        "leaves": np.concatenate(leaves),
        "planes": planes,
        **joined,
    }


def _blocks(leaves_of_tree: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Runs of trees that fill the pool; a tree that does not fit has a block of its own."""
    starts, planes = [0], 0
    for tree, leaves in enumerate(leaves_of_tree.tolist()):
        if tree > starts[-1] and (planes + 2 * leaves > POOL_ROWS or tree - starts[-1] == MOST_TREES):
            starts.append(tree)
            planes = 0
        planes += 2 * leaves
    return [np.arange(start, stop) for start, stop in pairwise([*starts, len(leaves_of_tree)])]


def _bits(model: TreeEnsemble, trees: npt.NDArray[np.int64]) -> int:
    most_leaves = int(np.diff(model.leaf_start)[trees].max())
    return max(1, (most_leaves - 1).bit_length())


def _leaves_by_code(
    model: TreeEnsemble, code: npt.NDArray[np.int64], bits: int, trees: npt.NDArray[np.int64]
) -> npt.NDArray[Any]:
    """(trees * 2**bits,) A block's leaf values; codes that no leaf has stand for 0."""
    leaves = np.zeros((len(trees), 1 << bits), model.sum_dtype)
    some = slice(int(model.leaf_start[trees[0]]), int(model.leaf_start[trees[-1] + 1]))
    of_tree = np.repeat(np.arange(len(trees)), np.diff(model.leaf_start)[trees])
    leaves[of_tree, code[some]] = model.leaf_value[some]
    return leaves.reshape(-1)


def _set_keys_and_codes(
    model: TreeEnsemble,
    trees: npt.NDArray[np.int64],
    bits: int,
    key: npt.NDArray[np.int64],
    code: npt.NDArray[np.int64],
) -> None:
    """Set these trees' part of (S,) the splits' keys and (L,) the leaves' codes; the i-th split of all at once."""
    splits_of_tree = np.diff(model.split_start)[trees]
    entering = np.zeros(model.n_splits, np.int64)
    used = np.zeros((len(trees), 1 << bits), np.bool_)
    used[:, 0] = True
    patterns = np.arange(1, 1 << bits)
    patterns = patterns[np.argsort([bin(pattern).count("1") for pattern in patterns], kind="stable")]
    for i in range(int(splits_of_tree.max(initial=0))):
        place = np.flatnonzero(splits_of_tree > i)
        tree = trees[place]
        split = model.split_start[tree] + i
        old = entering[split]
        new = _nearest_unused(used, place, old, patterns, bits)
        used[place, new] = True
        key[split] = old ^ new
        for child, number in ((model.left[split], old), (model.right[split], new)):
            ends = child < 0
            code[model.leaf_start[tree[ends]] + ~child[ends]] = number[ends]
            entering[model.split_start[tree[~ends]] + child[~ends]] = number[~ends]


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
    trees: npt.NDArray[np.int64],
) -> dict[str, npt.NDArray[Any]]:
    """The walk of a block of trees, level by level."""
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
    rank_depth = -(-PLANES_AT_ONCE // (bits * len(trees)))
    key_plane, rank_size, key_place = _key_planes(
        every["right_plane"], key[every["split"]], every["tree"] - trees[0], bits, len(trees), pool, rank_depth
    )
    together = max(size for size, _ in sizes) if sizes else 0
    return {
        "planes": np.array([pool + 1, max(together, int(rank_size[0]) * rank_depth), rank_size[0]], np.int32),
        "levels": np.array([len(sizes)], np.int32),
        "level_size": np.array([size for size, _ in sizes], np.int32),
        "left_size": np.array([lefts for _, lefts in sizes], np.int32),
        "test": plane_of_split[every["split"]],
        "mask": every["mask"].astype(size_type),
        "key_plane": key_plane.astype(size_type),
        "ranks": np.array([len(rank_size)], np.int32),
        "rank_depth": np.array([rank_depth], np.int32),
        "rank_size": rank_size.astype(np.int32),
        "key_place": key_place.astype(np.int32),
    }


def _key_planes(
    plane: npt.NDArray[np.int64],
    key: npt.NDArray[np.int64],
    tree: npt.NDArray[np.int64],
    bits: int,
    trees: int,
    zero: int,
    depth: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(planes, rank_size, place): the planes of the splits that have a bit in their key, as the runtime XORs them.

    A bit has as many planes as it has splits, filled up to a multiple of `depth` with the pool's plane `zero`, which is
    empty. The bits with the most come first: those that have a rank's planes are the first `rank_size`.
    """
    which, bit = np.nonzero((key[:, None] >> np.arange(bits)) & 1)
    segment = bit * trees + tree[which]
    used = np.bincount(segment, minlength=bits * trees)
    size = np.maximum(-(-used // depth), 1) * depth
    fill = np.repeat(np.arange(len(size)), size - used)
    segment = np.concatenate([segment, fill])
    planes = np.concatenate([plane[which], np.full(len(fill), zero)])
    place = np.empty(len(size), np.int64)
    place[np.argsort(-size, kind="stable")] = np.arange(len(size))
    by_place = np.argsort(place[segment], kind="stable")
    most_first = np.sort(size)[::-1]
    within = np.arange(len(planes)) - np.repeat(np.cumsum(most_first) - most_first, most_first)
    rank_size = np.bincount(within // depth) // depth
    return planes[by_place][np.argsort(within, kind="stable")], rank_size, place
