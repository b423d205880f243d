"""scikit-learn's compositions as one network: Pipeline, ColumnTransformer, FeatureUnion, VotingRegressor,
StackingRegressor, BaggingRegressor, TransformedTargetRegressor, searches. What they hold is read by its own front end.

A composition's raw score is its `predict`, in float64; so a model inside counts with its `predict` too, not with a
score before a link function. scikit-learn itself stacks XGBoost's predictions in float32: equal to about 1e-6 then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bundle_core.frontends.sklearn_estimators import network, of_class, refused, require_fitted, require_library_method
from bundle_core.frontends.sklearn_transforms import KNOWN_TRANSFORMS, inverse_layers, transform_layers
from bundle_core.ir import Network, TreeEnsemble
from bundle_core.ir.network import Activation, Arithmetic, Columns, Layer, Parallel, Trees

Layers = tuple[Layer, ...]


def read(model: Any) -> Network:
    """A fitted composition. Raises ModelRefused naming the part that cannot be converted."""
    return network(model, _n_features(model), _predict_layers(model), "float64")


def _predict_layers(model: Any) -> Layers:
    """The layers of a regressor's `predict`, which leave one column."""
    # The registry imports this module.
    from bundle_core.frontends import read_object

    # CatBoostRegressor has the attribute too, empty.
    if len(getattr(model, "classes_", ())):
        raise refused(model, "It is a classifier: its predictions are labels, not scores.")
    reader = of_class(COMPOSITIONS, model)
    if reader is not None:
        require_library_method(model, "predict")
        return reader(model)
    read_model = read_object(model)
    if isinstance(read_model, TreeEnsemble):
        return (Trees(read_model), *_output_layers(read_model))
    if isinstance(read_model, Network):
        return read_model.layers
    raise refused(model, "Its kind of model cannot be part of a composition.")


def _transform_layers(transformer: Any) -> Layers:
    """The layers of a transformer, "passthrough" and None among them."""
    if transformer is None or transformer == "passthrough":
        return ()
    composed = of_class(_COMPOSED_TRANSFORMS, transformer)
    if composed is not None:
        require_library_method(transformer, "transform")
        return composed(transformer)
    layers = transform_layers(transformer)
    if layers is None:
        raise refused(transformer, f"Transformers that are converted: {', '.join(KNOWN_TRANSFORMS)}.")
    return layers


def _output_layers(ensemble: TreeEnsemble) -> Layers:
    """The steps from the raw score to the library's `predict`."""
    layers: list[Layer] = []
    for name, parameter in ensemble.output:
        if name in ("divide", "sigmoid"):
            layers.append(Arithmetic("divide" if name == "divide" else "multiply", np.array([parameter])))
        if name != "divide":
            layers.append(Activation(name))
    return tuple(layers)


def _pipeline(pipeline: Any) -> Layers:
    *transformers, (_, model) = pipeline.steps
    layers = tuple(layer for _, transformer in transformers for layer in _transform_layers(transformer))
    return layers + _predict_layers(model)


def _pipeline_transform(pipeline: Any) -> Layers:
    return tuple(layer for _, transformer in pipeline.steps for layer in _transform_layers(transformer))


def _column_transformer(transformer: Any) -> Layers:
    require_fitted(transformer, "transformers_")
    numbers = transformer._transformer_to_input_indices
    branches: list[Layers] = []
    for name, part, _ in transformer.transformers_:
        columns = np.asarray(numbers[name], np.int64)
        if len(columns) and not (isinstance(part, str) and part == "drop"):
            branches.append((Columns(columns), *_transform_layers(part)))
    return (Parallel("concatenate", tuple(branches)),)


def _feature_union(union: Any) -> Layers:
    weights = union.transformer_weights or {}
    branches: list[Layers] = []
    for name, part in union.transformer_list:
        if isinstance(part, str) and part == "drop":
            continue
        weight = (Arithmetic("multiply", np.array([float(weights[name])])),) if name in weights else ()
        branches.append(_transform_layers(part) + weight)
    return (Parallel("concatenate", tuple(branches)),)


def _voting(voting: Any) -> Layers:
    require_fitted(voting, "estimators_")
    weights = voting._weights_not_none
    count = len(voting.estimators_)
    branches = [_predict_layers(estimator) for estimator in voting.estimators_]
    if weights is not None:
        factors = [Arithmetic("multiply", np.array([float(weight)])) for weight in weights]
        branches = [(*branch, factor) for branch, factor in zip(branches, factors, strict=True)]
    total = float(count if weights is None else np.sum(np.asarray(weights, np.float64)))
    return (Parallel("add", tuple(branches)), Arithmetic("divide", np.array([total])))


def _bagging(bagging: Any) -> Layers:
    require_fitted(bagging, "estimators_")
    branches = [
        (Columns(np.asarray(columns, np.int64)), *_predict_layers(estimator))
        for estimator, columns in zip(bagging.estimators_, bagging.estimators_features_, strict=True)
    ]
    return (Parallel("add", tuple(branches)), Arithmetic("divide", np.array([float(len(branches))])))


def _stacking(stacking: Any) -> Layers:
    require_fitted(stacking, "final_estimator_")
    branches = [_predict_layers(estimator) for estimator in stacking.estimators_]
    if stacking.passthrough:
        branches.append(())
    return (Parallel("concatenate", tuple(branches)), *_predict_layers(stacking.final_estimator_))


def _transformed_target(model: Any) -> Layers:
    require_fitted(model, "regressor_")
    return _predict_layers(model.regressor_) + inverse_layers(model.transformer_)


def _search(search: Any) -> Layers:
    require_fitted(search, "best_estimator_")
    return _predict_layers(search.best_estimator_)


def _n_features(model: Any) -> int:
    """The number of columns that the model, or the first part of it that says so, was fitted on."""
    parts: list[Any] = [model]
    if hasattr(model, "steps"):
        parts += [part for _, part in model.steps]
    for part in parts:
        count = getattr(part, "n_features_in_", None)
        if count is not None:
            return int(count)
    raise refused(model, "It is not fitted, or none of its parts tells the number of its features.")


COMPOSITIONS: dict[str, Callable[[Any], Layers]] = {
    "sklearn.pipeline.Pipeline": _pipeline,
    "sklearn.ensemble._voting.VotingRegressor": _voting,
    "sklearn.ensemble._bagging.BaggingRegressor": _bagging,
    "sklearn.ensemble._stacking.StackingRegressor": _stacking,
    "sklearn.compose._target.TransformedTargetRegressor": _transformed_target,
    "sklearn.model_selection._search.BaseSearchCV": _search,
}

_COMPOSED_TRANSFORMS: dict[str, Callable[[Any], Layers]] = {
    "sklearn.pipeline.Pipeline": _pipeline_transform,
    "sklearn.pipeline.FeatureUnion": _feature_union,
    "sklearn.compose._column_transformer.ColumnTransformer": _column_transformer,
}
