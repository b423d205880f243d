"""Fitted objects are read by their class, and refused where their prediction is more than the trees in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle_core.errors import ModelRefused
from bundle_core.frontends import read_model, read_object
from bundle_core.ir import TreeEnsemble
from bundle_core.lowering import lower
from bundle_core.native import native_scores
from bundle_core.runtime.evaluate import raw_scores
from bundle_core.sources import NativeSource

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(200, 4))
Y = X[:, 0] + RANDOM.normal(size=200)
SEVERAL = np.stack([Y, -Y], axis=1)
QUIET = {"iterations": 3, "depth": 2, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
MODELS = Path(__file__).parent / "models"


def refusal(model: object) -> str:
    with pytest.raises(ModelRefused) as refused:
        read_object(model)
    assert refused.value.next_step
    return str(refused.value)


@pytest.mark.requires("xgboost")
def test_xgboosts_subclasses_are_read_with_their_fitted_state() -> None:
    import xgboost

    class Mine(xgboost.XGBRFRegressor):
        pass

    model = Mine(n_estimators=5, max_depth=3, base_score=0.25, n_jobs=1).fit(X, Y)
    model.set_params(base_score=0.9, n_estimators=1)

    assert np.array_equal(raw_scores(lower(read_object(model)), X), model.predict(X, output_margin=True))


@pytest.mark.requires("xgboost")
def test_xgboost_models_that_predict_otherwise_are_refused() -> None:
    import xgboost

    class Clipped(xgboost.XGBRegressor):
        def predict(self, *arguments: Any, **named: Any) -> Any:
            return super().predict(*arguments, **named).clip(0, 1)

    assert "own predict" in refusal(Clipped(n_estimators=2).fit(X, Y))
    assert "not fitted" in refusal(xgboost.XGBRegressor())
    assert "-999 as missing" in refusal(xgboost.XGBRegressor(n_estimators=2, missing=-999).fit(X, Y))
    assert "2 outputs" in refusal(xgboost.XGBRegressor(n_estimators=2).fit(X, SEVERAL))
    assert "3 outputs" in refusal(xgboost.XGBClassifier(n_estimators=2).fit(X, np.arange(200) % 3))
    linear = xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(X, Y), 2)
    assert "gblinear" in refusal(linear)


@pytest.mark.requires("xgboost")
def test_xgboost_models_of_other_categories_than_numbers_are_refused() -> None:
    import pandas as pd
    import xgboost

    frame = pd.DataFrame({"a": pd.Categorical(["red", "green"] * 100), "b": X[:, 0]})

    model = xgboost.XGBRegressor(n_estimators=2, enable_categorical=True).fit(frame, Y)

    assert "category column of texts" in refusal(model)


@pytest.mark.requires("catboost")
def test_catboost_models_that_predict_otherwise_are_refused() -> None:
    import catboost

    class Clipped(catboost.CatBoostRegressor):
        def predict(self, *arguments: Any, **named: Any) -> Any:
            return super().predict(*arguments, **named).clip(0, 1)

    assert "own predict" in refusal(Clipped(**QUIET).fit(X, Y))
    assert "not fitted" in refusal(catboost.CatBoostRegressor())
    assert "2 outputs" in refusal(catboost.CatBoostRegressor(loss_function="MultiRMSE", **QUIET).fit(X, SEVERAL))
    assert "2 outputs" in refusal(catboost.CatBoostRegressor(loss_function="RMSEWithUncertainty", **QUIET).fit(X, Y))
    rows = [[*row, int(i % 4)] for i, row in enumerate(X)]
    assert "categorical features" in refusal(catboost.CatBoostRegressor(cat_features=[4], **QUIET).fit(rows, Y))


@pytest.mark.requires("catboost")
def test_catboosts_sum_of_models_and_names_are_read() -> None:
    import catboost
    import pandas as pd

    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    models = [catboost.CatBoostRegressor(random_seed=seed, **QUIET).fit(frame, Y) for seed in (1, 2)]
    total = catboost.sum_models(models, weights=[0.25, 0.75])

    model = read_object(total)

    assert model.feature_names == ("a", "b", "c", "d")
    assert np.array_equal(raw_scores(lower(model), X), total.predict(X))


@pytest.mark.requires("sklearn")
def test_scikit_learns_models_that_predict_otherwise_are_refused() -> None:
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.tree import DecisionTreeRegressor

    class Clipped(RandomForestRegressor):
        def predict(self, X: Any) -> Any:
            return super().predict(X).clip(0, 1)

    assert "its own predict" in refusal(Clipped(2).fit(X, Y))
    assert "not fitted" in refusal(RandomForestRegressor())
    assert "2 outputs" in refusal(RandomForestRegressor(2).fit(X, SEVERAL))
    assert "2 outputs" in refusal(DecisionTreeRegressor().fit(X, SEVERAL))
    assert "LinearRegression" in refusal(GradientBoostingRegressor(init=LinearRegression(), n_estimators=2).fit(X, Y))
    halves = np.column_stack([X, np.arange(200) % 4 + 0.5])
    model = HistGradientBoostingRegressor(categorical_features=[4], max_iter=2).fit(halves, Y)
    assert "not whole numbers" in refusal(model)


@pytest.mark.requires("sklearn")
def test_scikit_learns_subclasses_and_names_are_read() -> None:
    import pandas as pd
    from sklearn.ensemble import ExtraTreesRegressor

    class Mine(ExtraTreesRegressor):
        pass

    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    fitted = Mine(5, random_state=0).fit(frame, Y)

    model = read_object(fitted)

    assert model.feature_names == ("a", "b", "c", "d")
    assert np.array_equal(raw_scores(lower(model), X), fitted.predict(frame))


@pytest.mark.requires("sklearn")
def test_trees_of_many_distinct_thresholds_in_several_columns_are_exact() -> None:
    from sklearn.ensemble import ExtraTreesRegressor

    fitted = ExtraTreesRegressor(8, random_state=0, n_jobs=1).fit(X, Y)

    assert np.array_equal(raw_scores(lower(read_object(fitted)), X), fitted.predict(X))


@pytest.mark.requires("xgboost")
@pytest.mark.parametrize("name", ["dart.json", "forest.ubj", "stopped.json", "categorical.ubj"])
def test_the_library_is_asked_for_the_raw_scores_of_its_own_files(name: str) -> None:
    path = MODELS / f"xgboost-1.7.5-{name}"
    model = read_model(path)
    assert isinstance(model, TreeEnsemble)
    rows = np.load(MODELS / "rows.npy")

    theirs = native_scores(NativeSource(model, path, None, is_bundle=False), rows)

    assert np.array_equal(theirs, raw_scores(lower(model), rows))


@pytest.mark.requires("catboost")
def test_catboost_is_asked_about_cbm_files_and_not_about_json_which_it_rounds(tmp_path: Path) -> None:
    import catboost

    fitted = catboost.CatBoostRegressor(**QUIET).fit(X, Y)
    binary, text = tmp_path / "model.cbm", tmp_path / "model.json"
    fitted.save_model(str(binary))
    fitted.save_model(str(text), format="json")
    ours = [raw_scores(lower(read_model(path)), X) for path in (binary, text)]

    answers = [native_scores(NativeSource(read_model(path), path, None, is_bundle=False), X) for path in (binary, text)]

    assert np.array_equal(ours[0], answers[0])
    assert np.array_equal(ours[1], fitted.predict(X))
    assert "errors in the last place" in answers[1]


@pytest.mark.requires("sklearn")
def test_a_forest_of_many_threads_is_compared_in_the_order_of_its_trees() -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor

    for fitted in (
        RandomForestRegressor(30, max_depth=3, n_jobs=2).fit(X, Y),
        HistGradientBoostingRegressor(loss="poisson", max_iter=5).fit(X, Y - Y.min()),
    ):
        model = read_object(fitted)

        theirs = native_scores(NativeSource(model, Path("model.pkl"), fitted, is_bundle=False), X)

        assert np.array_equal(theirs, raw_scores(lower(model), X))
