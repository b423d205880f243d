"""What `pickle.load` would return, and with which parameters it can be called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bundle_core.fingerprint.bytecode import Code
from bundle_core.fingerprint.contents import builtin_type, code_of, function_name, items_of, pairs_of, texts_of
from bundle_core.fingerprint.machine import Group, Made, Ref, Symbol
from bundle_core.fingerprint.report import TopKind
from bundle_core.fingerprint.stream import Blob

_MODEL_LIBRARIES = frozenset(("lightgbm", "xgboost", "catboost", "sklearn"))
_DATA_LIBRARIES = frozenset(("numpy", "pandas", "polars", "scipy"))
_OBJECT_MAKERS = ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__")


@dataclass(frozen=True)
class Top:
    """`code` runs when the object is called; `bound` of its first parameters are filled already."""

    kind: TopKind
    name: str = ""
    code: Code | None = None
    bound: int = 0
    signature_replaced: bool = False
    """It carries `__wrapped__` or `__signature__`, which `inspect.signature` prefers."""

    @property
    def parameters(self) -> tuple[str, ...] | None:
        return self.code.parameters[self.bound :] if self.code else None


def top_object(top: Symbol, depth: int = 0) -> Top:
    """The object at the top of the pickle."""
    if isinstance(top, Ref):
        return Top("reference", str(top))
    if isinstance(top, Group):
        return Top("other", top.kind)
    if not isinstance(top, Made) or depth > 20:
        return Top("other" if isinstance(top, (str, bytes, int, Blob)) else "unknown")
    name, args = function_name(top.func), items_of(top.args)
    if name.endswith("._make_function") or builtin_type(top.func) == "FunctionType":
        code = code_of(args[0]) if args else None
        return Top("function", code.name if code else "", code, 0, _replaces_signature(top))
    if name == "functools.partial" and args:
        inner = top_object(args[0], depth + 1)
        state = items_of(top.state)
        filled = len(items_of(state[1])) if len(state) > 1 else 0
        return Top("callable", name, inner.code, inner.bound + filled, inner.signature_replaced)
    if builtin_type(top.func) == "MethodType" and args:
        inner = top_object(args[0], depth + 1)
        return Top("callable", inner.name, inner.code, inner.bound + 1, inner.signature_replaced)
    if name == "builtins.getattr" and len(args) == 2 and isinstance(args[1], str):
        return _instance(args[0], args[1])
    return _instance(top, "__call__")


def _instance(made: Symbol, method: str) -> Top:
    """An object of a class, as far as it is called through its method."""
    if not isinstance(made, Made):
        return Top("unknown")
    owner, args = made.func, items_of(made.args)
    if function_name(owner) in _OBJECT_MAKERS and args:
        owner = args[0]
    if isinstance(owner, Made):
        return _instance_by_value(owner, method)
    library = owner.module.partition(".")[0] if isinstance(owner, Ref) else ""
    if method != "__call__" or library not in _MODEL_LIBRARIES | _DATA_LIBRARIES:
        return Top("unknown", function_name(owner))
    return Top("model" if library in _MODEL_LIBRARIES else "other", function_name(owner))


def _instance_by_value(owner: Made, method: str) -> Top:
    """The class lies in the pickle: `_make_skeleton_class(type, name, bases, ...)` and its state."""
    names = texts_of(owner.args)
    name = names[1] if len(names) > 1 else ""
    for key, value in pairs_of(owner.state):
        if key == method and isinstance(value, Made):
            inner = top_object(value)
            return Top("callable", name, inner.code, 1, inner.signature_replaced)
    parts: list[Any] = items_of(owner.args)
    bases = items_of(parts[2]) if len(parts) > 2 else []
    plain = owner.state is not None and all(isinstance(base, Ref) and base.name == "object" for base in bases)
    return Top("other" if plain and method == "__call__" else "unknown", name)


def _replaces_signature(function: Made) -> bool:
    return not {"__wrapped__", "__signature__"}.isdisjoint(key for key, _ in pairs_of(function.state))
