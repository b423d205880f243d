"""Raw scores by the library that trained the model, where this interpreter has it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.frontends import opened
from bundle_core.frontends.sklearn_pipelines import COMPOSITIONS
from bundle_core.sources import NativeSource

Scores = npt.NDArray[np.floating]


def native_scores(source: NativeSource, X: npt.NDArray[Any]) -> Scores | str:
    """(n,) What the library gives for (n, F) `X` before any output step; a text says why it gives nothing."""
    if source.is_bundle:
        return "it comes from a bundle, which has no library; give reference to compare with saved raw scores"
    try:
        if source.native is not None:
            return _of_object(source.native, X)
        for library, score in _OF_FILE.items():
            if source.model.source.startswith(library):
                return score(source.path, X)
    except ImportError as error:
        return f"{error.name or error} is not installed in this Python; give reference to compare with saved raw scores"
    except ValueError as error:
        return f"its library refuses these rows ({str(error).splitlines()[0]}); give a sample that it takes"
    return f"its library cannot be asked ({source.model.source}); give reference to compare with saved raw scores"


def _of_object(native: Any, X: npt.NDArray[Any]) -> Scores | str:
    for base in type(native).__mro__:
        score = _OF_CLASS.get(f"{base.__module__}.{base.__qualname__}")
        if score is not None:
            scores = score(native, X)
            return scores if isinstance(scores, str) else np.asarray(scores).reshape(-1)
    return f"{type(native).__qualname__} is not one whose raw scores are known; give reference"


def _lightgbm_file(path: Path, X: npt.NDArray[Any]) -> Scores:
    import lightgbm  # pyright: ignore[reportMissingImports]

    with opened(path) as stream:
        booster = lightgbm.Booster(model_str=stream.read().decode())
    return _lightgbm(booster, X)


def _lightgbm(booster: Any, X: npt.NDArray[Any]) -> Scores:
    return booster.predict(X.astype(np.float64), raw_score=True, num_threads=1)


def _xgboost_file(path: Path, X: npt.NDArray[Any]) -> Scores:
    import xgboost  # pyright: ignore[reportMissingImports]

    booster = xgboost.Booster()
    with opened(path) as stream:
        booster.load_model(bytearray(stream.read()))
    best = booster.attr("best_iteration") if booster.attr("scikit_learn") is not None else None
    return _xgboost(booster, X, iterations=0 if best is None else int(best) + 1)


def _xgboost(booster: Any, X: npt.NDArray[Any], *, iterations: int = 0) -> Scores:
    import xgboost  # pyright: ignore[reportMissingImports]

    matrix = xgboost.DMatrix(X, feature_types=booster.feature_types, enable_categorical=True, nthread=1)
    return booster.predict(matrix, output_margin=True, iteration_range=(0, iterations), validate_features=False)


def _xgboost_model(model: Any, X: npt.NDArray[Any]) -> Scores:
    return model.predict(X, output_margin=True, validate_features=False)


def _catboost_file(path: Path, X: npt.NDArray[Any]) -> Scores | str:
    import catboost  # pyright: ignore[reportMissingImports]

    with opened(path) as stream:
        content = stream.read()
    if not content.startswith(b"CBM1"):
        return (
            "catboost itself reads the leaf values of its JSON with errors in the last place; "
            "give the .cbm file or the pickled model, or reference to compare with saved raw scores"
        )
    return _catboost(catboost.CatBoost().load_model(blob=content), X)


def _catboost(model: Any, X: npt.NDArray[Any]) -> Scores:
    return model.predict(X, prediction_type="RawFormulaVal", thread_count=1)


def _sklearn(model: Any, X: npt.NDArray[Any]) -> Scores:
    return model.predict(_named(model, X))


def _sklearn_forest(model: Any, X: npt.NDArray[Any]) -> Scores:
    # Several threads add the trees in the order in which they finish.
    return _sklearn(copy.copy(model).set_params(n_jobs=1), X)


def _sklearn_hist(model: Any, X: npt.NDArray[Any]) -> Scores:
    return model._raw_predict(_named(model, X))


def _named(model: Any, X: npt.NDArray[Any]) -> Any:
    """X as a frame where the model was fitted on one, so that columns are selected by name."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return X
    import pandas as pd

    return pd.DataFrame(X, columns=names)


def _torch(module: Any, X: npt.NDArray[Any]) -> Scores | str:
    import torch  # pyright: ignore[reportMissingImports]

    dtype = next(module.parameters()).dtype
    if dtype not in (torch.float32, torch.float64):
        return f"{dtype} is computed with in float32; give reference to compare with saved raw scores"
    with torch.no_grad():
        scores = module.eval()(torch.from_numpy(np.ascontiguousarray(X)).to(dtype)).numpy()
    if scores.size != len(X):
        return f"the module gives {scores.shape[1]} outputs; give reference to compare with saved raw scores"
    return scores


def _state_dict(saved: Any, X: npt.NDArray[Any]) -> str:
    return "a state dict has no forward pass of its own; give sample and reference to compare with saved raw scores"


_OF_FILE: dict[str, Callable[[Path, npt.NDArray[Any]], Scores | str]] = {
    "LightGBM": _lightgbm_file,
    "XGBoost": _xgboost_file,
    "CatBoost": _catboost_file,
}
"""By the first word of `Model.source`."""

_OF_CLASS: dict[str, Callable[[Any, npt.NDArray[Any]], Scores | str]] = {
    "lightgbm.basic.Booster": _lightgbm,
    "lightgbm.sklearn.LGBMModel": _lightgbm,
    "xgboost.core.Booster": _xgboost,
    "xgboost.sklearn.XGBModel": _xgboost_model,
    "catboost.core.CatBoost": _catboost,
    "sklearn.cross_decomposition._pls.PLSRegression": _sklearn,
    "sklearn.linear_model._base.LinearModel": _sklearn,
    "sklearn.linear_model._stochastic_gradient.BaseSGDRegressor": _sklearn,
    "sklearn.neural_network._multilayer_perceptron.MLPRegressor": _sklearn,
    "sklearn.tree._classes.DecisionTreeRegressor": _sklearn,
    "sklearn.ensemble._forest.ForestRegressor": _sklearn_forest,
    "sklearn.ensemble._gb.GradientBoostingRegressor": _sklearn,
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor": _sklearn_hist,
    **dict.fromkeys(COMPOSITIONS, _sklearn),
    "torch.nn.modules.module.Module": _torch,
    **dict.fromkeys(("builtins.dict", "collections.OrderedDict"), _state_dict),
}
"""By qualified name of the class; the first one over the object's MRO."""
