"""A network with every kind of layer, as a pickle of the oldest image's Python and numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import bundle_core
from bundle_core.bundle import Bundle, Source
from bundle_core.errors import BundleInvalid
from bundle_core.ir import Network, from_arrays, to_arrays
from bundle_core.ir.network import (
    ACTIVATIONS,
    LAYERS,
    Activation,
    Arithmetic,
    Clip,
    Columns,
    Fill,
    Layer,
    LayerNorm,
    LeakyRelu,
    Linear,
    OneHot,
    Ordinal,
    Parallel,
    Products,
    Trees,
    every_layer,
)
from bundle_core.pipeline import Steps
from tests.bundle.commands import report
from tests.bundle.small_models import additive_model, live_frame
from tests.nets.training_data import reread, scores

INPUTS = 3
FRAME = live_frame(rows=200)
NAMES = ["feature_a", "feature_b", "feature_c"]


def numbers(*shape: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(len(shape)).normal(0, 0.5, shape)


def every_kind(dtype: str) -> Network:
    """All layers and all activations."""
    start = np.array([0, 5, 10, 15], np.int64)
    category = np.tile(np.arange(5.0), 3)
    encoded: tuple[Layer, ...] = (
        Parallel(
            "concatenate",
            (
                (),
                (Trees(additive_model([0.1, -0.2, 0.3])),),
                (OneHot(start, category, strict=True),),
                (Ordinal(start, category, category * 0.1, np.zeros(0)), Products(np.array([[0, 1], [2, -1]]))),
                (Columns(np.array([1])), Fill(None, np.ones(1))),
            ),
        ),
        Linear(numbers(3 + 1 + 15 + 2 + 1, 4), numbers(4)),
        LayerNorm(numbers(4), numbers(4), 1e-5),
        LeakyRelu(np.array([0.1])),
        Arithmetic("divide", np.array([2.0])),
        Clip(-1.0, 1.0),
    )
    each = tuple((Arithmetic("add", np.array([4.0])), Activation(name)) for name in ACTIVATIONS)
    last = Linear(numbers(4 * len(ACTIVATIONS), 1) * 0.01, numbers(1))
    layers = (*encoded, Parallel("concatenate", each), last, Activation("sigmoid"))
    network = Network(INPUTS, (), "every kind of layer", dtype, layers)
    network.validate()
    return network


def test_every_kind_of_layer_is_tried_here() -> None:
    assert {type(layer) for layer in every_layer(every_kind("float64").layers)} == set(LAYERS.values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_bundle_file_gives_the_same_scores(dtype: str) -> None:
    network = every_kind(dtype)
    ours = scores(network, FRAME[NAMES])
    assert ours.dtype == dtype
    assert np.array_equal(scores(reread(network), FRAME[NAMES]), ours)


def test_rows_are_scored_one_by_one_as_together() -> None:
    network, rows = every_kind("float64"), FRAME[NAMES].to_numpy()
    together = scores(network, np.tile(rows, (60, 1)))
    assert len(together) == 12000
    np.testing.assert_allclose(together, np.tile(scores(network, rows), 60), rtol=1e-13)


@pytest.mark.requires("python:3.10")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_1_26_gives_the_same_scores_up_to_rounding(
    dtype: str, image_python: Callable[..., Path], tmp_path: Path
) -> None:
    oldest = image_python("3.10")
    bundle = Bundle((Source("net", every_kind(dtype), tuple(NAMES)),), Steps())
    bundle_core.save(bundle, tmp_path / "net.npz")
    FRAME.to_parquet(tmp_path / "live.parquet")
    packed = [
        report("pack", {"bundle_path": str(tmp_path / "net.npz"), "output": str(tmp_path / name)}, oldest, seed)
        for name, seed in (("one.pkl", "0"), ("two.pkl", "7"))
    ]
    assert packed[0]["sha256"] == packed[1]["sha256"]
    request: dict[str, Any] = {
        "pickle_path": packed[0]["pickle_path"],
        "sample": str(tmp_path / "live.parquet"),
        "output": str(tmp_path / "theirs.csv"),
        "rows": len(FRAME),
    }
    assert report("check", request, oldest)["failure"] is None
    theirs = pd.read_csv(tmp_path / "theirs.csv", index_col="id")["prediction"]
    ours = bundle_core.predict(bundle, FRAME)["prediction"]
    assert 0 < ours.min() < ours.max() < 1
    np.testing.assert_allclose(theirs, ours, rtol=2e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ((), "gives 3 columns, not one"),
        ((Linear(np.zeros((2, 1)), np.zeros(1)),), r"weight has shape \(2, 1\), not \(3, 1\)"),
        ((Linear(np.zeros((3, 1), np.float16), np.zeros(1)),), "weight has dtype float16"),
        ((Columns(np.array([3])),), "not among 3 columns"),
        ((Activation("cosine"),), "the activation is 'cosine'"),
        ((Arithmetic("power", np.ones(1)),), "the operation is 'power'"),
        ((Clip(1.0, 0.0),), "clips to"),
        ((Clip(0.0, np.inf),), "clips to"),
        ((Trees(additive_model([1.0, 2.0], NAMES[:2])),), "trees of 2 features get 3"),
        ((Parallel("add", ((), (Columns(np.array([0])),))),), r"branches of \[3, 1\] columns are added"),
        ((OneHot(np.array([0, 1]), np.ones(1), strict=False),), "start has shape"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers: tuple[Layer, ...], reason: str) -> None:
    with pytest.raises(BundleInvalid, match=reason):
        replace(every_kind("float64"), layers=layers).validate()


@pytest.mark.parametrize(
    "damage",
    [
        lambda spec, arrays: spec["layers"].__setitem__(0, {"kind": "network"}),
        lambda spec, arrays: spec["layers"].__setitem__(0, {"kind": "cosine"}),
        lambda spec, arrays: spec.__setitem__("layers", 3),
        lambda spec, arrays: spec["layers"].__setitem__(0, "linear"),
        lambda spec, arrays: arrays.pop("layers.1.weight"),
        lambda spec, arrays: arrays.__setitem__("layers.1.weights", np.ones(3)),
        lambda spec, arrays: arrays.__setitem__("layers.1.weight", np.ones(3)),
        lambda spec, arrays: spec["layers"][5].__setitem__("low", "x"),
        lambda spec, arrays: spec.__setitem__("kind", "linear"),
    ],
)
def test_a_damaged_bundle_is_refused(damage: Callable[[Any, Any], Any]) -> None:
    spec, arrays = to_arrays(every_kind("float64"))
    damage(spec, arrays)
    with pytest.raises(BundleInvalid):
        from_arrays(spec, arrays)
