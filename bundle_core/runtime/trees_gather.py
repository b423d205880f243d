"""Kernel for trees of any shape and size: every row fetches its own node's test, level by level, tree by tree."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.bits import by_column
from bundle_core.runtime.linear_leaves import linear_values
from bundle_core.runtime.split_tests import comparison_dtype, pack_tests, rounded_down

PATHS_AT_ONCE = 6528
"""Rows times trees that go down together: few rows go down several trees at once, which spreads numpy's overhead."""
NODES_AT_ONCE = 300_000
"""Nodes of these trees in all: they take 40 bytes each while they are walked."""
LEVELS_BETWEEN_CHECKS = 4
"""After so many levels, paths that have arrived are set aside if they are a quarter of all."""


def gather_scores(lowered: dict[str, Any], X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """X (n, F) -> (n,) start + the leaves of all trees."""
    values = _values_by_column(lowered, X)
    rows = len(X)
    cut = rounded_down(lowered["cut"], values.dtype.type)
    has_nan = bool(lowered["nan_right"].any()) and bool(np.isnan(values).any())
    total = np.full(rows, lowered["start"], lowered["sum_dtype"])
    starts = lowered["node_start"]
    nodes_of_tree = max(1, int(starts[-1]) // max(1, len(starts) - 1))
    trees = max(1, min(PATHS_AT_ONCE // rows, NODES_AT_ONCE // nodes_of_tree))
    split = 0
    for tree in range(0, len(starts) - 1, trees):
        roots = starts[tree : tree + trees + 1]
        link = lowered["link"][roots[0] : roots[-1]]
        splits_before = np.cumsum(link >= 0)
        some = slice(split, split + int(splits_before[-1]))
        split = some.stop
        arrived = (roots[:-1] - roots[0]).repeat(rows)
        if some.start < split:
            # Of a split its own number; what a leaf gets does not count.
            number = splits_before - 1
            nodes = _unpacked(link, roots - roots[0], number, lowered["column"][some], cut[some], rows)
            if has_nan:
                nodes["nan_right"] = lowered["nan_right"][some].take(number, mode="wrap") & nodes["is_split"]
            arrived = _arrival(nodes, arrived, values.reshape(-1), rows)
        leaf = arrived - splits_before.take(arrived) + (int(roots[0]) - some.start)
        for of_tree in leaf.reshape(-1, rows):
            total += _leaf_values(lowered, of_tree, X)
    return total


def _leaf_values(lowered: dict[str, Any], leaf: npt.NDArray[np.intp], X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(n,) The values of the leaves that the rows arrived at."""
    values = lowered["leaves"].take(leaf)
    if "linear" in lowered:
        return linear_values(lowered["linear"], lowered["leaf_number"][leaf], values, X)
    return values


def _values_by_column(lowered: dict[str, Any], X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(F + special tests, n): what the nodes compare with their cuts; a special test is 1 where it says right."""
    special = lowered["special_tests"]
    columns = by_column(X)
    features, rows = columns.shape
    specials = len(special["flags"]) + len(special["set_flags"])
    values = np.empty((features + specials, rows), comparison_dtype(columns.dtype, lowered["input_dtype"]))
    with np.errstate(over="ignore"):
        values[:features] = columns
    if specials:
        planes, _ = pack_tests(special, columns, np.arange(features), lowered["input_dtype"])
        values[features:] = np.unpackbits(planes[1:].view(np.uint8), axis=1, count=rows, bitorder="little")
    return values


def _unpacked(
    link: npt.NDArray[np.int32],
    tree_start: npt.NDArray[np.int64],
    number: npt.NDArray[np.intp],
    column: npt.NDArray[Any],
    cut: npt.NDArray[Any],
    rows: int,
) -> dict[str, Any]:
    """Some trees' nodes, with each split's `number`; a leaf is its own child, and no comparison sends a row past it.

    A split's children come after it.
    """
    is_split = link >= 0
    child = link + np.repeat(tree_start[:-1], np.diff(tree_start))
    # Without np.where, whose branches a processor cannot foresee: maxima do the same.
    at_least = np.array([np.inf, -np.inf], cut.dtype).take(is_split)
    return {
        "child": np.maximum(child, np.arange(len(link))),
        "offset": (column.astype(np.intp) * rows).take(number, mode="wrap"),
        "cut": np.maximum(cut.take(number, mode="wrap"), at_least),
        "is_split": is_split,
    }


def _arrival(
    nodes: dict[str, Any], node: npt.NDArray[np.intp], values: npt.NDArray[Any], rows: int
) -> npt.NDArray[np.intp]:
    """(paths,) The leaf's node where each path ends that begins at `node`; path i is that of row i % rows."""
    arrived = np.empty(len(node), np.intp)
    path = np.arange(len(node))
    row = path % rows
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
