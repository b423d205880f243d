"""A wrong pipeline is refused before any work, with the path of the offending key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundle_core.errors import PipelineInvalid
from bundle_core.pipeline import check, paths_of
from tests.bundle.small_models import NAMES, additive_model, bundle_of

EVERYTHING: dict[str, Any] = {
    "features": "features.json#small",
    "impute": {"value": 2, "values": {"feature_a": 1.5}},
    "scale": {"mean": 2, "std": {"feature_a": 1.2}},
    "models": [{"path": "a.txt", "weight": 2, "features": NAMES}, {"path": "b.txt", "name": "second"}],
    "rank_each": "era",
    "blend_benchmark": {"column": "v52_lgbm_ender20", "weight": 0.25, "rank": "era"},
    "neutralize": {"to": "features.json#medium", "proportion": 0.5, "by": "era"},
    "gaussianize": "era",
    "clip": [-3, 3],
    "rank": {"by": "era", "method": "first", "centered": True},
}


@pytest.mark.parametrize(
    ("pipeline", "key"),
    [
        ([], "pipeline"),
        ({"ranks": "era"}, "pipeline.ranks"),
        ({"rank": "week"}, "pipeline.rank"),
        ({"rank": {"by": "era", "ties": "first"}}, "pipeline.rank.ties"),
        ({"rank": {"method": "random"}}, "pipeline.rank.method"),
        ({"features": ["feature_a", "feature_a"]}, "pipeline.features[1]"),
        ({"features": ["feature_a", 3]}, "pipeline.features[1]"),
        ({"features": 3}, "pipeline.features"),
        ({"impute": {"value": "mean"}}, "pipeline.impute.value"),
        ({"impute": {"values": {"feature_a": None}}}, "pipeline.impute.values.feature_a"),
        ({"impute": float("nan")}, "pipeline.impute"),
        ({"scale": {"std": 0}}, "pipeline.scale.std"),
        ({"scale": {"std": [1, 0, 1]}}, "pipeline.scale.std"),
        ({"scale": {"mean": True}}, "pipeline.scale.mean"),
        ({"models": [{"path": "a.txt"}, {"weight": 1}]}, "pipeline.models[1].path"),
        ({"models": [{"path": "a.txt", "weight": "1"}]}, "pipeline.models[0].weight"),
        ({"models": [{"path": "a.txt"}, {"path": "b.txt", "weight": -1}]}, "pipeline.models[1].weight"),
        ({"models": [{"path": "a.txt", "weight": 0}]}, "pipeline.models"),
        ({"blend_benchmark": {"column": "v52_lgbm_ender20"}}, "pipeline.blend_benchmark"),
        ({"blend_benchmark": {"column": "v52_lgbm_ender20", "weight": 1.5}}, "pipeline.blend_benchmark"),
        ({"blend_benchmark": {"columns": {"x": 0.6, "y": 0.6}}}, "pipeline.blend_benchmark"),
        ({"blend_benchmark": {"column": "x", "weight": 0.5, "missing": "zero"}}, "pipeline.blend_benchmark.missing"),
        ({"neutralize": {"to": []}}, "pipeline.neutralize.to"),
        ({"neutralize": {"to": ["feature_a", "feature_a"]}}, "pipeline.neutralize.to[1]"),
        ({"neutralize": {"to": ["feature_a"], "proportion": 2}}, "pipeline.neutralize.proportion"),
        ({"neutralize": {"proportion": 1}}, "pipeline.neutralize.to"),
        ({"gaussianize": "all"}, "pipeline.gaussianize"),
        ({"clip": [0.9, 0.1]}, "pipeline.clip"),
        ({"clip": [0.1]}, "pipeline.clip"),
        ({"clip": [-3, 3]}, "pipeline.clip"),
    ],
)
def test_a_wrong_pipeline_is_refused_with_the_path_of_the_key(pipeline: Any, key: str) -> None:
    with pytest.raises(PipelineInvalid) as refusal:
        check(pipeline)
    assert refusal.value.evidence.startswith(f"{key}: ")


def test_every_step_together_is_accepted() -> None:
    check(EVERYTHING)


def test_every_file_that_a_pipeline_names_is_listed_with_its_key() -> None:
    pipeline = {
        "features": "features.json#small",
        "models": [{"path": "a.txt"}, {"path": "b.txt", "features": "b.json"}],
        "neutralize": {"to": "features.json#medium"},
    }
    assert paths_of(pipeline, "own.json#set") == [
        ("features", "own.json"),
        ("pipeline.features", "features.json"),
        ("pipeline.models[0].path", "a.txt"),
        ("pipeline.models[1].path", "b.txt"),
        ("pipeline.models[1].features", "b.json"),
        ("pipeline.neutralize.to", "features.json"),
    ]
    assert paths_of({"neutralize": {"to": "benchmarks"}}) == []


def test_sets_of_features_json_are_written_out_in_the_bundle(tmp_path: Path) -> None:
    sets = {"feature_sets": {"small": NAMES, "one": ["feature_z"]}, "targets": ["target"]}
    (tmp_path / "features.json").write_text(json.dumps(sets))
    pipeline = {"features": "features.json#small", "neutralize": {"to": "features.json#one"}, "rank": "all"}
    made = bundle_of(pipeline, additive_model([0.1] * 3, names=["Column_0", "Column_1", "Column_2"]), base_dir=tmp_path)
    assert made.features == NAMES
    assert made.steps.neutralize is not None
    assert made.steps.neutralize.to == ["feature_z"]


@pytest.mark.parametrize(
    ("features", "content", "problem"),
    [
        ("features.json#large", '{"feature_sets": {"small": ["a"]}}', "no set 'large'"),
        ("features.json", '{"feature_sets": {"small": ["a"]}}', "no set ''"),
        ("features.json", '["a", "b", "a"]', "'a' twice"),
        ("features.json", "[1, 2]", "no list of names"),
        ("features.json", "{", "no JSON"),
        ("absent.json", "[]", "cannot be read"),
    ],
)
def test_a_features_file_that_gives_no_names_is_refused(
    tmp_path: Path, features: str, content: str, problem: str
) -> None:
    (tmp_path / "features.json").write_text(content)
    with pytest.raises(PipelineInvalid, match=problem) as refusal:
        bundle_of({"features": features}, base_dir=tmp_path)
    assert refusal.value.evidence.startswith("pipeline.features: ")


@pytest.mark.parametrize(
    ("pipeline", "key"),
    [
        ({"features": ["feature_a", "feature_b"]}, "pipeline.features"),
        ({"features": ["feature_b", "feature_a", "feature_c"]}, "pipeline.features[0]"),
        ({"impute": {"values": {"feature_z": 1}}}, "pipeline.impute.values.feature_z"),
        ({"scale": {"std": {"feature_z": 1}}}, "pipeline.scale.std.feature_z"),
        ({"scale": {"std": [1, 1]}}, "pipeline.scale.std"),
        ({"impute": {"values": [1, 1, 1, 1]}}, "pipeline.impute.values"),
        ({"models": [{"path": "a", "features": [*NAMES, "feature_d"]}]}, "pipeline.models[0].features"),
    ],
)
def test_names_that_do_not_fit_the_model_are_refused(pipeline: dict[str, Any], key: str) -> None:
    with pytest.raises(PipelineInvalid) as refusal:
        bundle_of(pipeline)
    assert refusal.value.evidence.startswith(f"{key}: ")


def test_a_list_of_numbers_needs_models_of_the_same_features() -> None:
    pipeline = {"models": [{"path": "a"}, {"path": "b"}], "scale": {"mean": [1, 1, 1]}}
    with pytest.raises(PipelineInvalid, match="give the numbers by name"):
        bundle_of(pipeline, additive_model([0.1] * 3), additive_model([0.1], names=["feature_c"]))


def test_models_of_one_name_are_numbered() -> None:
    model = additive_model([0.1] * 3)
    pipeline = {"models": [{"path": "x/model.txt"}, {"path": "y/model.txt"}, {"path": "z/model.txt"}]}
    assert [source.name for source in bundle_of(pipeline, model, model, model).sources] == [
        "model",
        "model (2)",
        "model (3)",
    ]


def test_a_model_without_names_needs_features() -> None:
    with pytest.raises(PipelineInvalid, match=r"pipeline\.features: is needed"):
        bundle_of({}, additive_model([0.1, 0.1], names=["f0", "f1"]))
