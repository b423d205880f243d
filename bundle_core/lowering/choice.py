"""The choice between the kernels, made from the forest's shape: the one whose estimated time is the shortest.

All estimates are microseconds a tree for 6,500 rows, fitted to measurements on one core (tests/benchmarks). They only
have to put the kernels in the right order, and that order holds from 1,000 rows on:

- complete: walks the upper levels of every tree as if it were complete, 2**level nodes each, and has each row look up
  its bit in the levels below. Best for trees that are nearly complete, at most 12 levels: padding doubles with each.
- hybrid: the same, but in the levels below rows compare their values, so that only the tests of the upper levels are
  answered for all rows. Best for deep trees whose tests hardly ever repeat, as continuous features give them.
- leaf-wise: walks the splits that there are, at a higher price for each. Best for lopsided trees of few leaves.
- gather: below the upper levels each row follows its own path. The only one whose time does not grow with the number of
  splits; for trees deeper than that with many leaves, and linear leaves.

A forest whose levels have one test each is oblivious; the complete layout finds that out by itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import CATEGORICAL, ZERO_IS_MISSING, TreeEnsemble
from bundle_core.lowering.complete import WALKED_BEFORE_VALUES, WALKED_LEVELS

MOST_COMPLETE_LEVELS = 12
MOST_LEAFWISE_LEAVES = 1 << 12
MANY_TESTS = 5000


def choose_kernel(model: TreeEnsemble, n_tests: int) -> str:
    """ "complete", "hybrid", "leafwise" or "gather". `n_tests` is the number of distinct tests."""
    if model.has_linear_leaves or not model.n_trees:
        return "gather"
    depth = depths(model)
    deepest = int(depth.max())
    most_leaves = int(np.diff(model.leaf_start).max())
    # Many planes fall out of the second level cache.
    plane = 0.5 if n_tests < MANY_TESTS else 0.7
    planes = plane * n_tests / model.n_trees
    times = {"gather": 60 + 17 * float(depth.mean())}
    if deepest <= MOST_COMPLETE_LEVELS:
        walked = min(deepest, WALKED_LEVELS)
        times["complete"] = planes + 6 + 0.17 * 2**walked + 18 * (deepest - walked)
        below = deepest - WALKED_BEFORE_VALUES
        if below > 0 and not (model.flags & (CATEGORICAL | ZERO_IS_MISSING)).any():
            nodes = 2**WALKED_BEFORE_VALUES
            copies = 8 * model.n_features / model.n_trees
            times["hybrid"] = copies + min(planes, 0.5 * nodes) + 6 + 0.17 * nodes + 20 * below
    if most_leaves <= MOST_LEAFWISE_LEAVES:
        times["leafwise"] = planes + 9 + 0.32 * model.n_splits / model.n_trees
    return min(times, key=lambda kernel: times[kernel])


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
