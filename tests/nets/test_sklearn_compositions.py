"""Pipelines, transformers, and models made of models: equal to scikit-learn's predict up to rounding."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bundle_core
from bundle_core.conversion import convert
from bundle_core.describe import describe
from bundle_core.errors import DataInvalid, ModelRefused
from bundle_core.frontends import read_object
from bundle_core.reports import ConvertRequest
from tests.nets.training_data import NAMES, apart, booster, chain, features, scores, sk, target, with_holes

pytestmark = [pytest.mark.requires("sklearn", "lightgbm"), pytest.mark.filterwarnings("ignore")]

ROUNDING = 1e-11
FRAME = features()
TARGET = target(FRAME)
HOLES = with_holes(FRAME)
EMPTY = HOLES.assign(feature_bee=np.nan)

TRANSFORMERS: dict[str, tuple[Callable[[], Any], pd.DataFrame]] = {
    "StandardScaler": (lambda: sk("preprocessing.StandardScaler"), FRAME),
    "StandardScaler of the spread alone": (lambda: sk("preprocessing.StandardScaler", with_mean=False), FRAME),
    "MinMaxScaler that clips": (lambda: sk("preprocessing.MinMaxScaler", (-1, 1), clip=True), FRAME),
    "RobustScaler": (lambda: sk("preprocessing.RobustScaler"), FRAME),
    "MaxAbsScaler": (lambda: sk("preprocessing.MaxAbsScaler"), FRAME),
    "SimpleImputer of the median": (lambda: sk("impute.SimpleImputer", strategy="median"), HOLES),
    "SimpleImputer with an indicator": (lambda: sk("impute.SimpleImputer", add_indicator=True), HOLES),
    "SimpleImputer of another mark": (
        lambda: sk("impute.SimpleImputer", missing_values=-1, strategy="constant", fill_value=2.0),
        HOLES.fillna(-1),
    ),
    "SimpleImputer of an empty column": (lambda: sk("impute.SimpleImputer"), EMPTY),
    "SimpleImputer that keeps one": (lambda: sk("impute.SimpleImputer", keep_empty_features=True), EMPTY),
    "OneHotEncoder": (lambda: sk("preprocessing.OneHotEncoder"), FRAME),
    "OneHotEncoder without the first": (lambda: sk("preprocessing.OneHotEncoder", drop="first"), FRAME),
    "OneHotEncoder of missing values": (lambda: sk("preprocessing.OneHotEncoder"), HOLES),
    "OrdinalEncoder": (lambda: sk("preprocessing.OrdinalEncoder"), FRAME + 10),
    "TargetEncoder": (lambda: sk("preprocessing.TargetEncoder"), FRAME),
    "PolynomialFeatures": (
        lambda: chain(sk("preprocessing.StandardScaler"), sk("preprocessing.PolynomialFeatures", 3)),
        FRAME,
    ),
    "PCA": (lambda: sk("decomposition.PCA", 3), FRAME),
    "PCA that whitens": (lambda: sk("decomposition.PCA", 3, whiten=True), FRAME),
    "TruncatedSVD": (lambda: sk("decomposition.TruncatedSVD", 3), FRAME),
    "a function of numpy's": (lambda: sk("preprocessing.FunctionTransformer", np.log1p), FRAME.astype(np.float64)),
    "selected columns": (lambda: sk("feature_selection.VarianceThreshold", 1.9), FRAME),
    "FeatureUnion": (
        lambda: sk(
            "pipeline.FeatureUnion",
            [("p", sk("decomposition.PCA", 2)), ("m", sk("preprocessing.MinMaxScaler"))],
            transformer_weights={"p": 2},
        ),
        FRAME,
    ),
    "ColumnTransformer": (
        lambda: sk(
            "compose.ColumnTransformer",
            [
                ("scaled", sk("preprocessing.StandardScaler"), NAMES[:3]),
                ("encoded", sk("preprocessing.OneHotEncoder"), [3]),
                ("dropped", "drop", slice(4, 5)),
                ("chain", chain(sk("impute.SimpleImputer"), sk("preprocessing.MinMaxScaler")), ["feature_fox"]),
            ],
            remainder="passthrough",
        ),
        FRAME,
    ),
}

MODELS: dict[str, Callable[[], Any]] = {
    "a booster behind a ColumnTransformer": lambda: chain(TRANSFORMERS["ColumnTransformer"][0](), booster()),
    "a booster with a link function": lambda: chain(sk("preprocessing.StandardScaler"), booster(objective="poisson")),
    "a forest": lambda: chain(
        sk("preprocessing.StandardScaler"), sk("ensemble.RandomForestRegressor", n_estimators=5, max_depth=4)
    ),
    "a mean of models": lambda: sk("ensemble.VotingRegressor", models()),
    "a weighted mean of models": lambda: sk("ensemble.VotingRegressor", models(), weights=[2, 1, 0.5]),
    "a mean without a dropped model": lambda: sk("ensemble.VotingRegressor", [*models()[:2], ("c", "drop")]),
    "a stack": lambda: sk("ensemble.StackingRegressor", models(), cv=2),
    "a stack that sees the features too": lambda: sk(
        "ensemble.StackingRegressor", models(), final_estimator=booster(), passthrough=True, cv=2
    ),
    "a bag": lambda: sk("ensemble.BaggingRegressor", booster(), n_estimators=3, max_features=0.5),
    "a scaled target": lambda: sk(
        "compose.TransformedTargetRegressor", booster(), transformer=sk("preprocessing.StandardScaler")
    ),
    "a logarithmic target": lambda: sk(
        "compose.TransformedTargetRegressor", sk("linear_model.Ridge"), func=np.log1p, inverse_func=np.expm1
    ),
    "a search": lambda: sk(
        "model_selection.GridSearchCV", chain(sk("linear_model.Ridge")), {"ridge__alpha": [0.1, 10]}, cv=2
    ),
}


def models() -> list[tuple[str, Any]]:
    return [
        ("a", booster()),
        ("b", sk("linear_model.Ridge")),
        ("c", chain(sk("preprocessing.StandardScaler"), sk("linear_model.Lasso", alpha=0.01))),
    ]


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformer_before_a_linear_model(name: str) -> None:
    make, frame = TRANSFORMERS[name]
    model = chain(make(), sk("linear_model.Ridge")).fit(frame, TARGET)
    assert apart(model, frame) < ROUNDING


@pytest.mark.parametrize("name", MODELS)
def test_a_model_made_of_models(name: str) -> None:
    assert apart(MODELS[name]().fit(FRAME, TARGET), FRAME) < ROUNDING


@pytest.mark.requires("xgboost", "catboost")
@pytest.mark.parametrize("library", ["xgboost.XGBRegressor", "catboost.CatBoostRegressor"])
def test_boosters_of_other_libraries_inside(library: str) -> None:
    module, _, name = library.partition(".")
    options = {"n_estimators": 8, "max_depth": 3} | (
        {"verbose": 0, "allow_writing_files": False} if module == "catboost" else {}
    )
    other = getattr(importlib.import_module(module), name)(**options)
    mean = sk("ensemble.VotingRegressor", [("other", other), ("ridge", sk("linear_model.Ridge"))]).fit(FRAME, TARGET)
    assert apart(mean, FRAME) < ROUNDING
    assert apart(chain(sk("preprocessing.StandardScaler"), other).fit(FRAME, TARGET), FRAME) < ROUNDING


def test_a_bundle_says_what_a_stack_is_made_of() -> None:
    bundle = bundle_core.convert(MODELS["a stack"]().fit(FRAME, TARGET))
    assert describe(bundle).lines == [
        "StackingRegressor: scikit-learn StackingRegressor, 7 layers, 22 weights, 15 trees, 8 features",
        "no step after the raw score",
    ]


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib.gz", "model.joblib.xz", "model.joblib.z"])
def test_a_file_that_joblib_compressed(name: str, tmp_path: Path) -> None:
    model = chain(sk("linear_model.Ridge")).fit(FRAME, TARGET)
    __import__("joblib").dump(model, tmp_path / name)
    bundle = bundle_core.convert(tmp_path / name)
    assert np.array_equal(scores(bundle.sources[0].model, FRAME), scores(read_object(model), FRAME))


def test_rows_with_unknown_categories_are_no_sample(tmp_path: Path) -> None:
    model = chain(sk("preprocessing.OneHotEncoder"), sk("linear_model.Ridge")).fit(FRAME + 7, TARGET)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    with pytest.raises(DataInvalid, match="cannot score the synthetic rows") as refusal:
        convert(ConvertRequest(output="model.npz", base_dir=str(tmp_path), model_path="model.pkl"))
    assert "sample" in refusal.value.next_step


def test_a_category_that_training_had_not_seen_is_an_error_as_in_scikit_learn() -> None:
    model = chain(sk("preprocessing.OneHotEncoder"), sk("linear_model.Ridge")).fit(FRAME, TARGET)
    with pytest.raises(ValueError, match=r"9\.0 is no category that column 2 had in training"):
        scores(read_object(model), FRAME.assign(feature_cat=9))


@pytest.mark.parametrize(
    "encoder",
    [
        ("preprocessing.OneHotEncoder", {"handle_unknown": "ignore"}),
        ("preprocessing.OrdinalEncoder", {"handle_unknown": "use_encoded_value", "unknown_value": -1}),
        ("preprocessing.TargetEncoder", {}),
    ],
)
def test_an_unknown_category_becomes_what_the_encoder_says(encoder: tuple[str, dict[str, Any]]) -> None:
    model = chain(sk(encoder[0], **encoder[1]), sk("linear_model.Ridge")).fit(FRAME, TARGET)
    assert apart(model, FRAME.assign(feature_cat=9)) < ROUNDING


def test_an_ordinal_encoder_hands_nan_on_to_a_booster() -> None:
    encoder = sk("preprocessing.OrdinalEncoder", handle_unknown="use_encoded_value", unknown_value=np.nan)
    model = chain(encoder, booster()).fit(HOLES, TARGET)
    assert apart(model, HOLES.assign(feature_cat=9)) == 0


@pytest.mark.parametrize(
    ("make", "names", "reason"),
    [
        (lambda: chain(sk("impute.KNNImputer"), sk("linear_model.Ridge")), "KNNImputer", "Transformers that are"),
        (lambda: chain(sk("preprocessing.StandardScaler"), sk("svm.SVR")), "svm._classes.SVR", "Known classes"),
        (
            lambda: chain(sk("preprocessing.FunctionTransformer", lambda x: x * 2), sk("linear_model.Ridge")),
            "FunctionTransformer",
            "is not among",
        ),
        (
            lambda: sk(
                "compose.TransformedTargetRegressor",
                sk("linear_model.Ridge"),
                transformer=sk("preprocessing.QuantileTransformer", n_quantiles=10),
            ),
            "QuantileTransformer",
            "inverse",
        ),
        (
            lambda: chain(sk("preprocessing.OneHotEncoder", min_frequency=200), sk("linear_model.Ridge")),
            "OneHotEncoder",
            "infrequent",
        ),
    ],
)
def test_a_part_that_cannot_be_converted_is_named(make: Callable[[], Any], names: str, reason: str) -> None:
    with pytest.raises(ModelRefused) as refusal:
        read_object(make().fit(FRAME, TARGET))
    assert names in refusal.value.cause
    assert reason in refusal.value.evidence
    assert "script" in refusal.value.next_step


def test_categories_of_text_are_refused() -> None:
    frame = FRAME.assign(feature_cat="red")
    encoder = sk("compose.ColumnTransformer", [("e", sk("preprocessing.OneHotEncoder"), ["feature_cat"])])
    with pytest.raises(ModelRefused, match="are no numbers"):
        read_object(chain(encoder, sk("linear_model.Ridge")).fit(frame, TARGET))


def test_a_classifier_inside_is_refused() -> None:
    with pytest.raises(ModelRefused, match="labels, not scores"):
        read_object(chain(sk("linear_model.LogisticRegression")).fit(FRAME, TARGET > 0.5))


def test_a_pipeline_with_its_own_predict_is_refused() -> None:
    from sklearn.pipeline import Pipeline

    class Negated(Pipeline):
        def predict(self, X: Any, **parameters: Any) -> Any:
            return -super().predict(X, **parameters)

    with pytest.raises(ModelRefused, match="has its own predict"):
        read_object(Negated([("ridge", sk("linear_model.Ridge"))]).fit(FRAME, TARGET))
