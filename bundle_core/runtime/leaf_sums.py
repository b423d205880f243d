"""Leaf numbers as bit planes -> leaf values, added in tree order in the ensemble's own dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.bits import transpose_planes

TREES_AT_ONCE = 8
"""Trees of 6,528 rows whose leaf values are fetched before they are added; of fewer rows, more trees."""
MOST_TREES_AT_ONCE = 64
MOST_LEAVES = 1 << 16
"""Of the trees whose leaves are numbered together: the numbers take two bytes."""
FEW_ROWS = 2048
"""Up to here the leaf values of several trees are fetched by one call of numpy."""


def leaf_workspace(words: int, depth: int, trees: int, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Arrays that `add_leaves` works in: for up to `trees` trees of up to 2**depth leaves, and 64 * words rows."""
    lanes = 8 if depth <= 8 else 16
    length = words * 64 // lanes
    at_once = max(TREES_AT_ONCE, min(MOST_TREES_AT_ONCE, TREES_AT_ONCE * 102 // max(1, words)))
    return {
        "lanes": lanes,
        "planes": np.zeros(lanes * trees * words, np.uint64),
        "scratch": np.empty(lanes // 2 * trees * words, np.uint64),
        "index": np.empty((at_once, lanes, length), np.intp),
        "values": np.empty((at_once + 1, lanes, length), dtype),
    }


def empty_planes(workspace: dict[str, Any], depth: int, trees: int) -> npt.NDArray[np.uint64]:
    """(lanes, trees, W) planes to be filled up to `depth`; the rest is zero."""
    lanes = workspace["lanes"]
    words = workspace["index"].shape[2] * lanes // 64
    planes = workspace["planes"][: lanes * trees * words].reshape(lanes, trees, words)
    planes[depth:] = 0
    return planes


def leaf_numbers(workspace: dict[str, Any], planes: npt.NDArray[np.uint64], depth: int) -> npt.NDArray[Any]:
    """(lanes, trees, W) planes -> (lanes, trees, length) uint8 or uint16: the numbers whose bits the planes are."""
    lanes, trees, _ = planes.shape
    transpose_planes(planes.reshape(lanes, -1), depth, workspace["scratch"])
    return planes.view(np.uint8 if lanes == 8 else np.uint16).reshape(lanes, trees, -1)


def rows_of_numbers(shape: tuple[int, ...], rows: int) -> npt.NDArray[np.intp]:
    """(lanes, length) The row whose number stands there; the last one's for those beyond, as there are up to 63."""
    lanes, length = shape
    return np.minimum(np.arange(length) * lanes + np.arange(lanes)[:, None], rows - 1)


def add_leaves(
    workspace: dict[str, Any],
    numbers: npt.NDArray[Any],
    leaves: npt.NDArray[Any],
    total: npt.NDArray[Any],
) -> None:
    """total (lanes, length) += leaves[t][numbers[:, t]], one tree after the other; leaves is (trees, leaves)."""
    at_once = len(workspace["index"])
    for start in range(0, numbers.shape[1], at_once):
        some = numbers[:, start : start + at_once].transpose(1, 0, 2)
        of_trees = leaves[start : start + len(some)]
        if total.size <= FEW_ROWS and of_trees.size <= MOST_LEAVES:
            add_indexed(workspace, numbered(workspace, some, of_trees.shape[1]), of_trees, total)
            continue
        index, values = workspace["index"][: len(some)], workspace["values"][: len(some) + 1]
        np.copyto(index, some)
        values[0] = total
        for of_tree, leaf, value in zip(of_trees, index, values[1:], strict=True):
            fetch(of_tree, leaf, value)
        np.add.reduce(values, axis=0, out=total)


def numbered(workspace: dict[str, Any], numbers: npt.NDArray[Any], size: int) -> npt.NDArray[np.intp]:
    """(trees, lanes, length) The numbers within trees of `size` as numbers in all of these, at most MOST_LEAVES."""
    index = workspace["index"][: len(numbers)]
    first = np.arange(0, len(numbers) * size, size, dtype=np.uint16)
    np.copyto(index, numbers + first[:, None, None])
    return index


def add_indexed(
    workspace: dict[str, Any],
    index: npt.NDArray[np.intp],
    leaves: npt.NDArray[Any],
    total: npt.NDArray[Any],
) -> None:
    """total += leaves.flat[index[t]] one tree after the other: add.reduce over the first axis adds in its order."""
    values = workspace["values"][: len(index) + 1]
    values[0] = total
    fetch(leaves, index, values[1:])
    np.add.reduce(values, axis=0, out=total)


def fetch(table: npt.NDArray[Any], index: npt.NDArray[np.intp], out: npt.NDArray[Any]) -> None:
    """out becomes table.flat[index]."""
    # mode="wrap" spares numpy a check of the indices, which are in range.
    table.reshape(-1).take(index, out=out, mode="wrap")
