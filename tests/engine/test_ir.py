"""The IR: round trips through spec and arrays, and refusal of what contradicts itself."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from bundle_core.errors import BundleInvalid
from bundle_core.ir import TreeEnsemble, from_arrays, to_arrays
from bundle_core.ir.builder import TreeBuilder


@pytest.fixture
def model() -> TreeEnsemble:
    builder = TreeBuilder()
    builder.add_nodes(
        feature=[1, 0, 0, 0, 0],
        threshold=[1.5, 0, 2.5, 0, 0],
        flags=[0, 0, 0, 0, 0],
        left=[1, -1, 3, -1, -1],
        right=[2, -1, 4, -1, -1],
        value=[0, 10, 0, 20, 30],
    )
    builder.add_tree(feature=[], threshold=[], flags=[], left=[], right=[], leaf_value=[1])
    return builder.build(n_features=2, feature_names=("a", "b"), source="by hand", output=(("sigmoid", 2.0),))


def test_nodes_are_numbered_as_splits_and_leaves(model: TreeEnsemble) -> None:
    assert model.left.tolist() == [~0, ~1]
    assert model.right.tolist() == [1, ~2]
    assert model.leaf_value.tolist() == [10, 20, 30, 1]


def test_a_model_survives_json_and_arrays(model: TreeEnsemble) -> None:
    spec, arrays = to_arrays(model)
    again = from_arrays(json.loads(json.dumps(spec)), arrays)
    for field in dataclasses.fields(model):
        assert np.array_equal(getattr(again, field.name), getattr(model, field.name)), field.name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("feature", np.array([1, 2], np.int32)),
        ("feature", np.array([1, 0], np.int64)),
        ("threshold", np.array([1.5, np.nan])),
        ("left", np.array([~0, 0], np.int32)),
        ("right", np.array([1, ~1], np.int32)),
        ("right", np.array([1, ~3], np.int32)),
        ("leaf_value", np.array([1.0])),
        ("split_start", np.array([0, 3, 2])),
        ("set_member", np.array([1], np.int32)),
        ("flags", np.array([4, 0], np.uint8)),
        ("linear_feature", np.array([5], np.int32)),
        ("feature_names", ("a",)),
        ("feature_names", ("a", "a")),
        ("input_dtype", "float16"),
        ("divisor", 0.0),
        ("start", float("nan")),
        ("output", (("unknown", 1.0),)),
    ],
)
def test_contradictions_are_refused(model: TreeEnsemble, name: str, value: Any) -> None:
    with pytest.raises(BundleInvalid):
        dataclasses.replace(model, **{name: value}).validate()


def test_leaf_values_that_are_no_float32_numbers_are_refused_where_sums_are_float32(model: TreeEnsemble) -> None:
    with pytest.raises(BundleInvalid, match="float32"):
        dataclasses.replace(model, sum_dtype="float32", leaf_value=np.array([0.1, 0, 0, 0])).validate()


def test_unknown_kinds_and_fields_are_refused(model: TreeEnsemble) -> None:
    spec, arrays = to_arrays(model)
    with pytest.raises(BundleInvalid, match="unknown kind"):
        from_arrays({**spec, "kind": "crystal_ball"}, arrays)
    with pytest.raises(BundleInvalid, match="fields"):
        from_arrays({**spec, "extra": 1}, arrays)
    with pytest.raises(BundleInvalid, match="fields"):
        from_arrays(spec, {name: array for name, array in arrays.items() if name != "left"})


def test_nodes_that_are_no_tree_are_refused() -> None:
    builder = TreeBuilder()
    with pytest.raises(BundleInvalid, match="reached twice"):
        builder.add_nodes(feature=[0], threshold=[0], flags=[0], left=[0], right=[0], value=[0])
    with pytest.raises(BundleInvalid, match="not in its tree"):
        builder.add_nodes(feature=[0], threshold=[0], flags=[0], left=[7], right=[8], value=[0])
