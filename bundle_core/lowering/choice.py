"""The choice between the kernels, made from the forest's shape."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import TreeEnsemble

MOST_COMPLETE_LEVELS = 12


def choose_kernel(model: TreeEnsemble) -> str:
    """ "complete" or "gather"."""
    if model.has_linear_leaves:
        return "gather"
    depth = int(depths(model).max(initial=0))
    return "complete" if depth <= MOST_COMPLETE_LEVELS else "gather"


def depths(model: TreeEnsemble) -> npt.NDArray[np.int64]:
    """(T,) Each tree's depth: the most splits on a way from its root to a leaf."""
    depth = np.zeros(model.n_trees, np.int64)
    tree = np.flatnonzero(np.diff(model.split_start))
    split = model.split_start[tree]
    level = 0
    while len(split):
        level += 1
        depth[tree] = level
        children = np.concatenate([model.left[split], model.right[split]])
        tree = np.concatenate([tree, tree])[children >= 0]
        split = model.split_start[tree] + children[children >= 0]
    return depth
