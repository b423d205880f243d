"""The intermediate representation: what a front end makes of a native model, and what the bundle file holds.

Each kind is a frozen dataclass registered in `KINDS`. Its fields are numpy arrays or JSON-able values, and its
`validate()` raises `BundleInvalid`. A new kind is one module beside this one and one line in `KINDS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.errors import BundleInvalid
from bundle_core.ir.model import Model
from bundle_core.ir.tree_ensemble import TreeEnsemble

__all__ = ["KINDS", "Model", "TreeEnsemble", "from_arrays", "to_arrays"]

KINDS: dict[str, type[Model]] = {"tree_ensemble": TreeEnsemble}


def to_arrays(model: Model) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Split a model into a JSON-able spec (with its "kind") and its arrays by field name."""
    spec: dict[str, Any] = {"kind": _kind_of(model)}
    arrays: dict[str, npt.NDArray[Any]] = {}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
        else:
            spec[field.name] = value
    return spec, arrays


def from_arrays(spec: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Model:
    """Rebuild and validate a model from what `to_arrays` gave; a JSON round trip of the spec is fine.

    Raises BundleInvalid for an unknown kind, missing or unknown fields, wrong dtypes or contradicting shapes.
    """
    kind = spec.get("kind")
    model_type = KINDS.get(str(kind))
    if model_type is None:
        raise BundleInvalid(
            f"The bundle holds a model of unknown kind {kind!r}.",
            evidence=f"Known kinds: {', '.join(sorted(KINDS))}.",
            next_step="Build the bundle again with this version.",
        )
    values: dict[str, Any] = {**{name: _tuples(value) for name, value in spec.items() if name != "kind"}, **arrays}
    expected = {field.name for field in dataclasses.fields(model_type)}
    if set(values) != expected:
        raise BundleInvalid(
            f"The bundle's {kind} does not have the fields of this version.",
            evidence=f"Missing: {sorted(expected - set(values))}; unknown: {sorted(set(values) - expected)}.",
            next_step="Build the bundle again with this version.",
        )
    model = model_type(**values)
    model.validate()
    return model


def _kind_of(model: Model) -> str:
    return next(kind for kind, model_type in KINDS.items() if type(model) is model_type)


def _tuples(value: Any) -> Any:
    """JSON turns tuples into lists; models hold tuples."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
