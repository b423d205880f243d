"""One entry in a JSON configuration file, edited as text: comments, order and spelling of all else stay."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.errors import InputError

_COMMENTS = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.S)
_TRAILING_COMMAS = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])')


@dataclass(frozen=True)
class _Member:
    """`"key": value` in a text: where it starts, where its value starts and ends."""

    key: str
    start: int
    value_start: int
    end: int


def put_entry(text: str, section: str, name: str, entry: Mapping[str, Any]) -> str:
    """The text with `entry` under `section` and `name`; unchanged where it is there already.

    Raises:
        InputError: the text is not JSON with an object as its section.
    """
    text = text if text.strip() else "{}\n"
    root = _skip(_plain(text), 0)
    found = _named(_members(text, root), section)
    if found is None:
        return _insert(text, root, 1, section, {name: entry})
    known = _named(_members(text, found.value_start), name)
    if known is None:
        return _insert(text, found.value_start, 2, name, entry)
    if json.loads(_plain(text)[known.value_start : known.end]) == entry:
        return text
    return text[: known.value_start] + _dump(text, entry, 2) + text[known.end :]


def drop_entry(text: str, section: str, name: str) -> str:
    """The text without that entry, and without its section if nothing else is in it; "" if nothing is left at all.

    Raises:
        InputError: as `put_entry`.
    """
    if not text.strip():
        return text
    root = _skip(_plain(text), 0)
    found = _named(_members(text, root), section)
    if found is None or _named(_members(text, found.value_start), name) is None:
        return text
    if len(_members(text, found.value_start)) > 1:
        return _remove(text, found.value_start, name)
    return _remove(text, root, section) if len(_members(text, root)) > 1 else ""


def _members(text: str, start: int) -> list[_Member]:
    """The members of the object that starts there."""
    plain = _plain(text)
    if plain[start : start + 1] != "{":
        raise _unusable("What holds the servers is not an object.")
    decoder, members = json.JSONDecoder(), list[_Member]()
    at = _skip(plain, start + 1)
    while plain[at] != "}":
        key, colon = decoder.raw_decode(plain, at)
        value_start = _skip(plain, _skip(plain, colon) + 1)
        _, end = decoder.raw_decode(plain, value_start)
        members.append(_Member(key, at, value_start, end))
        at = _skip(plain, end)
        at = _skip(plain, at + 1) if plain[at] == "," else at
    return members


def _insert(text: str, start: int, depth: int, key: str, value: Any) -> str:
    """A new last member of the object that starts there."""
    members = _members(text, start)
    line = _newline(text) + _indent(text) * depth
    member = f"{line}{json.dumps(key)}: {_dump(text, value, depth)}"
    if members:
        return text[: members[-1].end] + "," + member + text[members[-1].end :]
    close = _plain(text).index("}", start)
    return text[: start + 1] + member + _newline(text) + _indent(text) * (depth - 1) + text[close:]


def _remove(text: str, start: int, key: str) -> str:
    members = _members(text, start)
    position = next(number for number, member in enumerate(members) if member.key == key)
    if position:
        return text[: members[position - 1].end] + text[members[position].end :]
    return text[: members[0].start] + text[members[1].start :]


def _dump(text: str, value: Any, depth: int) -> str:
    lines = json.dumps(value, indent=_indent(text), ensure_ascii=False).split("\n")
    return (_newline(text) + _indent(text) * depth).join(lines)


def _named(members: list[_Member], key: str) -> _Member | None:
    return next((member for member in members if member.key == key), None)


def _plain(text: str) -> str:
    """The same length in plain JSON: comments and trailing commas as blanks."""

    def blank(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith('"') else re.sub(r"[^\n]", " ", found[0])

    plain = _TRAILING_COMMAS.sub(blank, _COMMENTS.sub(blank, text))
    try:
        json.loads(plain)
    except ValueError as error:
        raise _unusable(str(error)) from None
    return plain


def _skip(plain: str, at: int) -> int:
    while plain[at].isspace():
        at += 1
    return at


def _indent(text: str) -> str:
    found = re.search(r"^([ \t]+)\"", text, re.M)
    return found[1] if found else "  "


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _unusable(evidence: str) -> InputError:
    return InputError(
        "The configuration file is not the JSON that it should be.",
        evidence=evidence,
        next_step="Mend the file, or move it away, and run install again.",
    )
