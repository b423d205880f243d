"""Lists of column names in files: a JSON list, or a set of Numerai's `features.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from bundle_core.pipeline import invalid


def resolve_names(names: list[str] | str, base_dir: Path, key: str) -> list[str]:
    """The names themselves where `names` is a list; else those in the file `path` or `path#set`.

    Raises PipelineInvalid, with `key` as the place, for an unreadable file, an unknown set or a name twice.
    """
    if isinstance(names, list):
        return names
    path, _, set_name = names.partition("#")
    found = _set_of(_read(base_dir / path, key), set_name, path, key)
    if not isinstance(found, list) or not found or not all(isinstance(name, str) for name in cast("list[Any]", found)):
        raise invalid(key, f"{names} is no list of names")
    listed = cast("list[str]", found)
    if len(set(listed)) != len(listed):
        raise invalid(key, f"{names} has {next(n for i, n in enumerate(listed) if n in listed[:i])!r} twice")
    return listed


def _read(path: Path, key: str) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise invalid(key, f"{path.name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise invalid(key, f"{path.name} is no JSON: {error}") from None


def _set_of(content: object, set_name: str, path: str, key: str) -> object:
    if not isinstance(content, dict):
        if set_name:
            raise invalid(key, f"{path} is a list and has no set {set_name!r}")
        return content
    given = cast("dict[str, Any]", content)
    sets = cast("dict[str, Any]", given.get("feature_sets", given))
    if set_name not in sets:
        known = ", ".join(sorted(sets))[:500]
        raise invalid(key, f"{path} has no set {set_name!r}; name one after '#', it has {known}")
    return sets[set_name]
