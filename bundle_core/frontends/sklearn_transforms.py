"""Fitted scikit-learn transformers as layers: scalers, imputers, encoders, projections, known functions.

Whole-number features are computed with in float64, as scikit-learn does; but a FunctionTransformer leaves the dtype to
numpy, whose log1p of int8 is float16: that rounding is not repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.frontends.sklearn_estimators import of_class, refused, require_library_method
from bundle_core.ir.network import (
    Activation,
    Arithmetic,
    Clip,
    Columns,
    Fill,
    Layer,
    Linear,
    OneHot,
    Ordinal,
    Parallel,
    Products,
)

Layers = tuple[Layer, ...]


def transform_layers(transformer: Any) -> Layers | None:
    """The layers of `transform`; None for a class that is not known. Raises ModelRefused for one that has no layers."""
    reader = of_class(_TRANSFORMS, transformer)
    if reader is None:
        return None
    require_library_method(transformer, "transform")
    return reader(transformer)


def inverse_layers(transformer: Any) -> Layers:
    """The layers of `inverse_transform`, of one column. Raises ModelRefused for a class whose inverse is not known."""
    reader = of_class(_INVERSES, transformer)
    if reader is None:
        raise refused(transformer, "The inverse of this transformer is not known.")
    require_library_method(transformer, "inverse_transform")
    return reader(transformer)


def _standard(scaler: Any) -> Layers:
    return _each(("subtract", scaler.mean_ if scaler.with_mean else None), ("divide", scaler.scale_))


def _standard_back(scaler: Any) -> Layers:
    return _each(("multiply", scaler.scale_), ("add", scaler.mean_ if scaler.with_mean else None))


def _min_max(scaler: Any) -> Layers:
    low, high = scaler.feature_range
    clip = (Clip(float(low), float(high)),) if getattr(scaler, "clip", False) else ()
    return _each(("multiply", scaler.scale_), ("add", scaler.min_)) + clip


def _min_max_back(scaler: Any) -> Layers:
    return _each(("subtract", scaler.min_), ("divide", scaler.scale_))


def _max_abs(scaler: Any) -> Layers:
    clip = (Clip(-1.0, 1.0),) if getattr(scaler, "clip", False) else ()
    return _each(("divide", scaler.scale_)) + clip


def _max_abs_back(scaler: Any) -> Layers:
    return _each(("multiply", scaler.scale_))


def _robust(scaler: Any) -> Layers:
    centers = scaler.center_ if scaler.with_centering else None
    return _each(("subtract", centers), ("divide", scaler.scale_ if scaler.with_scaling else None))


def _robust_back(scaler: Any) -> Layers:
    centers = scaler.center_ if scaler.with_centering else None
    return _each(("multiply", scaler.scale_ if scaler.with_scaling else None), ("add", centers))


def _each(*steps: tuple[str, Any]) -> Layers:
    """The operations that have values, in their order."""
    return tuple(Arithmetic(name, np.asarray(values, np.float64)) for name, values in steps if values is not None)


def _simple_imputer(imputer: Any) -> Layers:
    try:
        values = np.asarray(imputer.statistics_, np.float64)
    except (TypeError, ValueError):
        raise refused(imputer, "It fills in values that are no numbers.") from None
    missing = _missing_mark(imputer, imputer.missing_values)
    filled: Layers = (Fill(missing, values),)
    kept = np.flatnonzero(~np.isnan(values))
    if len(kept) < len(values):
        filled = (Columns(kept), Fill(missing, values[kept]))
    if not imputer.add_indicator:
        return filled
    return (Parallel("concatenate", (filled, _missing_indicator(imputer.indicator_))),)


def _missing_indicator(indicator: Any) -> Layers:
    columns = np.asarray(indicator.features_, np.int64)
    missing = _missing_mark(indicator, indicator.missing_values)
    mark = np.full(len(columns), np.nan if missing is None else missing)
    return (Columns(columns), OneHot(np.arange(len(columns) + 1, dtype=np.int64), mark, strict=False))


def _missing_mark(imputer: Any, mark: Any) -> float | None:
    try:
        number = float(mark)
    except (TypeError, ValueError):
        raise refused(imputer, f"Its missing_values {mark!r} is no number.") from None
    return None if np.isnan(number) else number


def _one_hot(encoder: Any) -> Layers:
    start, category = _categories(encoder, encoder.categories_)
    if getattr(encoder, "_infrequent_enabled", False):
        raise refused(encoder, "It groups infrequent categories.")
    encoded: Layers = (OneHot(start, category, strict=encoder.handle_unknown == "error"),)
    if encoder.drop_idx_ is None:
        return encoded
    dropped = [start[i] + number for i, number in enumerate(encoder.drop_idx_) if number is not None]
    return (*encoded, Columns(np.setdiff1d(np.arange(len(category), dtype=np.int64), np.array(dropped, np.int64))))


def _ordinal(encoder: Any) -> Layers:
    start, category = _categories(encoder, encoder.categories_)
    if getattr(encoder, "_infrequent_enabled", False):
        raise refused(encoder, "It groups infrequent categories.")
    code = (np.arange(len(category)) - np.repeat(start[:-1], np.diff(start))).astype(np.float64)
    code[np.isnan(category)] = getattr(encoder, "encoded_missing_value", np.nan)
    unknown = [encoder.unknown_value] if encoder.handle_unknown == "use_encoded_value" else []
    return (Ordinal(start, category, code, np.array(unknown, np.float64)),)


def _target_encoder(encoder: Any) -> Layers:
    if encoder.target_type_ == "multiclass":
        raise refused(encoder, "It encodes several classes.")
    start, category = _categories(encoder, encoder.categories_)
    code = np.concatenate([np.asarray(values, np.float64) for values in encoder.encodings_])
    return (Ordinal(start, category, code, np.array([encoder.target_mean_], np.float64)),)


def _categories(encoder: Any, categories: Sequence[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Where each column's categories start, and all of them."""
    for i, known in enumerate(categories):
        if np.asarray(known).dtype.kind not in "biuf":
            raise refused(encoder, f"The categories of its column {i} are no numbers: {list(known[:3])}.")
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(known) for known in categories], dtype=np.int64)])
    return start, np.concatenate([np.asarray(known, np.float64) for known in categories])


