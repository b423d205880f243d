"""One table in a TOML configuration file, edited as text: comments, order and spelling of all else stay."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from server.errors import InputError


def put_entry(text: str, section: str, name: str, entry: Mapping[str, Any]) -> str:
    """The text with the table `[section.name]` as its last; unchanged where it holds `entry` already.

    `entry` has texts, numbers and lists of texts, which JSON writes as TOML does.

    Raises:
        InputError: the text is not TOML, or has the table in a form that cannot be edited as text.
    """
    if _parsed(text).get(section, {}).get(name) == entry:
        return text
    others = drop_entry(text, section, name)
    if others and not others.endswith("\n"):
        others += "\n"
    lines = [f"[{section}.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in entry.items())]
    put = others + ("\n" if others else "") + "\n".join(lines) + "\n"
    rest, servers = _apart(others, section)
    _check(put, section, (rest, {**servers, name: entry}))
    return put


def drop_entry(text: str, section: str, name: str) -> str:
    """The text without the table `[section.name]` and its sub-tables; "" if nothing is left.

    Raises:
        InputError: as `put_entry`.
    """
    rest, servers = _apart(text, section)
    if name not in servers:
        return text
    ours = re.compile(rf"\s*\[\s*{re.escape(section)}\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*[.\]]")
    kept: list[str] = []
    between: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            if ours.match(line) and not inside and kept and not kept[-1].strip():
                kept.pop()
            inside = bool(ours.match(line))
        if not inside:
            kept += [*between, line]
            between = []
        elif not line.strip() or line.lstrip().startswith("#"):
            # What stands above the next table is that table's.
            between.append(line)
        else:
            between = []
    dropped = "".join(kept)
    _check(dropped, section, (rest, {key: value for key, value in servers.items() if key != name}))
    return dropped if dropped.strip() else ""


def _check(text: str, section: str, expected: tuple[dict[str, Any], dict[str, Any]]) -> None:
    if _apart(text, section) != expected:
        raise _unusable(f"{section} is not written as one table a server.")


def _apart(text: str, section: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """All but the section, and the section."""
    document = _parsed(text)
    return document, document.pop(section, {})


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unusable(str(error)) from None


def _unusable(evidence: str) -> InputError:
    return InputError(
        "The configuration file cannot be edited.",
        evidence=evidence,
        next_step="Mend the file, or put the table that `install` without --write shows into it by hand.",
    )
