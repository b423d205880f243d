"""What the symbols of one pickle amount to: code, imports, embedded objects, the top object, names of columns."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from bundle_core.fingerprint.bytecode import Code
from bundle_core.fingerprint.machine import Group, Made, Ref, Symbol, Trace
from bundle_core.fingerprint.report import Embedded, TopKind
from bundle_core.fingerprint.stream import Blob

MAX_NAMES = 5_000
MAX_EMBEDDED = 40

_FEATURE = re.compile(r"(?<![\w/.-])feature_[a-z0-9]\w{0,120}")
_BENCHMARK = re.compile(r"(?<![\w/.-])v\d{1,3}_[a-z]\w{0,60}")
_COLUMN = re.compile(r"(?:era|data_type|target\w{0,60}|id|prediction|probability)\Z")
_MODEL_LIBRARIES = frozenset(("lightgbm", "xgboost", "catboost", "sklearn"))
# Gone from newer Pythons, and Python 2's names, which unpickling maps.
_OLD_MODULES = frozenset(
    ("asynchat", "asyncore", "distutils", "imp", "smtpd", "cgi", "crypt", "__builtin__", "copy_reg")
)
_STANDARD_LIBRARY = sys.stdlib_module_names | _OLD_MODULES


def is_standard_library(package: str) -> bool:
    """Whether some Python from 3.10 on has this top-level module."""
    return package in _STANDARD_LIBRARY


class Names:
    """Collects names of Numerai's columns from the texts of a pickle."""

    def __init__(self) -> None:
        self.features: set[str] = set()
        self.benchmarks: set[str] = set()
        self.columns: set[str] = set()

    def read(self, text: str | bytes | Blob) -> None:
        if isinstance(text, Blob):
            text = text.head
        if isinstance(text, bytes):
            # numpy keeps texts of fixed width as four bytes a character.
            text = (text.replace(b"\0\0\0", b"") if b"\0\0\0" in text else text).decode("latin-1")
        if "feature_" in text and len(self.features) < MAX_NAMES:
            self.features.update(_FEATURE.findall(text)[:MAX_NAMES])
        if "v" in text and len(self.benchmarks) < MAX_NAMES:
            self.benchmarks.update(_BENCHMARK.findall(text)[:MAX_NAMES])
        if len(text) < 80 and _COLUMN.match(text):
            self.columns.add(text)


def function_name(func: Symbol) -> str:
    """The dotted name of what is called, empty where it is no import."""
    return str(func) if isinstance(func, Ref) else ""


def is_cloudpickle(ref: Ref) -> bool:
    """Whether the name is one of cloudpickle's own (also of the copies in joblib, ray, pyspark)."""
    return ref.module.endswith(("cloudpickle.cloudpickle", "cloudpickle.cloudpickle_fast"))


def _items(symbol: Symbol) -> list[Any]:
    return symbol.items if isinstance(symbol, Group) else []


def _texts(symbol: Symbol) -> tuple[str, ...]:
    return tuple(item if isinstance(item, str) else "" for item in _items(symbol))


def _is_code_type(func: Symbol) -> bool:
    """cloudpickle names CodeType through a call of its `_builtin_type`; others name it directly."""
    if isinstance(func, Made) and function_name(func.func).endswith("._builtin_type"):
        return _texts(func.args)[:1] == ("CodeType",)
    return function_name(func) in ("types.CodeType", "builtins.code")


def code_of(made: Symbol) -> Code | None:
    """The code object that this call makes; None for any other call, and where parts were too long to keep."""
    if not isinstance(made, Made) or not _is_code_type(made.func):
        return None
    args = _items(made.args)
    if len(args) not in (16, 18):
        return None
    numbers = [arg for arg in args[:6] if isinstance(arg, int)]
    linetable, exceptions = (args[13], b"") if len(args) == 16 else (args[14], args[15])
    if len(numbers) < 6 or not all(isinstance(part, bytes) for part in (args[6], linetable, exceptions)):
        return None
    argcount, _, kwonly, _, _, flags = numbers
    name = args[11] if isinstance(args[11], str) else ""
    consts, names, varnames = tuple(_items(args[7])), _texts(args[8]), _texts(args[9])
    return Code(len(args), argcount, kwonly, flags, args[6], consts, names, varnames, name, linetable, exceptions)


