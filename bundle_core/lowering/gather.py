"""Layout of the gather kernel: trees of any shape, siblings side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import CATEGORICAL, NAN_RIGHT, ZERO_IS_MISSING, TreeEnsemble
from bundle_core.lowering.complete import WALKED_BEFORE_VALUES
from bundle_core.lowering.distinct_tests import DistinctTests, lay_out, lay_out_named, narrow

TREES_IN_GROUP = 512
"""Trees whose upper levels' tests are answered together: what bounds the memory of the answers."""


def lower_gather(model: TreeEnsemble, distinct: DistinctTests, depth: int) -> dict[str, Any]:
    """The nodes of all trees, leaves among them, a tree's nodes level by level from its root on.

    "node_start" (T+1,); "link" (N,) int32: of a split its left child's number in the tree, the right one is the next;
    -1 for a leaf. For the splits in the order of their nodes: "column" (S,), the feature, or for a test that is more
    than a comparison F + its place in "special_tests"; "cut" (S,); "nan_right" (S,). For the leaves in the order of
    their nodes: "leaves" (L,), and where leaves are linear "leaf_number" (L,), their number in the "linear" dict.

    "groups" of trees: of their upper w levels, at most `depth`, the "tests" and "nodes" (2**w - 1, trees), and the
    node's number in the tree that comes below them, "entry" (trees, 2**w).
    """
    order, link = _nodes_in_order(model)
    is_leaf = link < 0
    split = order[~is_leaf]
    leaf = order[is_leaf]
    test = distinct.of_split[split]
    column, cut, nan_right, special = _comparisons(model, distinct)
    lowered: dict[str, Any] = {
        "kernel": "gather",
        "node_start": model.split_start + model.leaf_start,
        "link": link,
        "column": column[test],
        "cut": cut[test],
        "nan_right": nan_right[test],
        "leaves": model.leaf_value[leaf].astype(model.sum_dtype),
        "special_tests": special,
    }
    name = np.zeros(len(link), np.int64)
    name[~is_leaf] = 1 + test.astype(np.int64)
    levels = min(depth, WALKED_BEFORE_VALUES)
    roots = lowered["node_start"][:-1]
    lowered["groups"] = [
        _group(model, distinct, roots[first : first + TREES_IN_GROUP], link, name, levels)
        for first in range(0, model.n_trees, TREES_IN_GROUP)
    ]
    if model.has_linear_leaves:
        lowered["leaf_number"] = leaf.astype(np.int32)
        lowered["linear"] = {
            "const": model.leaf_const,
            "start": model.linear_start,
            "feature": model.linear_feature,
            "coefficient": model.linear_coefficient,
        }
    return lowered


def _group(
    model: TreeEnsemble,
    distinct: DistinctTests,
    roots: npt.NDArray[np.int64],
    link: npt.NDArray[np.int32],
    name: npt.NDArray[np.int64],
    levels: int,
) -> dict[str, Any]:
    """The upper levels of the trees with these roots; `name` (N,) is each node's test as `lay_out_named` takes it.

    The children of node j of level k are j and j + 2**k of level k + 1; a leaf is its own child.
    """
    names = np.zeros(((1 << levels) - 1, len(roots)), np.int64)
    node = np.zeros((len(roots), 1), np.int32)
    for level in range(levels):
        width = 1 << level
        place = roots[:, None] + node
        names[width - 1 : 2 * width - 1] = name[place].T
        left = np.maximum(link[place], node)
        node = np.concatenate([left, left + (link[place] >= 0)], axis=1)
    tests, nodes = lay_out_named(model, distinct, names)
    return {"tests": tests, "nodes": nodes, "entry": node.astype(np.uint16 if node.max() <= 0xFFFF else np.int32)}


def _comparisons(
    model: TreeEnsemble, distinct: DistinctTests
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_], dict[str, Any]]:
    """(column, cut, nan_right), one entry a test, and the tests that are more than a comparison, to be done before."""
    is_special = (distinct.flags & (CATEGORICAL | ZERO_IS_MISSING)) != 0
    special, order = lay_out(model, distinct, np.flatnonzero(is_special))
    highest = model.n_features + len(order)
    column = distinct.feature.astype(np.uint16 if highest <= 0xFFFF else np.int32)
    column[order] = model.n_features + np.arange(len(order))
    cut = distinct.cut.copy()
    cut[order] = 0.5
    return column, narrow(cut), ((distinct.flags & NAN_RIGHT) != 0) & ~is_special, special


def _nodes_in_order(model: TreeEnsemble) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """(order, link), both (N,): each node's number among all splits or among all leaves, and its link."""
    order = np.empty(model.n_splits + model.n_leaves, np.int64)
    link = np.full(len(order), -1, np.int32)
    for tree in range(model.n_trees):
        splits, leaves = int(model.split_start[tree]), int(model.leaf_start[tree])
        root = splits + leaves
        first, level = 0, np.array([0 if model.split_start[tree + 1] > splits else ~0])
        while len(level):
            is_split = level >= 0
            here = np.s_[root + first : root + first + len(level)]
            order[here] = np.where(is_split, splits + level, leaves + ~level)
            first += len(level)
            link[here][is_split] = first + 2 * np.arange(np.count_nonzero(is_split))
            parents = splits + level[is_split]
            level = np.stack([model.left[parents], model.right[parents]], axis=1).reshape(-1)
    return order, link
