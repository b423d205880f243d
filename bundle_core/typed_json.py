"""JSON values as typed dataclasses, with the path of whatever does not fit."""

from __future__ import annotations

import math
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")

_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    type(None): "null",
}


class Mismatch(ValueError):
    """A JSON value does not fit. `path` is the key, "models[1].weight"; `problem` says what is wrong with it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or 'the value'}: {problem}")
        self.path = path
        self.problem = problem


def from_json(kind: type[T], value: object, path: str = "") -> T:
    """`value`, as `json.loads` gives it, as the dataclass `kind`; `path` is what comes before its keys in errors.

    Raises Mismatch where a key is unknown or missing or a value has the wrong type.
    """
    return cast(T, _read(kind, value, path))


def _read(kind: Any, value: Any, path: str) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value, path)
    if origin is Literal:
        if value not in get_args(kind):
            raise Mismatch(path, f"{value!r} is not {_name(kind)}")
        return value
    if is_dataclass(kind):
        return _read_dataclass(cast(type, kind), value, path)
    if origin is tuple and get_args(kind)[-1] is not Ellipsis:
        return _read_fixed(get_args(kind), value, path)
    if origin in (list, tuple):
        items = [_read(get_args(kind)[0], item, f"{path}[{i}]") for i, item in enumerate(_of(list, value, path))]
        return items if origin is list else tuple(items)
    if origin is dict:
        return {key: _read(get_args(kind)[1], item, _join(path, key)) for key, item in _of(dict, value, path).items()}
    return _of(kind, value, path)


def _read_fixed(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    items = _of(list, value, path)
    if len(items) != len(kinds):
        raise Mismatch(path, f"{_short(value)} is not a list of {len(kinds)}")
    return tuple(_read(kind, item, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(kinds, items, strict=True)))


def _of(kind: Any, value: Any, path: str) -> Any:
    fits = isinstance(value, kind)
    if kind in (int, float):
        fits = isinstance(value, (int, kind)) and not isinstance(value, bool) and math.isfinite(value)
    if not fits:
        raise Mismatch(path, f"{_short(value)} is not {_name(kind)}")
    return float(value) if kind is float else value


def _read_union(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    for kind in kinds:
        if _outer(kind) is type(value) or (is_dataclass(kind) and isinstance(value, dict)):
            return _read(kind, value, path)
    for kind in kinds:
        try:
            return _read(kind, value, path)
        except Mismatch:
            continue
    raise Mismatch(path, f"{_short(value)} is not {' or '.join(_name(kind) for kind in kinds)}")


def _read_dataclass(kind: type, value: Any, path: str) -> Any:
    hints = get_type_hints(kind)
    given = cast("dict[str, Any]", _of(dict, value, path))
    for key in given:
        if key not in hints:
            raise Mismatch(_join(path, key), f"unknown key; known are {', '.join(hints)}")
    for item in fields(cast(Any, kind)):
        if item.name not in given and item.default is MISSING and item.default_factory is MISSING:
            raise Mismatch(_join(path, item.name), "is missing")
    return kind(**{name: _read(hints[name], item, _join(path, name)) for name, item in given.items()})


def _outer(kind: Any) -> Any:
    """The Python type of a JSON value of this kind; None for a choice of texts."""
    origin = get_origin(kind)
    return None if origin is Literal else list if origin is tuple else origin or kind


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in get_args(kind))
    return _NAMES.get(dict if is_dataclass(kind) else _outer(kind), str(kind))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
