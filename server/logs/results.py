"""A pickle's story at Numerai in the words and numbers that an agent needs."""

from __future__ import annotations

import dataclasses
from typing import Any

from bundle_core.reports import Finding
from server.diagnosis import Diagnosis, log_tail, quote_foreign
from server.logs.story import Story

DESCRIPTION_LIMIT = 300


def story_result(story: Story, max_lines: int) -> dict[str, Any]:
    """The fields of get_trigger_logs' result."""
    return {
        "summary": summary(story),
        "pickle_id": story.pickle.id,
        "trigger_id": story.trigger.id if story.trigger else None,
        "validation_status": _word(story.pickle.validation_status),
        "trigger_status": _word(story.pickle.trigger_status),
        "statuses": [
            {"when": when, "status": _word(status) or "", "description": quote_foreign(text, DESCRIPTION_LIMIT)}
            for when, status, text in story.statuses
        ],
        "diagnosis": [diagnosis_fields(found) for found in story.diagnosis],
        "scores": story.scores,
        "assigned_pickle_id": story.other_assigned,
        "unchecked": story.unchecked,
        "log_tail": log_tail(story.log, max_lines),
        "log_path": str(story.log_path),
    }


def summary(story: Story) -> str:
    """What happened and what to do, in a few sentences."""
    pickle = story.pickle
    parts = [
        f"The pickle {pickle.id}: validation {_word(pickle.validation_status)}, trigger {_word(pickle.trigger_status)}."
    ]
    if story.other_assigned:
        parts.append(f"The slot runs another pickle, {story.other_assigned}.")
    if story.explained:
        parts.append(story.explained)
    if story.diagnosis:
        parts.append(f"{story.diagnosis[0].cause} Next: {story.diagnosis[0].next_step}")
    return " ".join(parts)


def finding_fields(finding: Finding) -> dict[str, Any]:
    """A finding about predictions as a result's entry; its evidence may quote names that the model chose."""
    return {**dataclasses.asdict(finding), "evidence": quote_foreign(finding.evidence, DESCRIPTION_LIMIT)}


def diagnosis_fields(found: Diagnosis) -> dict[str, Any]:
    """A diagnosis as a result's entry."""
    return {
        "id": found.id,
        "cause": found.cause,
        "evidence": found.evidence,
        "next_step": found.next_step,
        "confidence": found.confidence,
    }


def _word(status: str | None) -> str | None:
    return None if status is None else quote_foreign(status, 60)
