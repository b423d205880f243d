"""Raw scores by the library that trained the model, where this interpreter has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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
    return f"its library cannot be asked ({source.model.source}); give reference to compare with saved raw scores"


def _of_object(native: Any, X: npt.NDArray[Any]) -> Scores | str:
    for base in type(native).__mro__:
        score = _OF_CLASS.get(f"{base.__module__}.{base.__qualname__}")
        if score is not None:
            return np.asarray(score(native, X)).reshape(-1)
    return f"{type(native).__qualname__} is not one whose raw scores are known; give reference"


def _lightgbm_file(path: Path, X: npt.NDArray[Any]) -> Scores:
    import lightgbm  # pyright: ignore[reportMissingImports]

    from bundle_core.frontends import opened

    with opened(path) as stream:
        booster = lightgbm.Booster(model_str=stream.read().decode())
    return _lightgbm(booster, X)


def _lightgbm(booster: Any, X: npt.NDArray[Any]) -> Scores:
    return booster.predict(X.astype(np.float64), raw_score=True, num_threads=1)


_OF_FILE: dict[str, Callable[[Path, npt.NDArray[Any]], Scores]] = {
    "LightGBM": _lightgbm_file,
}
"""By the first word of `Model.source`."""

_OF_CLASS: dict[str, Callable[[Any, npt.NDArray[Any]], Scores]] = {
    "lightgbm.basic.Booster": _lightgbm,
    "lightgbm.sklearn.LGBMModel": _lightgbm,
}
"""By qualified name of the class; the first one over the object's MRO."""
