"""Kernel for trees of any shape and size: every row fetches its own node's test, level by level, tree by tree."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.bits import by_column
from bundle_core.runtime.linear_leaves import linear_values
from bundle_core.runtime.split_tests import comparison_dtype, pack_tests, rounded_down

LEVELS_BETWEEN_CHECKS = 4
"""After so many levels, rows that have arrived are set aside if they are a quarter of all."""


def gather_scores(lowered: dict[str, Any], X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """X (n, F) -> (n,) start + the leaves of all trees."""
    values = _values_by_column(lowered, X)
    cut = rounded_down(lowered["cut"], values.dtype.type)
    has_nan = bool(lowered["nan_right"].any()) and bool(np.isnan(values).any())
    total = np.full(len(X), lowered["start"], lowered["sum_dtype"])
    starts = lowered["node_start"]
    split, leaf = 0, 0
    for tree in range(len(starts) - 1):
        link = lowered["link"][starts[tree] : starts[tree + 1]]
        is_split = link >= 0
        splits = int(np.count_nonzero(is_split))
        some = np.s_[split : split + splits]
        nodes = _unpacked(link, is_split, lowered["column"][some], cut[some], len(X))
        if has_nan:
            nodes["nan_right"] = np.zeros(len(link), np.bool_)
            nodes["nan_right"][is_split] = lowered["nan_right"][some]
        leaf_of_node = np.cumsum(~is_split) + (leaf - 1)
        arrived = leaf_of_node.take(_arrival(nodes, values.reshape(-1), len(X)))
        leaves = lowered["leaves"].take(arrived)
        if "linear" in lowered:
            leaves = linear_values(lowered["linear"], lowered["leaf_number"][arrived], leaves, X)
        total += leaves
        split += splits
        leaf += len(link) - splits
    return total


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
        planes = pack_tests(special, columns, lowered["input_dtype"])[1:]
        bits = np.unpackbits(planes.view(np.uint8), axis=1, bitorder="little").reshape(len(planes), -1, 8)
        values[features:] = bits.transpose(0, 2, 1).reshape(len(planes), -1)[:, :rows]
    return values


def _unpacked(
    link: npt.NDArray[np.int32],
    is_split: npt.NDArray[np.bool_],
    column: npt.NDArray[Any],
    cut: npt.NDArray[Any],
    length: int,
) -> dict[str, Any]:
    """One tree's nodes; a leaf is its own child, and no comparison sends a row to the one after it."""
    child = np.where(is_split, link, np.arange(len(link))).astype(np.intp)
    offset = np.zeros(len(link), np.intp)
    offset[is_split] = column.astype(np.intp) * length
    cuts = np.full(len(link), np.inf, cut.dtype)
    cuts[is_split] = cut
    return {"child": child, "offset": offset, "cut": cuts, "is_split": is_split}


def _arrival(nodes: dict[str, Any], values: npt.NDArray[Any], length: int) -> npt.NDArray[np.intp]:
    """(length,) The leaf's node that each row arrives at."""
    arrived = np.zeros(length, np.intp)
    rows = np.arange(length)
    node = np.zeros(length, np.intp)
    levels = 0
    while True:
        if levels % LEVELS_BETWEEN_CHECKS == 0:
            going = nodes["is_split"].take(node)
            remaining = np.count_nonzero(going)
            if remaining < 0.75 * len(rows):
                arrived[rows] = node
                rows, node = rows[going], node[going]
            if not remaining:
                return arrived
        place = nodes["offset"].take(node, mode="wrap")
        np.add(place, rows, out=place)
        x = values.take(place, mode="wrap")
        right = x > nodes["cut"].take(node, mode="wrap")
        if "nan_right" in nodes:
            right |= np.isnan(x) & nodes["nan_right"].take(node, mode="wrap")
        node = nodes["child"].take(node, mode="wrap")
        np.add(node, right, out=node)
        levels += 1
