"""The modules of a user's own repository: found while they are imported, and stored by value like the script itself."""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import sys
import types
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

_BUILD_DETAILS = ("__file__", "__cached__", "__path__", "__spec__", "__loader__")
"""What a module knows of the machine that it was imported on."""


class RepositoryFinder(importlib.abc.MetaPathFinder):
    """Imports modules under `root` with file names relative to it, and remembers which they were."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.found: list[str] = []

    def owns(self, name: str) -> bool:
        """Could the repository's own `name` be imported?"""
        return any((self.root / f"{name}{end}").exists() for end in ("", ".py"))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None:
            return None
        places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
        if not places or not all(self._is_own(Path(place)) for place in places):
            return None
        self.found.append(fullname)
        if isinstance(spec.loader, SourceFileLoader):
            spec.loader = _RelativeLoader(spec.loader.name, spec.loader.path, self.root)
        return spec

    def _is_own(self, place: Path) -> bool:
        resolved = place.resolve()
        installed = "site-packages" in resolved.parts or resolved.is_relative_to(Path(sys.prefix).resolve())
        return resolved.is_relative_to(self.root) and not installed


class _RelativeLoader(SourceFileLoader):
    """Compiles under a file name relative to the repository, so that no path of this machine gets into a pickle."""

    def __init__(self, fullname: str, path: str, root: Path) -> None:
        super().__init__(fullname, path)
        self.root = root

    def get_code(self, fullname: str) -> Any:
        # Cached bytecode has the full path inside.
        return self.source_to_code(self.get_data(self.path), self.path)

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> Any:
        resolved = Path(os.fsdecode(path)).resolve()
        name = resolved.relative_to(self.root) if resolved.is_relative_to(self.root) else Path(resolved.name)
        return compile(data, name.as_posix(), "exec", dont_inherit=True, optimize=_optimize)


@contextmanager
def repository(root: Path, script: Path) -> Generator[RepositoryFinder, None, None]:
    """While it is open the user's modules are found as if `script` were run with `root` as the working directory.

    They are forgotten when it closes.
    """
    finder = RepositoryFinder(root)
    before, paths = Path.cwd(), list(sys.path)
    sys.meta_path.insert(0, finder)
    sys.path[:0] = [str(script.parent), str(root)]
    os.chdir(root)
    try:
        yield finder
    finally:
        os.chdir(before)
        sys.path[:] = paths
        sys.meta_path.remove(finder)
        for name in finder.found:
            sys.modules.pop(name, None)


def import_script(finder: RepositoryFinder, script: Path) -> types.ModuleType:
    """Run the script as a module of its own name; what it raises comes through."""
    name = script.stem if script.stem not in sys.modules else f"{script.stem}_script"
    loader = _RelativeLoader(name, str(script), finder.root)
    spec = importlib.util.spec_from_file_location(name, script, loader=loader)
    if spec is None:
        raise ImportError(f"{script} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    finder.found.append(name)
    loader.exec_module(module)
    return module


@contextmanager
def stored_by_value(names: Sequence[str]) -> Generator[None, None, None]:
    """While it is open cloudpickle stores these modules by value, without what they know of this machine."""
    import cloudpickle

    modules = [sys.modules[name] for name in dict.fromkeys(names) if name in sys.modules]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
        for detail in _BUILD_DETAILS:
            module.__dict__.pop(detail, None)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)
