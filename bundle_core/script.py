"""A user's own `file.py:function` as a pickle.

The script is imported, so it may load saved models; it must not train. Whoever starts this sets the time limit.
"""

from __future__ import annotations

import inspect
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle_core.errors import PackRefused
from bundle_core.fingerprint import read
from bundle_core.packing import pickled, store
from bundle_core.reports import ScriptReport, ScriptRequest
from bundle_core.script_findings import Contents, find
from bundle_core.user_modules import import_script, repository, stored_by_value


def pack_script(request: ScriptRequest) -> ScriptReport:
    """Import the script, pickle its function with the user's own modules by value, and look for what would fail.

    Raises PackRefused where the script cannot be imported, the function is no predict, or what it holds would fail in
    the container; then nothing is written.
    """
    file, _, name = request.script.rpartition(":")
    root = Path(request.base_dir)
    script = (root / file).resolve()
    with repository(root, script) as finder:
        module = _imported(finder, script)
        predict = _function(module, name, script)
        contents = Contents()
        with stored_by_value(finder.found):
            content = pickled(predict, contents.watch)
    with tempfile.TemporaryDirectory(prefix="script-") as folder:
        aside = Path(folder) / "model.pkl"
        aside.write_bytes(content)
        findings = find(read(aside), contents, finder.owns, request.image_packages)
    refused = [finding for finding in findings if finding.severity == "refused"]
    if refused:
        raise PackRefused(
            f"{name} would fail in the container.",
            evidence="; ".join(f"{finding.cause} ({finding.evidence})" for finding in refused),
            next_step=" ".join(dict.fromkeys(finding.next_step for finding in refused)),
        )
    return ScriptReport(
        pack=store(content, Path(request.output), None),
        parameters=list(inspect.signature(predict).parameters),
        modules_by_value=sorted({*finder.found}),
        findings=findings,
    )


def _imported(finder: Any, script: Path) -> Any:
    if not script.is_file():
        raise PackRefused(f"{script.name} does not exist.", next_step="Give script as file.py:function.")
    try:
        return import_script(finder, script)
    except (Exception, SystemExit) as error:  # noqa: BLE001  foreign code: whatever it raises is the reason
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "importlib" not in frame.filename and "bundle_core" not in frame.filename]
        at = f"{own[-1].filename}, line {own[-1].lineno}: " if own else ""
        missing = isinstance(error, ImportError)
        raise PackRefused(
            f"{script.name} cannot be imported.",
            evidence=f"{at}{type(error).__name__}: {error}",
            next_step="Install what is missing with make_venv(packages=[...])."
            if missing
            else "Mend the line; a script for deployment only loads saved models and defines predict.",
        ) from None


def _function(module: Any, name: str, script: Path) -> Callable[..., Any]:
    predict = getattr(module, name, None)
    if not callable(predict):
        there = [key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")]
        raise PackRefused(
            f"{script.name} has no function {name!r}.",
            evidence=f"functions in it: {', '.join(there) or 'none'}",
            next_step="Give script as file.py:function.",
        )
    if len(inspect.signature(predict).parameters) not in (1, 2):
        raise PackRefused(
            f"{name} must have one or two parameters: predict.py counts them, defaults included.",
            evidence=f"{name}{inspect.signature(predict)}",
            next_step="Define predict(live_features) or predict(live_features, live_benchmark_models).",
        )
    return predict
