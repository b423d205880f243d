"""TreeEnsemble -> lowered dict: what all kernels share, and the choice between them."""

from __future__ import annotations

from typing import Any

from bundle_core.ir.tree_ensemble import TreeEnsemble
from bundle_core.lowering.choice import choose_kernel, depths
from bundle_core.lowering.complete import lower_complete
from bundle_core.lowering.distinct_tests import intern_tests
from bundle_core.lowering.gather import lower_gather
from bundle_core.lowering.leafwise import lower_leafwise


def lower_trees(model: TreeEnsemble) -> dict[str, Any]:
    """The ensemble's arithmetic, its distinct tests, and its trees in the layout of the chosen kernel."""
    tests, test_of_split = intern_tests(model)
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
    kernel = choose_kernel(model, len(tests["flags"]) + len(tests["set_flags"]))
    if kernel == "gather":
        lowered.update(lower_gather(model, tests, test_of_split))
        return lowered
    lowered["tests"] = tests
    if kernel == "complete":
        lowered.update(lower_complete(model, test_of_split, max(1, int(depths(model).max(initial=0)))))
    else:
        lowered.update(lower_leafwise(model, test_of_split))
    return lowered
