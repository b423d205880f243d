"""Small models whose scores can be worked out by hand, and live frames of a few eras."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bundle_core.bundle import Bundle
from bundle_core.composition import compose
from bundle_core.ir import TreeEnsemble
from bundle_core.ir.builder import TreeBuilder
from bundle_core.pipeline import check
from bundle_core.plan import make_plan
from bundle_core.runtime.predict import build

NAMES = ["feature_a", "feature_b", "feature_c"]


def additive_model(weights: Sequence[float], names: Sequence[str] = NAMES, base: float = 0.0) -> TreeEnsemble:
    """base + sum of weight * x for x in 0..4: one tree of four splits a feature. NaN counts as 0."""
    builder = TreeBuilder()
    for feature, weight in enumerate(weights):
        builder.add_tree(
            feature=[feature] * 4,
            threshold=[0.0, 1.0, 2.0, 3.0],
            flags=[0] * 4,
            left=[~0, ~1, ~2, ~3],
            right=[1, 2, 3, ~4],
            leaf_value=[weight * x for x in range(5)],
        )
    return builder.build(n_features=len(weights), feature_names=tuple(names), source="by hand", start=base)


def live_frame(rows: int = 12, eras: int = 3, names: Sequence[str] = NAMES, seed: int = 0) -> pd.DataFrame:
    """int8 features with index `id` and column `era`, the eras' rows mixed."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 5, (rows, len(names)), dtype=np.int8)
    frame = pd.DataFrame(values, index=pd.Index([f"n{i:015x}" for i in range(rows)], name="id"), columns=list(names))
    frame.insert(0, "era", [f"{i % eras:04d}" for i in range(rows)])
    return frame


def benchmark_frame(live: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Two columns for the same ids, the rows in another order."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"era": live["era"], "v52_lgbm_ender20": random.random(len(live)), "v52_lgbm_ender60": random.random(len(live))}
    )
    return frame.iloc[random.permutation(len(live))]


def bundle_of(pipeline: dict[str, Any], *models: TreeEnsemble, base_dir: Path = Path()) -> Bundle:
    """The bundle of these models, or of one with scores 0.1 + 0.1 a + 0.05 b + 0.01 c."""
    given = models or (additive_model([0.1, 0.05, 0.01], base=0.1),)
    return compose(given, check(pipeline), base_dir)


def predict_with(pipeline: dict[str, Any], live: pd.DataFrame, benchmarks: Any = None, *models: TreeEnsemble) -> Any:
    """The predictions of the pipeline as a Series."""
    return build(make_plan(bundle_of(pipeline, *models)))(live, benchmarks)["prediction"]
