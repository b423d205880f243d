"""Synthetic rows look like live data and are the same every time."""

from __future__ import annotations

import hashlib

import numpy as np

from bundle_core.synthetic import benchmarks_of, feature_values, live_benchmark_models, live_features
from tests.bundle.small_models import NAMES, live_frame


def test_rows_have_the_shape_of_live_data() -> None:
    live = live_features(NAMES, 1000)
    assert list(live.columns) == ["era", "data_type", *NAMES]
    assert live.index.name == "id"
    assert live.index.is_unique
    assert live.index.str.fullmatch("n[0-9a-f]{15}").all()
    assert set(live["era"]) == {"X"}
    assert all(live[name].dtype == np.int8 and set(live[name]) == {0, 1, 2, 3, 4} for name in NAMES)


def test_the_same_rows_come_every_time_with_every_numpy() -> None:
    digest = hashlib.sha256(np.ascontiguousarray(feature_values(100, 7)).tobytes()).hexdigest()
    assert digest[:16] == "41c01b3253da4ae0"
    assert live_features(NAMES, 50).equals(live_features(NAMES, 50))


def test_benchmarks_are_for_the_same_ids_in_another_order() -> None:
    live, benchmarks = live_features(NAMES, 300), live_benchmark_models(["v52_lgbm_ender20", "v52_lgbm_ender60"], 300)
    assert set(benchmarks.index) == set(live.index)
    assert not benchmarks.index.equals(live.index)
    assert benchmarks.drop(columns="era").stack().between(0, 1).all()
    assert list(live_benchmark_models([], 5).columns) == ["era", "v52_lgbm_ender20"]


def test_benchmarks_can_be_made_for_a_sample() -> None:
    live = live_frame(40)
    benchmarks = benchmarks_of(live, ["v52_lgbm_ender20"])
    assert set(benchmarks.index) == set(live.index)
    assert benchmarks.index.name == "id"
