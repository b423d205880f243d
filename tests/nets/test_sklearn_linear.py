"""Linear models and MLPs of scikit-learn.

Linear models are equal to the last bit where numpy is the same one: both multiply the same float64 numbers in the same
layout with the same BLAS. Elsewhere, and in nets, sums come in another order: 1e-12 of the scores' spread.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle_core.errors import ModelRefused
from bundle_core.frontends import read_object
from tests.bundle.commands import report
from tests.nets.training_data import NAMES, apart, features, reread, scores, sk, target

pytestmark = [pytest.mark.requires("sklearn"), pytest.mark.filterwarnings("ignore:Stochastic Optimizer")]

ROUNDING = 1e-12
FLOAT32_ROUNDING = 1e-5
FRAME = features()
TARGET = target(FRAME)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("LinearRegression", {}),
        ("Ridge", {"fit_intercept": False}),
        ("RidgeCV", {}),
        ("Lasso", {"alpha": 0.01}),
        ("LassoCV", {"cv": 2}),
        ("ElasticNet", {"alpha": 0.01}),
        ("ElasticNetCV", {"cv": 2}),
        ("HuberRegressor", {}),
        ("BayesianRidge", {}),
        ("QuantileRegressor", {"alpha": 0.01}),
        ("SGDRegressor", {}),
    ],
)
def test_a_linear_model_gives_what_scikit_learn_gives(name: str, parameters: dict[str, Any]) -> None:
    model = sk(f"linear_model.{name}", **parameters).fit(FRAME, TARGET)
    assert apart(model, FRAME) == 0


def test_partial_least_squares_are_centered_first() -> None:
    model = sk("cross_decomposition.PLSRegression", n_components=3).fit(FRAME + 100, TARGET)
    assert apart(model, FRAME + 100) < ROUNDING


@pytest.mark.requires("python:3.10")
def test_an_older_scikit_learn_is_read_as_it_computes(image_python: Callable[..., Path], tmp_path: Path) -> None:
    """Before 1.5 the coefficients of PLSRegression were those of the scaled columns."""
    train = """
import pickle, numpy as np
from sklearn.cross_decomposition import PLSRegression
x = np.random.default_rng(0).integers(0, 5, (500, 4)) * np.array([1.0, 2, 3, 4])
model = PLSRegression(2).fit(x, x @ np.array([0.1, 0.2, -0.1, 0.05]))
open("model.pkl", "wb").write(pickle.dumps(model))
"""
    old = image_python("3.10", "scikit-learn==1.3.2", "joblib")
    subprocess.run([old, "-c", train], cwd=tmp_path, check=True)
    request = {"output": "model.npz", "base_dir": str(tmp_path), "model_path": "model.pkl", "features": list("abcd")}
    parity = report("convert", request, old)["parity"]
    assert parity["max_abs_diff"] < ROUNDING


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_an_mlp_regressor_gives_what_scikit_learn_gives(activation: str) -> None:
    model = mlp(activation=activation).fit(FRAME, TARGET)
    assert apart(model, FRAME) < ROUNDING


def test_an_mlp_trained_in_float32_is_computed_in_float32() -> None:
    model = mlp().fit(FRAME.astype(np.float32), TARGET.astype(np.float32))
    read = read_object(model)
    assert scores(read, FRAME).dtype == np.float32
    assert apart(model, FRAME.astype(np.float32)) < FLOAT32_ROUNDING


def test_the_scores_do_not_depend_on_the_memory_layout() -> None:
    model = read_object(sk("linear_model.Ridge").fit(FRAME, TARGET))
    rows = FRAME.to_numpy()
    assert np.array_equal(scores(model, np.asfortranarray(rows)), scores(model, np.ascontiguousarray(rows)))


def test_the_columns_of_the_training_frame_are_kept() -> None:
    assert read_object(sk("linear_model.Ridge").fit(FRAME, TARGET)).feature_names == tuple(NAMES)
    assert read_object(sk("linear_model.Ridge").fit(FRAME.to_numpy(), TARGET)).feature_names == ()


def test_a_subclass_is_read_as_what_it_extends() -> None:
    from sklearn.linear_model import Ridge

    class NamedRidge(Ridge):
        pass

    assert apart(NamedRidge().fit(FRAME, TARGET), FRAME) == 0


def test_a_subclass_with_its_own_predict_is_refused() -> None:
    from sklearn.linear_model import Ridge

    class Doubled(Ridge):
        def predict(self, X: Any) -> Any:
            return super().predict(X) * 2

    with pytest.raises(ModelRefused, match="Doubled has its own predict") as refusal:
        read_object(Doubled().fit(FRAME, TARGET))
    assert "script" in refusal.value.next_step


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("linear_model.Ridge", "predicts 2 targets"),
        ("cross_decomposition.PLSRegression", "predicts 2 targets"),
        ("neural_network.MLPRegressor", "predicts 2 targets"),
    ],
)
def test_several_targets_are_refused(name: str, reason: str) -> None:
    two = np.stack([TARGET, 1 - TARGET], axis=1)
    with pytest.raises(ModelRefused, match=reason):
        read_object(sk(name).fit(FRAME, two))


def test_a_classifier_is_refused() -> None:
    with pytest.raises(ModelRefused, match="labels, not scores"):
        read_object(sk("linear_model.RidgeClassifier").fit(FRAME, TARGET > 0.5))


def test_a_model_that_was_never_fitted_is_refused() -> None:
    with pytest.raises(ModelRefused, match="not fitted"):
        read_object(sk("linear_model.Ridge"))


def test_another_estimator_is_refused_by_name_with_the_way_left() -> None:
    with pytest.raises(ModelRefused, match=r"sklearn.svm._classes.SVR") as refusal:
        read_object(sk("svm.SVR").fit(FRAME, TARGET))
    assert "script" in refusal.value.next_step


def test_a_bundle_keeps_a_float32_net_in_float32() -> None:
    read = read_object(mlp().fit(FRAME.astype(np.float32), TARGET.astype(np.float32)))
    assert np.array_equal(scores(reread(read), FRAME), scores(read, FRAME))


def mlp(**parameters: Any) -> Any:
    return sk("neural_network.MLPRegressor", hidden_layer_sizes=(12, 6), max_iter=15, random_state=0, **parameters)
