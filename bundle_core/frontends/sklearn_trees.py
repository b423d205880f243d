"""scikit-learn's tree regressors, read from fitted objects; compared with versions 1.6 and 1.9.

Raw scores equal what `predict` gives (HistGradientBoosting with a log link: `_raw_predict`). A forest adds its trees in
whatever order its threads finish: ours equals n_jobs=None or 1. NaN and infinity, where `predict` refuses them, go
where the trees' comparisons send them.

The rules are those of sklearn/tree/_tree.pyx, ensemble/_gradient_boosting.pyx and
ensemble/_hist_gradient_boosting/_predictor.pyx: left if x <= threshold, and all but HistGradientBoosting round x to
float32 first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.frontends.sklearn_estimators import refused, require_fitted, require_library_method
from bundle_core.ir.builder import TreeBuilder
from bundle_core.ir.tree_ensemble import CATEGORICAL, NAN_RIGHT, SET_RIGHT, TreeEnsemble


def read_tree(model: Any) -> TreeEnsemble:
    """Read a DecisionTreeRegressor or ExtraTreeRegressor. Raises ModelRefused."""
    _require_one_output(model, "tree_")
    builder = TreeBuilder()
    _add_tree(builder, model.tree_)
    return _built(builder, model, input_dtype="float32")


def read_forest(model: Any) -> TreeEnsemble:
    """Read a RandomForestRegressor or ExtraTreesRegressor: the mean of its trees. Raises ModelRefused."""
    _require_one_output(model, "estimators_")
    builder = TreeBuilder()
    for estimator in model.estimators_:
        _add_tree(builder, estimator.tree_)
    return _built(builder, model, input_dtype="float32", divisor=float(len(model.estimators_)))


def read_gradient_boosting(model: Any) -> TreeEnsemble:
    """Read a GradientBoostingRegressor: init, and the learning rate times each tree. Raises ModelRefused."""
    require_fitted(model, "estimators_")
    require_library_method(model, "predict")
    start = _init_constant(model)
    builder = TreeBuilder()
    for (estimator,) in model.estimators_:
        # This predict, unlike a tree's own, takes the rate that the object has now, and compares NaN like a number.
        _add_tree(builder, estimator.tree_, factor=model.learning_rate, nan_right=True)
    return _built(builder, model, input_dtype="float32", start=start)


def read_hist_gradient_boosting(model: Any) -> TreeEnsemble:
    """Read a HistGradientBoostingRegressor, also with categories that are whole numbers. Raises ModelRefused."""
    require_fitted(model, "_predictors")
    require_library_method(model, "predict")
    columns, categories = _encoded_columns(model)
    builder = TreeBuilder()
    for (predictor,) in model._predictors:
        _add_predictor(builder, predictor, columns, categories)
    link = type(model._loss.link).__name__
    if link not in ("IdentityLink", "LogLink"):
        raise refused(model, f"What its loss {type(model._loss).__name__} does to the raw score is not known.")
    return _built(
        builder,
        model,
        start=float(np.asarray(model._baseline_prediction).item()),
        output=(("exp", 1.0),) if link == "LogLink" else (),
        category_rounding="exact",
    )


def _require_one_output(model: Any, fitted: str) -> None:
    require_fitted(model, fitted)
    require_library_method(model, "predict")
    if model.n_outputs_ != 1:
        raise refused(model, f"It has {model.n_outputs_} outputs, a Numerai prediction is one.")


def _built(builder: TreeBuilder, model: Any, **arithmetic: Any) -> TreeEnsemble:
    return builder.build(
        n_features=int(model.n_features_in_),
        feature_names=tuple(str(name) for name in getattr(model, "feature_names_in_", ())),
        source=f"scikit-learn {type(model).__name__}",
        **arithmetic,
    )


def _add_tree(builder: TreeBuilder, tree: Any, *, factor: float = 1.0, nan_right: bool = False) -> None:
    """Add a sklearn.tree._tree.Tree, its values times `factor`."""
    nodes = len(tree.children_left)
    # Trees before 1.3 have no missing values.
    missing_left = np.asarray(getattr(tree, "missing_go_to_left", np.zeros(nodes)), np.bool_)
    builder.add_nodes(
        feature=tree.feature,
        threshold=tree.threshold,
        flags=np.where(missing_left & (not nan_right), 0, NAN_RIGHT),
        left=tree.children_left,
        right=tree.children_right,
        value=factor * tree.value[:, 0, 0],
    )


def _init_constant(model: Any) -> float:
    """What GradientBoosting starts at."""
    init: Any = model.init_
    if init == "zero":
        return 0.0
    if f"{type(init).__module__}.{type(init).__qualname__}" == "sklearn.dummy.DummyRegressor":
        return float(np.asarray(init.constant_).item())
    raise refused(model, f"It starts from another model, {type(init).__qualname__}, and not from a constant.")


def _add_predictor(
    builder: TreeBuilder, predictor: Any, columns: npt.NDArray[np.intp], categories: list[npt.NDArray[np.int64]]
) -> None:
    """Add a TreePredictor, whose features number the columns that the model's preprocessing leaves."""
    nodes = predictor.nodes
    is_split = nodes["is_leaf"] == 0
    missing_left = nodes["missing_go_to_left"] != 0
    threshold = nodes["num_threshold"].copy()
    flags = np.where(missing_left, 0, NAN_RIGHT)
    for node in np.flatnonzero(is_split & (nodes["is_categorical"] != 0)):
        known = categories[nodes["feature_idx"][node]]
        bits = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]].astype("<u4").view(np.uint8)
        goes_left = np.unpackbits(bits, bitorder="little")[: len(known)] != 0
        # Unknown categories go where missing values go, so the set holds those that go to the other side.
        threshold[node] = builder.add_set(known[~goes_left if missing_left[node] else goes_left])
        flags[node] |= CATEGORICAL | (SET_RIGHT if missing_left[node] else 0)
    builder.add_nodes(
        feature=columns[np.where(is_split, nodes["feature_idx"], 0)],
        threshold=threshold,
        flags=flags,
        left=np.where(is_split, nodes["left"].astype(np.int64), -1),
        right=nodes["right"].astype(np.int64),
        value=nodes["value"],
    )


def _encoded_columns(model: Any) -> tuple[npt.NDArray[np.intp], list[npt.NDArray[np.int64]]]:
    """(F,) which column of X each preprocessed one is, and each categorical one's values in the order of their codes.

    The preprocessing puts categorical columns first and numbers the values that each had in training.
    """
    features = int(model.n_features_in_)
    is_categorical = getattr(model, "is_categorical_", None)
    if is_categorical is None:
        return np.arange(features), []
    if getattr(model, "_preprocessor", None) is None:
        raise refused(model, "It has categorical columns and was fitted by scikit-learn before 1.4.")
    encoder = model._preprocessor.named_transformers_["encoder"]
    columns = np.concatenate([np.flatnonzero(is_categorical), np.flatnonzero(~is_categorical)])
    return columns, [_whole_numbers(model, values) for values in encoder.categories_]


def _whole_numbers(model: Any, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """(n,) The categories without NaN, which counts as missing; refused unless each is a whole number >= 0."""
    if values.dtype.kind not in "biuf":
        raise refused(model, f"It has a categorical column of texts: {values.tolist()!s:.200}")
    numbers = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    whole = numbers.astype(np.int64)
    if not (np.array_equal(whole, numbers) and (whole >= 0).all() and (whole < 2**31).all()):
        raise refused(model, f"It has a categorical column whose values are not whole numbers >= 0: {values}")
    return whole
