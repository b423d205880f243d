"""From evidence to diagnoses: every entry of the catalogue is held against all that is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from server.diagnosis.catalogue import Entry, catalogue, fill
from server.diagnosis.evidence import Evidence, Facts, facts_of
from server.diagnosis.untrusted import quote_foreign

LINES_SHOWN = 6
LINE_LIMIT = 240
_MATTERS = re.compile(
    r"\b\w*(?:Error|Exception|Warning|Interrupt|Exit)\b|ERROR|CRITICAL|Traceback|invalid|failed|killed", re.I
)


@dataclass(frozen=True)
class Diagnosis:
    """Why something failed, as far as the evidence tells."""

    id: str
    stage: str
    title: str
    cause: str
    evidence: tuple[str, ...]
    """Facts and the lines that matter; foreign text in them is quoted."""
    next_step: str
    confidence: Literal["certain", "likely", "possible", "unknown"]
    source: str


@dataclass(frozen=True)
class _Match:
    entry: Entry
    score: int
    confidence: Literal["certain", "likely", "possible"]
    lines: tuple[str, ...]
    facts: tuple[str, ...]
    groups: dict[str, str]


def diagnose(evidence: Evidence) -> list[Diagnosis]:
    """What explains the failure, best first; never empty: an unknown failure says so with the lines that matter."""
    facts = facts_of(evidence)
    matches = [match for entry in catalogue() if (match := _match(entry, facts, evidence.text))]
    # Sorting is stable: among equals the catalogue's order decides.
    matches.sort(key=lambda match: -match.score)
    if not matches:
        return [_unknown(facts, evidence.text)]
    return [_diagnosis(match, facts, evidence) for match in matches[:5]]


def lines_that_matter(text: str) -> tuple[str, ...]:
    """The last lines that speak of errors, else the very last ones, quoted."""
    lines = [line for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if _MATTERS.search(line)] or lines
    return tuple(quote_foreign(line, LINE_LIMIT) for line in telling[-LINES_SHOWN:])


def _match(entry: Entry, facts: Facts, text: str) -> _Match | None:
    if any(word in facts.words for word in entry.unless) or not all(word in facts.words for word in entry.requires):
        return None
    held = [word for word in entry.needs if word in facts.words]
    if any(_family(word) in facts.families for word in entry.needs if word not in held):
        return None
    symptoms = [word for word in entry.symptoms if word in facts.words]
    found = list(_found(entry, text))
    if not symptoms and not found:
        return None
    score = entry.priority + 4 * bool(found) + 5 * bool(symptoms) + 2 * len(held) + len(entry.requires)
    sure = "certain" if entry.priority >= 0 else "possible"
    confidence = sure if len(held) == len(entry.needs) else "likely"
    groups = {name: value for match in reversed(found) for name, value in match.groupdict().items() if value}
    lines = tuple(dict.fromkeys(_line_of(match) for match in found))[:3]
    shown = (*symptoms, *held, *entry.requires)
    return _Match(entry, score, confidence, lines, tuple(dict.fromkeys(shown)), groups)


def _found(entry: Entry, text: str) -> Iterator[re.Match[str]]:
    for pattern in entry.patterns:
        if match := re.search(pattern, text, re.M):
            yield match


def _line_of(match: re.Match[str]) -> str:
    start = match.string.rfind("\n", 0, match.start()) + 1
    end = match.string.find("\n", match.start())
    return quote_foreign(match.string[start : end if end >= 0 else None], LINE_LIMIT)


def _family(word: str) -> str:
    return word.partition(":")[0]


def _diagnosis(match: _Match, facts: Facts, evidence: Evidence) -> Diagnosis:
    entry = match.entry
    made_by = " or ".join(evidence.fingerprint.python_candidates) if evidence.fingerprint else ""
    known_code = evidence.fingerprint is not None and evidence.fingerprint.code_objects > 0
    values = {name: quote_foreign(value, 80) for name, value in match.groups.items()} | {
        "pickle_python": f"Python {made_by}" if known_code and made_by else "another Python",
        "image_python": f"Python {evidence.image_python}" if evidence.image_python else "its own Python",
    }
    sentences = [facts.sentences.get(word, "") for word in match.facts]
    return Diagnosis(
        id=entry.id,
        stage=entry.stage,
        title=entry.title,
        cause=fill(entry.cause, values),
        evidence=tuple(quote_foreign(sentence, LINE_LIMIT) for sentence in sentences if sentence) + match.lines,
        next_step=fill(entry.next_step, values),
        confidence=match.confidence,
        source=entry.source,
    )


def _unknown(facts: Facts, text: str) -> Diagnosis:
    telling = ("exit", "python", "file")
    known = [said for word, said in facts.sentences.items() if said and word.startswith(telling)]
    return Diagnosis(
        id="unknown",
        stage="run",
        title="A failure that is not in the catalogue",
        cause="This failure is not in the catalogue: the lines below are what is known of it.",
        evidence=(*known, *lines_that_matter(text)),
        next_step="Read the lines and the full log, and try the pickle with run_container_debug and inspect_pickle.",
        confidence="unknown",
        source="",
    )