def embedded_objects(trace: Trace) -> tuple[Embedded, ...]:
    """Objects of libraries, by class, largest first."""
    found: dict[str, list[int]] = {}
    for made in trace.calls:
        kind = _kind(made)
        if kind:
            found.setdefault(kind, []).append(made.size)
    objects = [Embedded(kind, kind.partition(".")[0], len(sizes), sum(sizes)) for kind, sizes in found.items()]
    return tuple(sorted(objects, key=lambda one: (-one.size_bytes, one.kind))[:MAX_EMBEDDED])


def _kind(made: Made) -> str:
    if code_of(made):
        return "code"
    if not isinstance(made.func, Ref) or is_cloudpickle(made.func):
        return ""
    first = next(iter(_items(made.args)), None)
    name = str(made.func)
    if name in ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__") and isinstance(first, Ref):
        return str(first)
    if name.endswith((".multiarray._reconstruct", ".numeric._frombuffer")):
        return "numpy.ndarray"
    return "" if is_standard_library(name.partition(".")[0]) else name


def top_object(top: Symbol) -> tuple[TopKind, str, Code | None, bool]:
    """What `pickle.load` would return: kind, name, the code of its call, and whether that code takes a `self`."""
    if isinstance(top, Ref):
        return "reference", str(top), None, False
    if isinstance(top, Group):
        return "other", top.kind, None, False
    if not isinstance(top, Made):
        return (
            ("unknown", "", None, False) if not isinstance(top, (str, bytes, int, Blob)) else ("other", "", None, False)
        )
    name = function_name(top.func)
    if name.endswith("._make_function") or name in ("types.FunctionType", "builtins.function"):
        code = code_of(next(iter(_items(top.args)), None))
        return "function", code.name if code else "", code, False
    if name == "functools.partial":
        return "callable", name, None, False
    if name == "builtins.getattr" or name.endswith("._getattr"):
        return "callable", "bound method", None, False
    owner = top.func
    if name in ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__"):
        owner = next(iter(_items(top.args)), None)
    if isinstance(owner, Made):
        return _instance(owner)
    if isinstance(owner, Ref) and owner.module.partition(".")[0] in _MODEL_LIBRARIES:
        return "model", str(owner), None, False
    if isinstance(owner, Ref) and owner.module.startswith(("numpy.", "pandas.")):
        return "other", str(owner), None, False
    return "unknown", str(owner) if isinstance(owner, Ref) else "", None, False


def replaces_signature(top: Symbol) -> bool:
    """Whether the object's state holds what `inspect.signature` prefers over the code's own parameters."""
    keys = {key for key, _ in _pairs(top.state)} if isinstance(top, Made) else set[Any]()
    return not keys.isdisjoint(("__wrapped__", "__signature__"))


def _instance(owner: Made) -> tuple[TopKind, str, Code | None, bool]:
    """An instance of a class that the pickle holds by value."""
    args = _texts(owner.args)
    name = args[1] if len(args) > 1 else ""
    for key, value in _pairs(owner.state):
        if key == "__call__" and isinstance(value, Made):
            return "callable", name, code_of(next(iter(_items(value.args)), None)), True
    bases = _items(_items(owner.args)[2]) if len(_items(owner.args)) > 2 else []
    plain = owner.state is not None and all(isinstance(base, Ref) and base.name == "object" for base in bases)
    return ("other" if plain else "unknown"), name, None, False


def _pairs(state: Symbol) -> Iterator[tuple[Any, Any]]:
    """Keys and values of a dict, or of the dicts in a (dict, slots) pair."""
    parts = [state] if isinstance(state, Group) and state.kind == "dict" else _items(state)
    for part in parts:
        items = _items(part) if isinstance(part, Group) and part.kind == "dict" else []
        yield from ((key, value) for key, value in zip(items[::2], items[1::2], strict=False) if isinstance(key, str))
