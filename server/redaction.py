"""Keeps secrets out of everything that leaves the server: results, errors, logs, files."""

from __future__ import annotations

import re

from server.errors import NotConfirmed, PickleMcpError
from server.settings import Credentials

EVIDENCE_LINES, EVIDENCE_LINE = 20, 800

_SIGNED_URL = re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>]*(?:signature|x-amz-|token|expires)[^\s\"'<>]*", re.I)
_AUTHORIZATION = re.compile(r"\bToken\s+[\w-]{4,}\$[\w-]{4,}")
_KEY = re.compile(r"\b[A-Z0-9]{20,}\$[A-Z0-9]{20,}\b")


def redact(text: str, credentials: Credentials | None = None) -> str:
    """The text without the API key, without anything shaped like one, and with signed URLs cut at the `?`."""
    if credentials is not None:
        token = credentials.token.get_secret_value()
        for secret in (token, token.partition("$")[2]):
            text = text.replace(secret, "[secret removed]")
    text = _SIGNED_URL.sub(r"\1?[signature removed]", text)
    text = _AUTHORIZATION.sub("Token [secret removed]", text)
    return _KEY.sub("[secret removed]", text)


def failure_text(failure: PickleMcpError, credentials: Credentials | None = None) -> str:
    """The failure as an agent may see it: its evidence, which others wrote, in lines that can't pose as orders."""
    if failure.evidence and not isinstance(failure, NotConfirmed):
        # Start-up imports this module and needs no diagnosis.
        from server.diagnosis import quote_foreign

        lines = failure.evidence.splitlines()[:EVIDENCE_LINES]
        quoted = "\n".join(quote_foreign(line, EVIDENCE_LINE) for line in lines)
        failure = PickleMcpError(failure.cause, evidence=quoted, next_step=failure.next_step)
    return redact(str(failure), credentials)
