"""What predict does with live rows: each step of the pipeline by its arithmetic, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numerai_tools.scoring import neutralize

from bundle_core.plan import make_plan
from bundle_core.runtime.predict import build
from tests.bundle.small_models import NAMES, additive_model, benchmark_frame, bundle_of, live_frame, predict_with

LIVE = live_frame(60, 3)
BENCHMARKS = benchmark_frame(LIVE)
A, B, C = (LIVE[name].astype(np.float64) for name in NAMES)
RAW = 0.1 + 0.1 * A + 0.05 * B + 0.01 * C
FIRST = additive_model([0.1, 0.05, 0.01], base=0.1)
SECOND = additive_model([0.2], names=["feature_c"], base=0.0)


def close(left: Any, right: Any) -> bool:
    return bool(np.abs(np.asarray(left) - np.asarray(right)).max() < 1e-12)


def test_the_result_is_one_column_by_id_in_the_rows_order() -> None:
    result = build(make_plan(bundle_of({})))(LIVE, BENCHMARKS)
    assert type(result) is pd.DataFrame
    assert list(result.columns) == ["prediction"]
    assert result.index.equals(LIVE.index)
    assert result.index.name == "id"
    assert result["prediction"].dtype == np.float64


def test_without_a_pipeline_the_raw_score_comes_out() -> None:
    assert close(predict_with({}, LIVE), RAW)


def test_columns_are_taken_by_name_whatever_their_order() -> None:
    shuffled = LIVE[["feature_c", "era", "feature_b", "feature_a"]].assign(feature_z=9)
    assert predict_with({}, shuffled).equals(predict_with({}, LIVE))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float32", "float64", "Int8"])
def test_every_column_type_gives_the_same_scores(dtype: str) -> None:
    assert predict_with({}, LIVE.astype(dict.fromkeys(NAMES, dtype))).equals(predict_with({}, LIVE))


def test_ids_in_a_column_become_the_index() -> None:
    assert predict_with({}, LIVE.reset_index()).equals(predict_with({}, LIVE))


def test_predict_writes_to_neither_frame() -> None:
    live, benchmarks = LIVE.copy(), BENCHMARKS.copy()
    pipeline = {
        "impute": 2,
        "blend_benchmark": {"column": "v52_lgbm_ender20", "weight": 0.5},
        "neutralize": {"to": ["feature_a"]},
        "rank": "era",
    }
    predict_with(pipeline, live, benchmarks)
    assert live.equals(LIVE)
    assert benchmarks.equals(BENCHMARKS)


def test_missing_features_are_named_with_what_the_benchmarks_have() -> None:
    with pytest.raises(ValueError, match=r"lacks 2 of the model's 3 columns: 'feature_a', 'feature_c'.*'v52_lgbm"):
        predict_with({}, LIVE.drop(columns=["feature_a", "feature_c"]), BENCHMARKS)


def test_nan_is_imputed_by_feature_or_by_one_value() -> None:
    holes = LIVE.astype(dict.fromkeys(NAMES, "float32"))
    holes.loc[holes.index[:5], "feature_a"] = np.nan
    holes.loc[holes.index[3:9], "feature_b"] = np.nan
    filled = holes.fillna({"feature_a": 4, "feature_b": 1})
    pipeline = {"impute": {"value": 1, "values": {"feature_a": 4}}}
    assert predict_with(pipeline, holes).equals(predict_with({}, filled))
    assert predict_with({"impute": 1}, holes).equals(predict_with({}, holes.fillna(1)))


def test_scaling_is_what_the_model_sees() -> None:
    doubled = LIVE.assign(feature_a=LIVE["feature_a"] * 2 + 1)
    assert predict_with({"scale": {"mean": {"feature_a": 1}, "std": {"feature_a": 2}}}, doubled).equals(
        predict_with({}, LIVE)
    )


def test_numbers_for_all_features_can_stand_in_their_order() -> None:
    holes = LIVE.astype(dict.fromkeys(NAMES, "float64")).mask(LIVE == 3)
    by_name = {
        "impute": {"values": {"feature_a": 1, "feature_b": 2, "feature_c": 4}},
        "scale": {"mean": {"feature_b": 1}},
    }
    in_order = {"impute": {"values": [1, 2, 4]}, "scale": {"mean": [0, 1, 0]}, "rank": None}
    assert predict_with(in_order, holes).equals(predict_with(by_name, holes))
    assert bundle_of(in_order).steps.impute == bundle_of(by_name).steps.impute


def test_no_rows_give_no_predictions() -> None:
    pipeline = {"rank_each": "era", "neutralize": {"to": ["feature_a"], "by": "era"}, "rank": "era"}
    assert predict_with(pipeline, LIVE.head(0)).tolist() == []


def test_several_models_are_averaged_by_weight_with_their_own_features() -> None:
    pipeline = {"models": [{"path": "a", "weight": 3}, {"path": "b", "weight": 1}]}
    assert close(predict_with(pipeline, LIVE, None, FIRST, SECOND), (3 * RAW + 0.2 * C) / 4)


def test_rank_each_ranks_before_the_mean() -> None:
    pipeline = {"models": [{"path": "a"}, {"path": "b"}], "rank_each": "era"}
    eras = LIVE["era"]
    expected = (predict_with({}, LIVE).groupby(eras).rank(pct=True) + C.groupby(eras).rank(pct=True)) / 2
    assert predict_with(pipeline, LIVE, None, FIRST, SECOND).equals(expected.rename("prediction"))


def test_a_blend_is_aligned_by_id() -> None:
    pipeline = {"blend_benchmark": {"columns": {"v52_lgbm_ender20": 0.2, "v52_lgbm_ender60": 0.1}}}
    aligned = BENCHMARKS.reindex(LIVE.index)
    expected = 0.7 * RAW + 0.2 * aligned["v52_lgbm_ender20"] + 0.1 * aligned["v52_lgbm_ender60"]
    assert close(predict_with(pipeline, LIVE, BENCHMARKS), expected)


def test_a_ranked_blend_ranks_both_sides() -> None:
    pipeline = {"blend_benchmark": {"column": "v52_lgbm_ender20", "weight": 0.4, "rank": "all"}}
    aligned = BENCHMARKS["v52_lgbm_ender20"].reindex(LIVE.index)
    expected = 0.6 * predict_with({}, LIVE).rank(pct=True) + 0.4 * aligned.rank(pct=True)
    assert close(predict_with(pipeline, LIVE, BENCHMARKS), expected)


@pytest.mark.parametrize("missing", ["models", "mean"])
def test_ids_that_the_benchmarks_lack_follow_the_rule(missing: str) -> None:
    pipeline = {"blend_benchmark": {"column": "v52_lgbm_ender20", "weight": 0.5, "missing": missing}}
    partial = BENCHMARKS.drop(index=LIVE.index[:7])
    column = partial["v52_lgbm_ender20"].reindex(LIVE.index)
    instead = RAW if missing == "models" else column.mean()
    assert close(predict_with(pipeline, LIVE, partial), 0.5 * RAW + 0.5 * column.fillna(instead))


def test_missing_ids_can_be_an_error() -> None:
    pipeline = {"blend_benchmark": {"column": "v52_lgbm_ender20", "weight": 0.5, "missing": "error"}}
    with pytest.raises(ValueError, match=f"no prediction for 1 of 60 ids, the first is '{LIVE.index[4]}'"):
        predict_with(pipeline, LIVE, BENCHMARKS.drop(index=LIVE.index[4]))


def test_a_missing_benchmark_column_names_those_there_are() -> None:
    pipeline = {"blend_benchmark": {"column": "v43_lgbm", "weight": 0.5}}
    with pytest.raises(ValueError, match="lacks 'v43_lgbm'; it has 'v52_lgbm_ender20', 'v52_lgbm_ender60'"):
        predict_with(pipeline, LIVE, BENCHMARKS)
    with pytest.raises(ValueError, match="needs live_benchmark_models"):
        predict_with(pipeline, LIVE, None)


def test_benchmarks_of_other_ids_or_with_an_id_twice_are_refused() -> None:
    pipeline = {"blend_benchmark": {"column": "v52_lgbm_ender20", "weight": 0.5}}
    with pytest.raises(ValueError, match="none of the ids"):
        predict_with(pipeline, LIVE, BENCHMARKS.reset_index(drop=True))
    with pytest.raises(ValueError, match="has an id twice"):
        predict_with(pipeline, LIVE, pd.concat([BENCHMARKS, BENCHMARKS.head(1)]))


def test_a_benchmark_can_be_a_feature() -> None:
    model = additive_model([0.1, 0.05], names=["v52_lgbm_ender20", "feature_b"])
    benchmarks = BENCHMARKS.assign(v52_lgbm_ender20=np.arange(60) % 5).drop(index=LIVE.index[:3])
    seen = benchmarks["v52_lgbm_ender20"].reindex(LIVE.index).fillna(3)
    assert close(predict_with({"impute": 3}, LIVE, benchmarks, model), 0.1 * seen + 0.05 * B)


@pytest.mark.parametrize("by", ["era", "all"])
def test_scores_are_neutralized_to_features_and_benchmarks_by_name(by: str) -> None:
    pipeline = {"neutralize": {"to": ["v52_lgbm_ender20", "feature_a"], "by": by, "proportion": 0.5}}
    columns = pd.DataFrame({"a": A, "v": BENCHMARKS["v52_lgbm_ender20"].reindex(LIVE.index)})
    groups = LIVE["era"] if by == "era" else pd.Series("X", index=LIVE.index)
    expected = pd.concat(
        [
            neutralize(RAW[rows].to_frame("p"), columns.loc[rows], 0.5)["p"]
            for rows in LIVE.groupby(groups).groups.values()
        ]
    )
    assert close(predict_with(pipeline, LIVE, BENCHMARKS), expected.reindex(LIVE.index))


def test_neutralizing_to_all_benchmarks_needs_some() -> None:
    pipeline = {"neutralize": {"to": "benchmarks"}, "rank": "all"}
    assert predict_with(pipeline, LIVE, BENCHMARKS).between(0, 1).all()
    with pytest.raises(ValueError, match="no column to neutralize to"):
        predict_with(pipeline, LIVE, BENCHMARKS[["era"]])


def test_gaussianize_then_clip_then_rank() -> None:
    pipeline = {"gaussianize": "era", "clip": [-1, 1], "rank": {"by": "all", "method": "min"}}
    predictions = predict_with(pipeline, LIVE)
    assert predictions.nunique() < predict_with({"rank": "all"}, LIVE).nunique()
    assert predictions.between(0, 1).all()


def test_scores_that_leave_the_range_are_an_error_that_names_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"leave \[0, 1\]: rank or clip"):
        predict_with({}, LIVE, None, additive_model([1, 1, 1]))


def test_nan_predictions_are_an_error_that_names_an_id() -> None:
    pipeline = {"blend_benchmark": {"column": "v52_lgbm_ender20", "weight": 0.5, "missing": "mean"}}
    nothing_known = BENCHMARKS.assign(v52_lgbm_ender20=np.nan)
    with pytest.raises(ValueError, match=f"60 of 60 predictions are NaN, the first is that of '{LIVE.index[0]}'"):
        predict_with(pipeline, LIVE, nothing_known)


def test_era_steps_without_an_era_column_are_an_error() -> None:
    with pytest.raises(ValueError, match="no column 'era'"):
        predict_with({"rank": "era"}, LIVE.drop(columns="era"))


def test_era_is_not_needed_otherwise() -> None:
    assert len(predict_with({"rank": "all"}, LIVE.drop(columns="era"))) == 60
