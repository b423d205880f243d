"""Layouts of the complete kernel: every tree padded to a complete one of the forest's depth.

The children of node j of level k are j and j + 2**k of level k + 1. A branch that ends early goes on with tests that
send all left, so its leaf keeps the number that it has then.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import NAN_RIGHT, TreeEnsemble
from bundle_core.lowering.distinct_tests import DistinctTests, lay_out_named, narrow

WALKED_LEVELS = 7
"""Levels that are walked where the levels below them look up their answers in planes too."""
WALKED_BEFORE_VALUES = 5
"""Levels that are walked where below them values are compared."""
TREES_AT_ONCE = 1024
"""Trees laid out together: bounds the memory of the frontier."""


def lower_complete(model: TreeEnsemble, plane_of_split: npt.NDArray[Any], depth: int) -> dict[str, Any]:
    """ "depth" d, "nodes" (2**w - 1, T) and "below" (T, 2**d) of plane_of_split's dtype, "leaves" (T, 2**d).

    The first w levels are walked, all trees together; those below are ordered by tree, node j of level k at 2**k + j.
    Leaves have the sum dtype.
    """
    nodes, leaves = _laid_out(model, plane_of_split, depth)
    level_tests = _one_test_a_level(nodes, depth)
    if level_tests is not None:
        return {"kernel": "oblivious", "depth": depth, "level_tests": level_tests, "leaves": leaves}
    top, below = _split_off(nodes, min(depth, WALKED_LEVELS))
    return {"kernel": "complete", "depth": depth, "nodes": top, "below": below, "leaves": leaves}


def lower_hybrid(model: TreeEnsemble, distinct: DistinctTests, depth: int) -> dict[str, Any]:
    """As above with "tests", those of the walked levels, and what the nodes below compare instead of "below".

    "below_feature", "below_cut" and "below_nan_right" (T, 2**d). All tests are comparisons.
    """
    nodes, leaves = _laid_out(model, distinct.of_split + distinct.of_split.dtype.type(1), depth)
    top, below = _split_off(nodes, min(depth, WALKED_BEFORE_VALUES))
    tests, top = lay_out_named(model, distinct, top)
    # Number 0 is no test and sends all left.
    feature, flags = np.append(0, distinct.feature), np.append(0, distinct.flags)
    cut = narrow(np.append(np.inf, distinct.cut))
    return {
        "kernel": "complete",
        "depth": depth,
        "tests": tests,
        "nodes": top,
        "below_feature": feature.astype(tests["column"].dtype)[below],
        "below_cut": cut[below],
        "below_nan_right": ((flags & NAN_RIGHT) != 0)[below],
        "leaves": leaves,
    }


def _laid_out(
    model: TreeEnsemble, number_of_split: npt.NDArray[Any], depth: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(nodes (2**depth - 1, T), leaves (T, 2**depth)): each split's number at its place, 0 where there is none."""
    nodes = np.zeros(((1 << depth) - 1, model.n_trees), number_of_split.dtype)
    leaves = np.zeros((model.n_trees, 1 << depth), model.sum_dtype)
    for start in range(0, model.n_trees, TREES_AT_ONCE):
        _lay_out(model, number_of_split, start, min(model.n_trees, start + TREES_AT_ONCE), nodes, leaves)
    return nodes, leaves


def _split_off(nodes: npt.NDArray[Any], walked: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(top (2**walked - 1, T), below (T, 2**d)): 0 at the places of the top's nodes; (T, 0) if all are walked."""
    first = (1 << walked) - 1
    if first == len(nodes):
        return nodes, np.zeros((nodes.shape[1], 0), nodes.dtype)
    below = np.zeros((nodes.shape[1], len(nodes) + 1), nodes.dtype)
    below[:, first + 1 :] = nodes[first:].T
    return nodes[:first].copy(), below


def _one_test_a_level(nodes: npt.NDArray[Any], depth: int) -> npt.NDArray[Any] | None:
    """(d, T) The test of every level, if in all trees the nodes of a level ask the same."""
    firsts = [(1 << level) - 1 for level in range(depth)]
    if all((nodes[first : 2 * first + 1] == nodes[first]).all() for first in firsts):
        return nodes[firsts]
    return None


def _lay_out(
    model: TreeEnsemble,
    plane_of_split: npt.NDArray[Any],
    start: int,
    stop: int,
    nodes: npt.NDArray[Any],
    leaves: npt.NDArray[Any],
) -> None:
    """Place the splits and leaves of the trees start to stop, all trees' levels from the root down."""
    tree = np.arange(start, stop)
    single = model.split_start[tree] == model.split_start[tree + 1]
    leaves[tree[single], 0] = model.leaf_value[model.leaf_start[tree[single]]]
    tree = tree[~single]
    split = model.split_start[tree]
    position = np.zeros(len(tree), np.int64)
    level = 0
    while len(split):
        width = 1 << level
        nodes[width - 1 + position, tree] = plane_of_split[split]
        next_tree: list[npt.NDArray[np.int64]] = []
        next_split: list[npt.NDArray[np.int64]] = []
        next_position: list[npt.NDArray[np.int64]] = []
        for child, place in ((model.left[split], position), (model.right[split], position + width)):
            ends = child < 0
            leaves[tree[ends], place[ends]] = model.leaf_value[model.leaf_start[tree[ends]] + ~child[ends]]
            next_tree.append(tree[~ends])
            next_split.append(model.split_start[tree[~ends]] + child[~ends])
            next_position.append(place[~ends])
        tree, split = np.concatenate(next_tree), np.concatenate(next_split)
        position = np.concatenate(next_position)
        level += 1
