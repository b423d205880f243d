"""What all fitted scikit-learn estimators share: their columns, whose methods they run, and how one is refused."""

from __future__ import annotations

from typing import Any

from bundle_core.errors import ModelRefused
from bundle_core.ir.network import Layer, Network

ByClass = dict[str, Any]


def class_name(estimator: object) -> str:
    """The qualified name that the registries are keyed by."""
    return f"{type(estimator).__module__}.{type(estimator).__qualname__}"


def of_class(registry: ByClass, estimator: object) -> Any:
    """The registry's entry of the first class over the object's MRO; None without one."""
    for base in type(estimator).__mro__:
        found = registry.get(f"{base.__module__}.{base.__qualname__}")
        if found is not None:
            return found
    return None


def refused(estimator: object, reason: str) -> ModelRefused:
    """The refusal of an estimator by name."""
    return ModelRefused(
        f"{class_name(estimator)} cannot be converted.",
        evidence=reason,
        next_step="Use `script` with a predict function that calls scikit-learn, in a venv made with "
        'make_venv(packages=["scikit-learn"]) at the image\'s pins.',
    )


def require_library_method(estimator: object, method: str) -> None:
    """Raise ModelRefused if a subclass outside of scikit-learn computes `method` itself: it would be left out."""
    owner = next((base for base in type(estimator).__mro__ if method in vars(base)), None)
    if owner is None:
        raise refused(estimator, f"It has no {method}.")
    if not owner.__module__.startswith("sklearn."):
        raise refused(estimator, f"{owner.__module__}.{owner.__qualname__} has its own {method}, which is not read.")


def require_fitted(estimator: object, attribute: str) -> None:
    """Raise ModelRefused for an estimator that was never fitted."""
    if not hasattr(estimator, attribute):
        raise refused(estimator, f"It is not fitted: it has no {attribute}.")


def network(estimator: Any, n_features: int, layers: tuple[Layer, ...], dtype: str) -> Network:
    """The validated network of an estimator, with the columns that it was fitted on. Raises BundleInvalid."""
    names = tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))
    made = Network(
        n_features=n_features,
        feature_names=names,
        source=f"scikit-learn {type(estimator).__name__}",
        dtype=dtype,
        layers=layers,
    )
    made.validate()
    return made
