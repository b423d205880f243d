"""TreeEnsemble -> lowered dict: what all kernels share, and the choice between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import TreeEnsemble
from bundle_core.lowering.choice import choose_kernel, depths
from bundle_core.lowering.complete import lower_complete, lower_hybrid
from bundle_core.lowering.distinct_tests import DistinctTests, for_whole_numbers, intern_tests, lay_out
from bundle_core.lowering.gather import lower_gather
from bundle_core.lowering.leafwise import lower_leafwise

WORTH_WHILE = 0.75
"""The share of tests that may differ for whole numbers so that they get tests of their own."""


def lower_trees(model: TreeEnsemble) -> dict[str, Any]:
    """The ensemble's arithmetic, its distinct tests, and its trees in the layout of the chosen kernel."""
    distinct = intern_tests(model)
    lowered: dict[str, Any] = {
        "evaluator": "trees",
        "n_features": model.n_features,
        "input_dtype": model.input_dtype,
        "sum_dtype": model.sum_dtype,
        "start": model.start,
        "divisor": model.divisor,
        "scale": model.scale,
        "bias": model.bias,
    }
    kernel = choose_kernel(model, len(distinct.flags))
    deepest = max(1, int(depths(model).max(initial=0)))
    if kernel == "gather":
        lowered.update(lower_gather(model, distinct, deepest))
        return lowered
    if kernel == "hybrid":
        lowered.update(lower_hybrid(model, distinct, deepest))
        return lowered
    lowered["tests"], plane = _planes(model, distinct)
    plane_of_split = plane[distinct.of_split]
    if kernel == "complete":
        lowered.update(lower_complete(model, plane_of_split, deepest))
    else:
        lowered.update(lower_leafwise(model, plane_of_split))
    return lowered


def _planes(model: TreeEnsemble, distinct: DistinctTests) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """(tests, plane (K,)): the tests as the runtime takes them, and each one's plane; plane 0 sends all left.

    Where many tests are equal for whole numbers, "whole" has those that differ, and "whole_plane" (1 + K,) their planes
    by the plane here.
    """
    tests, order = lay_out(model, distinct, np.arange(len(distinct.flags)))
    plane = np.empty(len(order), distinct.of_split.dtype)
    plane[order] = np.arange(1, len(order) + 1)
    different, number = for_whole_numbers(distinct)
    if len(different.flags) < WORTH_WHILE * len(order):
        tests["whole"], order_of_whole = lay_out(model, different, np.arange(len(different.flags)))
        tests["whole_plane"] = np.zeros(1 + len(order), plane.dtype)
        place = np.empty(len(order_of_whole), np.intp)
        place[order_of_whole] = np.arange(1, len(order_of_whole) + 1)
        tests["whole_plane"][plane] = place[number]
    return tests, plane