def _pca(projection: Any) -> Layers:
    components = np.asarray(projection.components_, np.float64)
    shift = np.asarray(projection.mean_, np.float64) @ components.T
    layers: Layers = (Linear(components.T.copy(), -shift),)
    if not projection.whiten:
        return layers
    scale = np.sqrt(np.asarray(projection.explained_variance_, np.float64))
    return (*layers, Arithmetic("divide", np.maximum(scale, np.finfo(np.float64).eps)))


def _truncated_svd(projection: Any) -> Layers:
    components = np.asarray(projection.components_, np.float64)
    return (Linear(components.T.copy(), np.zeros(len(components))),)


def _polynomial(features: Any) -> Layers:
    powers: npt.NDArray[np.int64] = np.asarray(features.powers_, np.int64)
    factors = np.full((len(powers), max(1, int(powers.sum(axis=1).max(initial=1)))), -1, np.int64)
    for i, row in enumerate(powers):
        columns = np.repeat(np.arange(len(row)), row)
        factors[i, : len(columns)] = columns
    return (Products(factors),)


def _selection(selector: Any) -> Layers:
    return (Columns(np.flatnonzero(selector.get_support()).astype(np.int64)),)


def _function(transformer: Any) -> Layers:
    return _of_function(transformer, transformer.func, transformer.kw_args)


def _function_back(transformer: Any) -> Layers:
    return _of_function(transformer, transformer.inverse_func, transformer.inv_kw_args)


def _of_function(transformer: Any, function: Any, arguments: Any) -> Layers:
    if function is None:
        return ()
    name = _FUNCTIONS.get(getattr(function, "__name__", ""))
    if name is None or arguments or getattr(np, function.__name__, None) is not function:
        known = ", ".join(f"numpy.{known}" for known in _FUNCTIONS)
        raise refused(transformer, f"Its function {function!r} is not among {known}.")
    return (Activation(name),)


_FUNCTIONS = {
    **{name: name for name in ("exp", "expm1", "log", "log1p", "sqrt", "square", "tanh")},
    "abs": "abs",
    "absolute": "abs",
}

_TRANSFORMS: dict[str, Callable[[Any], Layers]] = {
    "sklearn.preprocessing._data.StandardScaler": _standard,
    "sklearn.preprocessing._data.MinMaxScaler": _min_max,
    "sklearn.preprocessing._data.MaxAbsScaler": _max_abs,
    "sklearn.preprocessing._data.RobustScaler": _robust,
    "sklearn.preprocessing._polynomial.PolynomialFeatures": _polynomial,
    "sklearn.preprocessing._encoders.OneHotEncoder": _one_hot,
    "sklearn.preprocessing._encoders.OrdinalEncoder": _ordinal,
    "sklearn.preprocessing._target_encoder.TargetEncoder": _target_encoder,
    "sklearn.preprocessing._function_transformer.FunctionTransformer": _function,
    "sklearn.impute._base.SimpleImputer": _simple_imputer,
    "sklearn.impute._base.MissingIndicator": _missing_indicator,
    "sklearn.decomposition._pca.PCA": _pca,
    "sklearn.decomposition._truncated_svd.TruncatedSVD": _truncated_svd,
    "sklearn.feature_selection._base.SelectorMixin": _selection,
}

_INVERSES: dict[str, Callable[[Any], Layers]] = {
    "sklearn.preprocessing._data.StandardScaler": _standard_back,
    "sklearn.preprocessing._data.MinMaxScaler": _min_max_back,
    "sklearn.preprocessing._data.MaxAbsScaler": _max_abs_back,
    "sklearn.preprocessing._data.RobustScaler": _robust_back,
    "sklearn.preprocessing._function_transformer.FunctionTransformer": _function_back,
}

KNOWN_TRANSFORMS = tuple(name.rsplit(".", 1)[1] for name in _TRANSFORMS)
