"""Kernel for trees of any shape and size: every row fetches its own node's test, level by level, tree by tree.

The upper levels are walked on bit planes before, as those of the complete kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.leaf_sums import numbered, rows_of_numbers
from bundle_core.runtime.linear_leaves import linear_values
from bundle_core.runtime.split_tests import (
    comparison_dtype,
    number_of_tests,
    pack_tests,
    rounded_down,
    values_to_compare,
)
from bundle_core.runtime.walk import walk_workspace, walked

PATHS_AT_ONCE = 2 * 6528
"""Rows times trees that go down together: few rows go down several trees at once, which spreads numpy's overhead."""
NODES_AT_ONCE = 300_000
"""Nodes of these trees in all: they take 40 bytes each while they are walked."""
LEVELS_BETWEEN_CHECKS = 4
"""After so many levels, paths that have arrived are set aside if they are a quarter of all."""


def sum_gather(
    lowered: dict[str, Any],
    columns: npt.NDArray[Any],
    positions: npt.NDArray[np.intp],
    total: npt.NDArray[Any],
) -> None:
    """Add to total (lanes, length) the leaves of all trees, for the features columns[positions] (F, n).

    `lowered` is as `bundle_core.lowering.gather` describes it.
    """
    values, place_of_column = _values_by_column(lowered, columns, positions)
    cut = rounded_down(lowered["cut"], values.dtype.type)
    has_nan = bool(lowered["nan_right"].any()) and bool(np.isnan(values).any())
    row = rows_of_numbers(total.shape, columns.shape[1])
    starts = lowered["node_start"]
    split = 0
    for first, entry, entered in _entered(lowered, columns, positions, total):
        roots = starts[first : first + len(entry) + 1]
        link = lowered["link"][roots[0] : roots[-1]]
        splits_before = np.cumsum(link >= 0)
        some = slice(split, split + int(splits_before[-1]))
        split = some.stop
        arrived = (entry + (roots[:-1] - roots[0])[:, None]).take(entered.reshape(-1))
        if some.start < split:
            # Of a split its own number; what a leaf gets does not count.
            number = splits_before - 1
            nodes = _unpacked(link, roots - roots[0], number, place_of_column.take(lowered["column"][some]), cut[some])
            if has_nan:
                nodes["nan_right"] = lowered["nan_right"][some].take(number, mode="wrap") & nodes["is_split"]
            arrived = _arrival(nodes, arrived, values.reshape(-1), np.tile(row.reshape(-1), len(entered)))
        leaf = arrived - splits_before.take(arrived) + (int(roots[0]) - some.start)
        for of_tree in leaf.reshape(entered.shape):
            total += _leaf_values(lowered, of_tree, row, columns, positions)


def _entered(
    lowered: dict[str, Any],
    columns: npt.NDArray[Any],
    positions: npt.NDArray[np.intp],
    total: npt.NDArray[Any],
) -> Iterator[tuple[int, npt.NDArray[Any], npt.NDArray[np.intp]]]:
    """The first of some trees, their "entry" (trees, 2**w), and (trees, lanes, length) where in it the rows come to."""
    starts = lowered["node_start"]
    nodes_of_tree = max(1, int(starts[-1]) // max(1, len(starts) - 1))
    at_once = max(1, min(PATHS_AT_ONCE // total.size, NODES_AT_ONCE // nodes_of_tree))
    first = 0
    for group in lowered["groups"]:
        planes, plane_of_test = pack_tests(group["tests"], columns, positions, lowered["input_dtype"])
        workspace = walk_workspace(planes.shape[1], group["nodes"], total.dtype)
        at_once = min(at_once, len(workspace["index"]))
        for trees, numbers in walked(workspace, planes, plane_of_test, group["nodes"]):
            entry = group["entry"][trees]
            for begin in range(0, len(entry), at_once):
                some = np.s_[begin : begin + at_once]
                index = numbered(workspace, numbers[:, some].transpose(1, 0, 2), entry.shape[1])
                yield first + begin, entry[some], index
            first += len(entry)


def _leaf_values(
    lowered: dict[str, Any],
    leaf: npt.NDArray[np.intp],
    row: npt.NDArray[np.intp],
    columns: npt.NDArray[Any],
    positions: npt.NDArray[np.intp],
) -> npt.NDArray[Any]:
    """(lanes, length) The values of the leaves that the rows arrived at."""
    values = lowered["leaves"].take(leaf)
    if "linear" in lowered:
        number = lowered["leaf_number"][leaf.reshape(-1)]
        linear = linear_values(lowered["linear"], number, values.reshape(-1), row.reshape(-1), columns, positions)
        return linear.reshape(leaf.shape)
    return values


def _values_by_column(
    lowered: dict[str, Any], columns: npt.NDArray[Any], positions: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """(values (any, n), place_of_column): what the nodes compare with their cuts, and where in it a column begins.

    The columns are the F features and the special tests, 1 where one says right.
    """
    special = lowered["special_tests"]
    dtype = comparison_dtype(columns.dtype, lowered["input_dtype"])
    if not number_of_tests(special):
        return values_to_compare(columns, positions, dtype)
    features, rows = len(positions), columns.shape[1]
    values = np.empty((features + number_of_tests(special), rows), dtype)
    values[:features] = columns[positions]
    planes, _ = pack_tests(special, columns, positions, lowered["input_dtype"])
    values[features:] = np.unpackbits(planes[1:].view(np.uint8), axis=1, count=rows, bitorder="little")
    return values, np.arange(len(values)) * rows


def _unpacked(
    link: npt.NDArray[np.int32],
    tree_start: npt.NDArray[np.int64],
    number: npt.NDArray[np.intp],
    offset: npt.NDArray[np.intp],
    cut: npt.NDArray[Any],
) -> dict[str, Any]:
    """Some trees' nodes, with each split's `number`; a leaf is its own child, and no comparison sends a row past it.

    A split's value of a row is at `offset` + row.
    A split's children come after it.
    """
    is_split = link >= 0
    child = link if len(tree_start) == 2 else link + np.repeat(tree_start[:-1], np.diff(tree_start))
    # Without np.where, whose branches a processor cannot foresee: maxima do the same.
    at_least = np.array([np.inf, -np.inf], cut.dtype).take(is_split)
    return {
        "child": np.maximum(child, np.arange(len(link))),
        "offset": offset.take(number, mode="wrap"),
        "cut": np.maximum(cut.take(number, mode="wrap"), at_least),
        "is_split": is_split,
    }


def _arrival(
    nodes: dict[str, Any], node: npt.NDArray[np.intp], values: npt.NDArray[Any], row: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """(paths,) The leaf's node where each path ends that begins at `node`, of these rows."""
    arrived = np.empty(len(node), np.intp)
    path = np.arange(len(node))
    levels = 0
    while True:
        if levels % LEVELS_BETWEEN_CHECKS == 0:
            going = np.flatnonzero(nodes["is_split"].take(node))
            if len(going) < 0.75 * len(path):
                arrived[path] = node
                path, row, node = path.take(going), row.take(going), node.take(going)
            if not len(going):
                return arrived
        place = nodes["offset"].take(node, mode="wrap")
        np.add(place, row, out=place)
        x = values.take(place, mode="wrap")
        right = x > nodes["cut"].take(node, mode="wrap")
        if "nan_right" in nodes:
            right |= np.isnan(x) & nodes["nan_right"].take(node, mode="wrap")
        node = nodes["child"].take(node, mode="wrap")
        np.add(node, right, out=node)
        levels += 1
