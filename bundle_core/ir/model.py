"""What all kinds of models share, and the checks that their `validate()` methods are written with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.errors import BundleInvalid


@dataclass(frozen=True, eq=False)
class Model(ABC):
    """A model as the bundle holds it: a frozen dataclass of numpy arrays and JSON-able values."""

    n_features: int
    feature_names: tuple[str, ...]
    """In the order of X's columns; empty if the source has none."""
    source: str
    """What the model is, for people: "LightGBM gbdt, objective regression"."""

    @abstractmethod
    def validate(self) -> None:
        """Raise BundleInvalid if the fields contradict each other."""


def require(condition: bool | np.bool_, what: str) -> None:
    """Raise BundleInvalid saying `what` unless the condition holds."""
    if not condition:
        raise BundleInvalid(
            f"The model's arrays contradict each other: {what}.",
            next_step="Build the bundle again from the model file; if that fails too, the model file is damaged.",
        )


def require_array(name: str, array: object, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    """Raise BundleInvalid unless `array` is an ndarray of exactly this dtype and shape."""
    require(isinstance(array, np.ndarray), f"{name} is not an array")
    values: npt.NDArray[Any] = np.asarray(array)
    require(values.dtype == dtype, f"{name} has dtype {values.dtype}, not {np.dtype(dtype)}")
    require(values.shape == shape, f"{name} has shape {values.shape}, not {shape}")


def require_names(names: tuple[str, ...], n_features: int) -> None:
    """Raise BundleInvalid unless the names are empty or one a feature, all different."""
    require(n_features >= 0, f"n_features is {n_features}")
    require(not names or len(names) == n_features, f"{len(names)} feature names for {n_features} features")
    require(len(set(names)) == len(names), "a feature name occurs twice")
