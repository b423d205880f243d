"""What the symbols of one pickle amount to: code objects and embedded objects, by the names of their makers."""

from __future__ import annotations

import _compat_pickle
import sys
from collections.abc import Iterator
from typing import Any

from bundle_core.fingerprint.bytecode import Code
from bundle_core.fingerprint.machine import Group, Made, Ref, Symbol, Trace
from bundle_core.fingerprint.names import plain
from bundle_core.fingerprint.report import Embedded

MAX_EMBEDDED = 40
MAX_CODES = 5_000
MAX_CODE_BYTES = 1_500_000

# Gone from newer Pythons; and Python 2's names, which old protocols write and unpickling maps.
_REMOVED = frozenset(("asynchat", "asyncore", "distutils", "imp", "smtpd", "cgi", "crypt", "telnetlib", "pipes"))
_STANDARD_LIBRARY = sys.stdlib_module_names | _REMOVED | _compat_pickle.IMPORT_MAPPING.keys()


def is_standard_library(package: str) -> bool:
    """Whether some Python from 3.10 on has this top-level module."""
    return package in _STANDARD_LIBRARY


def function_name(func: Symbol) -> str:
    """The dotted name of what is called, empty where it is no import."""
    return str(func) if isinstance(func, Ref) else ""


def is_cloudpickle(ref: Ref) -> bool:
    """Whether the name is one of cloudpickle's own (also of the copies in joblib, ray, pyspark)."""
    return ref.module.endswith(("cloudpickle.cloudpickle", "cloudpickle.cloudpickle_fast"))


def items_of(symbol: Symbol) -> list[Any]:
    """The items of a container; none of anything else."""
    return symbol.items if isinstance(symbol, Group) else []


def texts_of(symbol: Symbol) -> tuple[str, ...]:
    """The same with an empty text for each item that is none."""
    return tuple(item if isinstance(item, str) else "" for item in items_of(symbol))


def builtin_type(func: Symbol) -> str:
    """ "CodeType" and the like of `types`: cloudpickle names them through its `_builtin_type`, others directly."""
    if isinstance(func, Made) and function_name(func.func).endswith("._builtin_type"):
        named = items_of(func.args)[:1]
        return named[0] if named and isinstance(named[0], str) else ""
    module, _, name = function_name(func).partition(".")
    return name if module == "types" else ""


def _bytes(symbol: Symbol) -> bytes | None:
    """Bytes; below protocol 3 they are written as a call that encodes a text."""
    if isinstance(symbol, Made):
        parts = texts_of(symbol.args)
        name = function_name(symbol.func)
        if name == "_codecs.encode" and parts[1:] == ("latin1",):
            return parts[0].encode("latin-1", "replace")
        return b"" if name in ("builtins.bytes", "__builtin__.bytes") and not parts else None
    return symbol if isinstance(symbol, bytes) else None


def code_of(made: Symbol) -> Code | None:
    """The code object that this call makes; None for any other call, and where parts were too long to keep."""
    if not isinstance(made, Made) or builtin_type(made.func) != "CodeType":
        return None
    args = items_of(made.args)
    if len(args) not in (16, 18):
        return None
    numbers = [arg for arg in args[:6] if isinstance(arg, int)]
    bytecode = _bytes(args[6])
    linetable = _bytes(args[13 if len(args) == 16 else 14])
    exceptions = b"" if len(args) == 16 else _bytes(args[15])
    if len(numbers) < 6 or bytecode is None or linetable is None or exceptions is None:
        return None
    argcount, _, kwonly, _, _, flags = numbers
    name = args[11] if isinstance(args[11], str) else ""
    consts, names, varnames = tuple(items_of(args[7])), texts_of(args[8]), texts_of(args[9])
    return Code(len(args), argcount, kwonly, flags, bytecode, consts, names, varnames, name, linetable, exceptions)


def code_objects(trace: Trace) -> list[Code]:
    """The code objects of the pickle, in order; at most MAX_CODES and MAX_CODE_BYTES of them."""
    codes: list[Code] = []
    room = MAX_CODE_BYTES
    for made in trace.calls:
        code = code_of(made)
        if code is not None:
            room -= len(code.bytecode) + len(code.linetable) + len(code.exceptions)
            if room < 0 or len(codes) == MAX_CODES:
                break
            codes.append(code)
    return codes


def embedded_objects(trace: Trace) -> tuple[Embedded, ...]:
    """Objects of libraries, by class, largest first."""
    found: dict[str, list[int]] = {}
    for made in trace.calls:
        kind = _kind(made)
        if kind:
            found.setdefault(kind, []).append(made.size)
    objects = [
        Embedded(plain(kind), plain(kind).partition(".")[0], len(sizes), sum(sizes)) for kind, sizes in found.items()
    ]
    return tuple(sorted(objects, key=lambda one: (-one.size_bytes, one.kind))[:MAX_EMBEDDED])


def _kind(made: Made) -> str:
    if builtin_type(made.func) == "CodeType":
        return "code"
    if not isinstance(made.func, Ref) or is_cloudpickle(made.func):
        return ""
    first = next(iter(items_of(made.args)), None)
    name = str(made.func)
    if name in ("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__") and isinstance(first, Ref):
        return str(first)
    if name.endswith((".multiarray._reconstruct", ".numeric._frombuffer")):
        return "numpy.ndarray"
    return "" if is_standard_library(name.partition(".")[0]) else name


def pairs_of(state: Symbol) -> Iterator[tuple[Any, Any]]:
    """Keys and values of a dict, or of the dicts in a (dict, slots) pair."""
    parts = [state] if isinstance(state, Group) and state.kind == "dict" else items_of(state)
    for part in parts:
        items = items_of(part) if isinstance(part, Group) and part.kind == "dict" else []
        yield from ((key, value) for key, value in zip(items[::2], items[1::2], strict=False) if isinstance(key, str))
