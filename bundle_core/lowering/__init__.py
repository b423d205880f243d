"""Lowering: from the IR to the plain dict of numbers and arrays that `bundle_core.runtime` evaluates."""

from __future__ import annotations

from typing import Any

from bundle_core.ir import Model, Network, TreeEnsemble
from bundle_core.lowering.network import lower_network
from bundle_core.lowering.trees import lower_trees

__all__ = ["lower"]


def lower(model: Model) -> dict[str, Any]:
    """The dict that `bundle_core.runtime.evaluate.raw_scores` takes; its "evaluator" says what evaluates it."""
    if isinstance(model, TreeEnsemble):
        return lower_trees(model)
    if isinstance(model, Network):
        return lower_network(model)
    raise TypeError(f"no lowering for {type(model).__name__}")
