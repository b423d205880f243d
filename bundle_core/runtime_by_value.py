"""The runtime's sources as plain functions that cloudpickle stores by value.

Every module is compiled under a fixed file name and runs in a namespace with a fixed name that is no importable module:
no build path and no import of ours gets into a pickle.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

NAME = "numerai_bundle"
_PACKAGE = "bundle_core.runtime."


def runtime_namespace(module: str) -> dict[str, Any]:
    """All names of one module of `bundle_core/runtime`; what it imports of its siblings is loaded the same way."""
    return _loaded(module, {})


def _loaded(module: str, done: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if module in done:
        return done[module]
    source = files("bundle_core").joinpath("runtime", f"{module}.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    namespace: dict[str, Any] = {"__name__": f"{NAME}.{module}"}
    for sibling, names in _sibling_imports(tree):
        given = _loaded(sibling, done)
        namespace.update({alias.asname or alias.name: given[alias.name] for alias in names})
    tree.body = [node for node in tree.body if not _is_sibling_import(node)]
    # Optimised: docstrings would only make the pickle larger.
    exec(compile(tree, f"{NAME}/{module}.py", "exec", dont_inherit=True, optimize=2), namespace)
    done[module] = namespace
    return namespace


def _sibling_imports(tree: ast.Module) -> Iterator[tuple[str, list[ast.alias]]]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and _is_sibling_import(node):
            yield (node.module or "").removeprefix(_PACKAGE), node.names


def _is_sibling_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE)
