"""The runtime's sources as one namespace of plain functions that cloudpickle stores by value.

Every module is compiled under a fixed file name and runs in one namespace with a fixed name that is no importable
module: no build path and no import of ours gets into a pickle.
"""

from __future__ import annotations

import ast
from importlib.resources import files
from typing import Any

NAMESPACE = "numerai_bundle"
_PACKAGE = "bundle_core.runtime"


def runtime_namespace() -> dict[str, Any]:
    """All functions and constants of `bundle_core/runtime` by name.

    Raises ValueError where two modules define the same name: a mistake in the runtime, not of its user.
    """
    modules = _parsed()
    namespace: dict[str, Any] = {"__name__": NAMESPACE}
    owner: dict[str, str] = {}
    for module in _in_order(modules):
        for name in _defined(modules[module]):
            if owner.setdefault(name, module) != module:
                raise ValueError(f"both {owner[name]} and {module} of the runtime define {name}")
        tree = ast.Module([node for node in modules[module].body if not _siblings(node)], type_ignores=[])
        # Optimised: docstrings would only make the pickle larger.
        code = compile(tree, f"{NAMESPACE}/{module}.py", "exec", dont_inherit=True, optimize=2)
        exec(code, namespace)
    return namespace


def _parsed() -> dict[str, ast.Module]:
    sources = [file for file in files(_PACKAGE).iterdir() if file.name.endswith(".py") and file.name != "__init__.py"]
    return {file.name[:-3]: ast.parse(file.read_text(encoding="utf-8")) for file in sources}


def _in_order(modules: dict[str, ast.Module]) -> list[str]:
    """Module names, each after those that it imports."""
    ordered: list[str] = []

    def visit(module: str) -> None:
        for node in modules[module].body:
            for sibling in _siblings(node):
                if sibling not in ordered:
                    visit(sibling)
        if module not in ordered:
            ordered.append(module)

    for module in sorted(modules):
        visit(module)
    return ordered


def _siblings(node: ast.stmt) -> list[str]:
    """The runtime's modules that an import statement names."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
        if any(alias.asname for alias in node.names):
            raise ValueError("the runtime imports its own names as they are")
        inside = (node.module or "")[len(_PACKAGE) + 1 :]
        return [inside] if inside else [alias.name for alias in node.names]
    return []


def _defined(module: ast.Module) -> list[str]:
    names: list[str] = []
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
    return names
