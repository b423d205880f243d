"""The catalogue of failures: data in catalogue.toml, held to this schema."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _compiles(pattern: str) -> str:
    re.compile(pattern)
    return pattern


Word = Annotated[str, Field(pattern=r"^[a-z]+:[\w.]+$")]
Pattern = Annotated[str, AfterValidator(_compiles)]


class Entry(BaseModel):
    """One way in which uploads fail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]+$")]
    number: int | None = None
    """Its row in the public list of failures; None where this project adds it."""
    stage: Literal["load", "run", "submission", "upload", "assign", "agent"]
    title: str
    patterns: tuple[Pattern, ...] = ()
    """Any of them in a log, a status description or an answer is the symptom; named groups fill in the texts. An entry
    without patterns and symptoms is one that this server makes impossible: it is there to be read."""
    symptoms: tuple[Word, ...] = ()
    """Facts that are a symptom by themselves."""
    needs: tuple[Word, ...] = ()
    """Facts that must hold where their family is known; unknown ones make the diagnosis less sure."""
    requires: tuple[Word, ...] = ()
    """Facts that must be known and hold."""
    unless: tuple[Word, ...] = ()
    """Facts that rule the entry out."""
    priority: int = 0
    """Higher ones win against entries whose symptoms are shared."""
    cause: str
    next_step: str
    source: str
    grade: Literal["wild", "code", "reproduced", "inferred"]
    """Seen in the wild, read in Numerai's code or docs, reproduced locally, or inferred."""


class Catalogue(BaseModel):
    """All entries; ids and numbers are unique."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    entry: tuple[Entry, ...]


@cache
def catalogue() -> tuple[Entry, ...]:
    """The catalogue's entries, in its order."""
    text = files("server.diagnosis").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return Catalogue.model_validate(tomllib.loads(text)).entry


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with each `{name}` replaced by its value, "it" where there is none."""
    return re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], "it"), text)


def catalogue_markdown() -> str:
    """The catalogue as a page for people and agents."""
    general = {"pickle_python": "another version", "image_python": "of its own", "module": "that module"}
    lines = ["# Why model uploads fail", ""]
    for entry in catalogue():
        lines += [
            f"## {entry.title} (`{entry.id}`)",
            "",
            f"Stage: {entry.stage}. Source: {entry.source} ({entry.grade}).",
            "",
        ]
        lines += [f"- Symptom: `{pattern}`" for pattern in entry.patterns]
        lines += [f"- Symptom: fact `{word}`" for word in entry.symptoms]
        lines += [f"- Cause: {fill(entry.cause, general)}", f"- Next step: {fill(entry.next_step, general)}", ""]
    return "\n".join(lines)
