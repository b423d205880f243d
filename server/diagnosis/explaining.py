"""A log file explained in plain text."""

from __future__ import annotations

from server.diagnosis.evidence import Evidence
from server.diagnosis.matching import diagnose
from server.diagnosis.untrusted import log_tail


def explain_log(log: str) -> str:
    """What a log alone tells: the likely causes, best first, with evidence and next step, and the log's last lines."""
    parts: list[str] = []
    for diagnosis in diagnose(Evidence(log=log)):
        parts.append(f"{diagnosis.title} [{diagnosis.id}, {diagnosis.confidence}]")
        parts.append(f"  Cause: {diagnosis.cause}")
        parts += [f"  Evidence: {line}" for line in diagnosis.evidence]
        parts.append(f"  Next step: {diagnosis.next_step}")
        parts.append("")
    parts.append(log_tail(log, 20))
    return "\n".join(parts).rstrip() + "\n"
