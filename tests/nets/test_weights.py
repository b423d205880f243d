"""Plain weights in .npz and .json files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle_core.errors import ModelRefused
from bundle_core.frontends import read_model
from bundle_core.pipeline import check
from bundle_core.sources import read_source
from tests.nets.training_data import scores

ROWS = np.array([[0, 1, 2], [4, 4, 0]], np.int8)
MLP: dict[str, Any] = {
    "layers.0.weight": np.array([[1.0, -1.0, 0.5], [0.0, 1.0, -1.0]]),
    "layers.0.bias": np.array([0.5, -0.5]),
    "layers.0.activation": np.array("relu"),
    "layers.1.weight": np.array([[2.0, 3.0]]),
}
OF_MLP = [2 * max(0, -1 + 1 + 0.5) + 3 * max(0, 1 - 2 - 0.5), 2 * 0.5 + 3 * (4 - 0.5)]


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "weights.npz", **arrays)
    return folder / "weights.npz"


def as_json(folder: Path, content: Any) -> Path:
    (folder / "weights.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "weights.json"


def test_a_linear_model(tmp_path: Path) -> None:
    expected = [0.25 + 1 - 4, 0.25 + 2 + 4]
    assert scores(read_model(npz(tmp_path, coef=[0.5, 1, -2], intercept=0.25)), ROWS).tolist() == expected
    content = {"coef": [0.5, 1, -2], "intercept": 0.25, "feature_names": ["a", "b", "c"]}
    read = read_model(as_json(tmp_path, content))
    assert scores(read, ROWS).tolist() == expected
    assert read.feature_names == ("a", "b", "c")


def test_an_mlp(tmp_path: Path) -> None:
    assert scores(read_model(npz(tmp_path, **MLP)), ROWS).tolist() == OF_MLP
    first = {"weight": [[1, -1, 0.5], [0, 1, -1]], "bias": [0.5, -0.5], "activation": "relu"}
    layers = [first, {"weight": [[2, 3]]}]
    assert scores(read_model(as_json(tmp_path, {"layers": layers})), ROWS).tolist() == OF_MLP


def test_float32_weights_are_computed_with_in_float32(tmp_path: Path) -> None:
    assert scores(read_model(npz(tmp_path, coef=np.ones(3, np.float32))), ROWS).dtype == np.float32
    assert scores(read_model(npz(tmp_path, coef=np.ones(3))), ROWS).dtype == np.float64
    coef = np.random.default_rng(0).random(30)
    rows = np.random.default_rng(1).integers(0, 5, (200, 30)).astype(np.int8)
    ours = scores(read_model(as_json(tmp_path, {"coef": coef.tolist(), "dtype": "float32"})), rows)
    assert ours.dtype == np.float32
    assert np.array_equal(ours, rows.astype(np.float32) @ coef.astype(np.float32))


@pytest.mark.parametrize("kind", ["npz", "json"])
def test_a_state_dict_with_declared_layers(kind: str, tmp_path: Path) -> None:
    state = {"fc1.weight": MLP["layers.0.weight"], "fc1.bias": MLP["layers.0.bias"], "out.weight": [[2.0, 3.0]]}
    as_lists = {key: np.asarray(value).tolist() for key, value in state.items()}
    path = npz(tmp_path, **state) if kind == "npz" else as_json(tmp_path, as_lists)
    network = check({"network": {"layers": [{"linear": "fc1"}, {"activation": "relu"}, {"linear": "out"}]}}).network
    assert scores(read_source(path, network).model, ROWS).tolist() == OF_MLP


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "neither coef nor layers.0.weight"),
        ({"fc1.weight": [[1, 2]]}, r'Keys and shapes: {"fc1.weight": \[1, 2\]}'),
        ({"coef": [1, "x"]}, "not made of finite numbers"),
        ("[1, 2", "in no model format"),
        ('{"coef": [1', "is no JSON"),
        ('{"coef": [1, NaN]}', "not made of finite numbers"),
        ({"coef": [[1, 2], [3, 4]]}, r"coef is not \(F,\)"),
        ({"coef": [1, 2], "intercept": [1, 2]}, "intercept not one number"),
        ({"coef": [1, 2], "scale": 3}, "have no meaning: scale"),
        ({"layers": [{"weight": [[1, 2]], "scale": 3}]}, "have no meaning: layers.0.scale"),
        ({"coef": [1, 2], "feature_names": ["a"]}, "feature_names are 1"),
        ({"coef": [1, 2], "dtype": "float16"}, "dtype is 'float16'"),
        ({"layers": [{"weight": [[1, 2], [3]]}]}, "rows of different lengths"),
        ({"layers": [{"weight": [[1, 2]], "activation": "cosine"}]}, "layers.0.activation is 'cosine'"),
        ({"layers": [{"weight": [[1, 2]], "bias": [1, 2]}]}, r"bias is not \(outputs,\)"),
        ({"layers": [{"weight": [[1, 2]]}, {"bias": [1]}]}, "layers.1.weight is missing"),
        ({"layers": [{"weight": [[1, 2]]}, {"weight": [[1, 2]]}]}, "do not fit each other"),
        ({"layers": [{"weight": [[1, 2], [3, 4]]}]}, "gives 2 outputs"),
    ],
)
def test_what_is_no_linear_model_or_mlp_is_refused(content: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=reason):
        read_model(as_json(tmp_path, content))


def test_an_archive_with_objects_inside_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="cannot be read"):
        read_model(npz(tmp_path, coef=np.array([1, "x", None], object)))
