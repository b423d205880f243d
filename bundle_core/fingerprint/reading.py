"""From a file to its fingerprint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Literal

from bundle_core.fingerprint.bodies import catches_everything, draws_random_numbers, import_statements
from bundle_core.fingerprint.bytecode import Code, minors_of, runs_on
from bundle_core.fingerprint.contents import code_objects, embedded_objects, is_cloudpickle, is_standard_library
from bundle_core.fingerprint.kinds import gpu_objects, numpy_generation, pandas_generation, recognise
from bundle_core.fingerprint.machine import Group, Limit, Machine, Malformed, Ref, Trace
from bundle_core.fingerprint.names import Names, plain
from bundle_core.fingerprint.report import PYTHON_MINORS, Fingerprint, Import
from bundle_core.fingerprint.stream import StreamEnds, read_opcodes
from bundle_core.fingerprint.top import Top, top_object

_MAX_IMPORTS = 200


def read(path: Path) -> Fingerprint:
    """The fingerprint of a file, from its opcodes: nothing is loaded, imported or called.

    Whatever the bytes are, it reads at most machine.MAX_OPCODES operations and keeps under 300 MB.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return _fingerprint(file, size)


def _fingerprint(file: BinaryIO, size: int) -> Fingerprint:
    head = file.read(4096)
    file.seek(0)
    kind, problem = recognise(head, size)
    names, complete, limit_reached = Names(), False, False
    machine = Machine(names.read)
    if kind == "pickle":
        try:
            machine.run(read_opcodes(file, size))
            complete = True
        except (StreamEnds, Malformed, Limit) as error:
            problem, limit_reached = str(error), isinstance(error, Limit)
    trace = machine.trace
    if trace.forgot and not problem:
        problem, limit_reached = "The pickle has more objects than are remembered.", True
    if ("joblib.numpy_pickle", "NumpyArrayWrapper") in trace.refs:
        kind, complete = "joblib", False
        problem = "joblib.dump wrote this file: its arrays lie between the opcodes, where pickle.load fails on them."
    codes = code_objects(trace)
    fits = [minors_of(code) for code in codes]
    candidates = tuple(minor for minor in PYTHON_MINORS if all(minor in fit for fit in fits))
    top = top_object(trace.top) if complete and not trace.forgot else Top("unknown")
    names.without_identifiers(codes)
    executed = [top.code] if top.code else codes
    bodies = [(code, fit[0], code == top.code) for code, fit in zip(codes, fits, strict=True) if fit]
    return Fingerprint(
        file_kind=kind,
        size_bytes=size,
        complete=complete,
        problem=problem,
        limit_reached=limit_reached,
        protocol=trace.protocol if kind in ("pickle", "joblib") else None,
        python_version=candidates[0] if codes and len(candidates) == 1 else None,
        python_candidates=candidates,
        runnable_on=tuple(
            minor for minor in PYTHON_MINORS if not codes or any(runs_on(code, minor) for code in executed)
        ),
        cloudpickle_generation=_cloudpickle_generation(trace),
        numpy_generation=numpy_generation(trace),
        pandas_generation=pandas_generation(trace),
        top_kind=top.kind,
        top_name=plain(top.name) if top.name else "",
        parameters=tuple(map(plain, top.parameters)) if top.parameters is not None else None,
        signature_replaced=top.signature_replaced,
        imports=_imports(trace, bodies),
        embedded=embedded_objects(trace),
        pandas_objects=tuple(
            sorted(plain(str(ref)) for ref in trace.refs.values() if ref.module.startswith("pandas."))
        ),
        gpu_objects=tuple(map(plain, gpu_objects(trace))),
        features=tuple(sorted(names.features)),
        benchmark_columns=tuple(sorted(names.benchmarks)),
        columns=tuple(sorted(names.columns)),
        hides_failures=any(catches_everything(code, minor) and draws_random_numbers(code) for code, minor, _ in bodies),
        code_objects=len(codes),
    )


def _cloudpickle_generation(trace: Trace) -> Literal["2", "3"] | None:
    modules = {ref.module.rpartition(".")[2] for ref in trace.refs.values() if is_cloudpickle(ref)}
    setters = {ref.module.rpartition(".")[2] for ref in trace.refs.values() if ref.name.endswith("_setstate")}
    if not modules:
        return None
    if "cloudpickle_fast" in modules:
        return "2"
    return "3" if "cloudpickle" in setters else None


def _imports(trace: Trace, bodies: list[tuple[Code, str, bool]]) -> tuple[Import, ...]:
    """By reference first, then the import statements of function bodies."""
    loads: dict[str, set[str]] = {}
    for ref in trace.refs.values():
        loads.setdefault(ref.module, set()).add(ref.name)
    for made in trace.calls:
        # A module that a by-value function uses as a global: cloudpickle imports it by name.
        if isinstance(made.func, Ref) and is_cloudpickle(made.func) and made.func.name == "subimport":
            named = made.args.items if isinstance(made.args, Group) else []
            loads.update({module: set() for module in named if isinstance(module, str) and module not in loads})
    found = [_import(module, names, "load", certain=True) for module, names in loads.items()]
    statements: dict[str, tuple[set[str], bool]] = {}
    for code, minor, is_top in bodies:
        for statement in import_statements(code, minor):
            names, certain = statements.get(statement.module, (set[str](), False))
            statements[statement.module] = (names | set(statement.names), certain or (statement.certain and is_top))
    found += [_import(module, names, "predict", certain=sure) for module, (names, sure) in statements.items()]
    return tuple(found[:_MAX_IMPORTS])


def _import(module: str, names: set[str], when: Literal["load", "predict"], *, certain: bool) -> Import:
    package = module.partition(".")[0]
    shown = tuple(plain(name) for name in sorted(names)[:20])
    return Import(plain(module), plain(package), shown, when, certain, is_standard_library(package))
