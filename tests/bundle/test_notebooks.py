"""The tournament's four notebooks as bundles: equal to the notebook's own function with its own libraries."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numerai_tools.scoring import neutralize

import bundle_core
import server.demo
from bundle_core.runtime.neutralization import neutralize as own_neutralize

pytestmark = pytest.mark.requires("lightgbm")

DATA = Path(server.demo.__file__).parent / "data"
NO_BENCHMARKS: Any = None


@pytest.fixture(scope="module")
def live() -> pd.DataFrame:
    return pd.read_parquet(DATA / "live.parquet").head(2500)


@pytest.fixture(scope="module")
def example_model() -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=lzma.open(DATA / "model.txt.xz").read().decode())


@pytest.fixture(scope="module")
def features(example_model: Any) -> list[str]:
    return example_model.feature_name()


@pytest.fixture(scope="module")
def second_model(live: pd.DataFrame, features: list[str]) -> Any:
    import lightgbm

    target = live[features[:9]].mean(axis=1) / 8 + np.random.default_rng(1).random(len(live)) / 2
    return lightgbm.LGBMRegressor(n_estimators=60, max_depth=5, num_leaves=31, n_jobs=1, verbose=-1).fit(
        live[features], target
    )


def test_hello_numerai(live: pd.DataFrame, features: list[str], second_model: Any) -> None:
    def predict(live_features: pd.DataFrame, _live_benchmark_models: Any) -> pd.DataFrame:
        live_predictions = second_model.predict(live_features[features])
        submission = pd.Series(live_predictions, index=live_features.index)
        return submission.to_frame("prediction")

    bundle = bundle_core.convert(second_model)
    pd.testing.assert_frame_equal(bundle_core.predict(bundle, live), predict(live, NO_BENCHMARKS), check_exact=True)


def test_example_model(live: pd.DataFrame, features: list[str], example_model: Any) -> None:
    def predict(live_features: pd.DataFrame, _live_benchmark_models: Any) -> pd.DataFrame:
        live_predictions = example_model.predict(live_features[features])
        submission = pd.Series(live_predictions, index=live_features.index).rank(pct=True, method="first")
        return submission.to_frame("prediction")

    bundle = bundle_core.compose([bundle_core.convert(DATA / "model.txt.xz")], {"rank": {"method": "first"}})
    pd.testing.assert_frame_equal(bundle_core.predict(bundle, live), predict(live, NO_BENCHMARKS), check_exact=True)


def test_target_ensemble(live: pd.DataFrame, features: list[str], example_model: Any, second_model: Any) -> None:
    models = {"target_ender_20": example_model, "target_jasper_20": second_model}

    def predict_ensemble(live_features: pd.DataFrame, live_benchmark_models: Any) -> pd.DataFrame:
        predictions = pd.DataFrame(index=live_features.index)
        for target, model in models.items():
            predictions[target] = model.predict(live_features[features])
        ensemble = predictions.rank(pct=True).mean(axis=1)
        submission = ensemble.rank(pct=True, method="first")
        return submission.to_frame("prediction")

    bundle = bundle_core.compose(
        [bundle_core.convert(model) for model in models.values()], {"rank_each": "all", "rank": {"method": "first"}}
    )
    pd.testing.assert_frame_equal(
        bundle_core.predict(bundle, live), predict_ensemble(live, NO_BENCHMARKS), check_exact=True
    )


def test_feature_neutralization(live: pd.DataFrame, features: list[str], example_model: Any) -> None:
    """The neutral scores agree to 1e-12, not to the last bit: LAPACK's rounding differs between builds of numpy."""
    subset = features[100:300]

    def predict(live_features: pd.DataFrame, _live_benchmark_models: Any) -> pd.DataFrame:
        live_predictions = pd.DataFrame(
            example_model.predict(live_features[features]), index=live_features.index, columns=["prediction"]
        )
        neutralized = neutralize(live_predictions, live_features[subset], proportion=1.0)
        return neutralized.rank(pct=True)

    bundle = bundle_core.compose(
        [bundle_core.convert(DATA / "model.txt.xz")],
        {"neutralize": {"to": subset, "proportion": 1.0}, "rank": "all"},
    )
    pd.testing.assert_frame_equal(bundle_core.predict(bundle, live), predict(live, NO_BENCHMARKS), check_exact=True)
    raw = bundle_core.predict(bundle_core.convert(DATA / "model.txt.xz"), live)
    theirs = neutralize(raw, live[subset], proportion=1.0)["prediction"].to_numpy()
    columns = live[subset].to_numpy(np.float64)
    assert (
        np.abs(own_neutralize(raw["prediction"].to_numpy(), columns, [np.arange(len(live))], 1.0) - theirs).max()
        < 1e-12
    )
