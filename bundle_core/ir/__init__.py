"""The intermediate representation: what a front end makes of a native model, and what the bundle file holds.

A model is a frozen dataclass registered in `KINDS`; the layers of a network are registered in `LAYERS`. Their fields
are numpy arrays, JSON-able values, or models and layers in turn, and `validate()` raises `BundleInvalid`. A new kind
is one module beside this one and one line in `KINDS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from bundle_core.errors import BundleInvalid
from bundle_core.ir.model import Model, require
from bundle_core.ir.network import LAYERS, Network
from bundle_core.ir.tree_ensemble import TreeEnsemble

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["KINDS", "Model", "Network", "TreeEnsemble", "from_arrays", "to_arrays"]

KINDS: dict[str, type[Model]] = {"tree_ensemble": TreeEnsemble, "network": Network}
_PARTS: dict[str, type[DataclassInstance]] = {**KINDS, **LAYERS}
_KIND_OF: dict[type[DataclassInstance], str] = {part_type: kind for kind, part_type in _PARTS.items()}

Arrays = dict[str, npt.NDArray[Any]]


def to_arrays(model: Model) -> tuple[dict[str, Any], Arrays]:
    """Split a model into a JSON-able spec (with its "kind") and its arrays by name: "leaf_value", "layers.0.weight"."""
    arrays: Arrays = {}
    return _spec_of(model, "", arrays), arrays


def from_arrays(spec: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Model:
    """Rebuild and validate a model from what `to_arrays` gave; a JSON round trip of the spec is fine.

    Raises BundleInvalid for an unknown kind, missing or unknown fields, wrong dtypes or contradicting shapes.
    """
    left = dict(arrays)
    try:
        model = _part_of(spec, "", left)
        require(isinstance(model, Model), f"{spec['kind']} is no model")
        cast(Model, model).validate()
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise BundleInvalid(
            "The bundle's model does not hold what its kind has.",
            evidence=f"{type(error).__name__}: {error}",
            next_step="Build the bundle again with this version.",
        ) from error
    if left:
        raise _other_fields("model", set(), set(left))
    return cast(Model, model)


def _spec_of(part: DataclassInstance, place: str, arrays: Arrays) -> dict[str, Any]:
    spec: dict[str, Any] = {"kind": _KIND_OF[type(part)]}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, np.ndarray):
            arrays[place + field.name] = value
        else:
            spec[field.name] = _json_of(value, f"{place}{field.name}.", arrays)
    return spec


def _json_of(value: Any, place: str, arrays: Arrays) -> Any:
    if isinstance(value, tuple):
        return [_json_of(item, f"{place}{i}.", arrays) for i, item in enumerate(cast("tuple[Any, ...]", value))]
    return _spec_of(value, place, arrays) if dataclasses.is_dataclass(type(value)) else value


def _part_of(spec: Mapping[str, Any], place: str, left: Arrays) -> DataclassInstance:
    """The model or layer that `spec` tells, with its arrays taken out of `left`."""
    kind = spec.get("kind")
    part_type = _PARTS.get(str(kind))
    if part_type is None:
        raise BundleInvalid(
            f"The bundle holds a model of unknown kind {kind!r}.",
            evidence=f"Known kinds: {', '.join(sorted(_PARTS))}.",
            next_step="Build the bundle again with this version.",
        )
    expected = {field.name for field in dataclasses.fields(part_type)}
    values = {name: _value_of(value, f"{place}{name}.", left) for name, value in spec.items() if name != "kind"}
    values.update({name: left.pop(place + name) for name in expected if place + name in left})
    if set(values) != expected:
        raise _other_fields(str(kind), expected - set(values), set(values) - expected)
    return part_type(**values)


def _value_of(value: Any, place: str, left: Arrays) -> Any:
    """JSON turns tuples into lists; models hold tuples."""
    if isinstance(value, Mapping):
        return _part_of(cast("Mapping[str, Any]", value), place, left)
    if isinstance(value, list | tuple):
        return tuple(_value_of(item, f"{place}{i}.", left) for i, item in enumerate(cast("list[Any]", value)))
    return value


def _other_fields(kind: str, missing: set[str], unknown: set[str]) -> BundleInvalid:
    return BundleInvalid(
        f"The bundle's {kind} does not have the fields of this version.",
        evidence=f"Missing: {sorted(missing)}; unknown: {sorted(unknown)}.",
        next_step="Build the bundle again with this version.",
    )
