"""Layout of the gather kernel: trees of any shape, siblings side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import CATEGORICAL, NAN_RIGHT, ZERO_IS_MISSING, TreeEnsemble


def lower_gather(model: TreeEnsemble, tests: dict[str, Any], test_of_split: npt.NDArray[Any]) -> dict[str, Any]:
    """The nodes of all trees, leaves among them, a tree's nodes level by level from its root on.

    "node_start" (T+1,); "link" (N,) int32: of a split its left child's number in the tree, the right one is the next;
    -1 for a leaf. For the splits in the order of their nodes: "column" (S,), the feature, or for a test that is more
    than a comparison F + its place in "special_tests"; "cut" (S,); "nan_right" (S,). For the leaves in the order of
    their nodes: "leaves" (L,), and where leaves are linear "leaf_number" (L,), their number in the "linear" dict.
    """
    order, link = _nodes_in_order(model)
    is_leaf = link < 0
    split = order[~is_leaf]
    leaf = order[is_leaf]
    test = test_of_split[split].astype(np.int64) - 1
    column, cut, nan_right, special = _comparisons(tests, model.n_features)
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
    if model.has_linear_leaves:
        lowered["leaf_number"] = leaf.astype(np.int32)
        lowered["linear"] = {
            "const": model.leaf_const,
            "start": model.linear_start,
            "feature": model.linear_feature,
            "coefficient": model.linear_coefficient,
        }
    return lowered


def _comparisons(
    tests: dict[str, Any], n_features: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_], dict[str, Any]]:
    """(column, cut, nan_right), one entry a test, and the tests that are more than a comparison, to be done before."""
    numbers = np.repeat(tests["column"], np.diff(tests["cut_start"]))
    flags = np.concatenate([tests["flags"], tests["set_flags"]])
    special = (flags & (CATEGORICAL | ZERO_IS_MISSING)) != 0
    sets = len(tests["set_flags"])
    column = np.concatenate([numbers[tests["cut_of_test"]], np.zeros(sets, numbers.dtype)])
    cut = np.concatenate([tests["cut"][tests["cut_of_test"]], np.zeros(sets, tests["cut"].dtype)])
    highest = n_features + int(np.count_nonzero(special))
    column = column.astype(np.uint16 if highest <= 0xFFFF else np.int32)
    column[special] = n_features + np.arange(np.count_nonzero(special))
    cut[special] = 0.5
    nan_right = ((flags & NAN_RIGHT) != 0) & ~special
    some = special[: len(tests["flags"])]
    return column, cut, nan_right, {**tests, "cut_of_test": tests["cut_of_test"][some], "flags": tests["flags"][some]}


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
