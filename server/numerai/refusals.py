"""Numerai's own words for a refusal, as errors that say what to do."""

from __future__ import annotations

import re

from server.errors import CredentialsMissing, NumeraiFailure, NumeraiRefused
from server.numerai.types import UPLOAD_SCOPE
from server.settings import KEY_PAGE

NOT_AUTHENTICATED = re.compile(
    r"not.?authenticated|unauthenticated|session is invalid|invalid.*token|unauthorized", re.I
)
SCOPE = re.compile(r"scope|not.?authorized|permission", re.I)
WEBHOOK = re.compile(r"submission webhook", re.I)
INTERNAL = re.compile(r"internal server error|something went wrong|time.?out|temporar|unavailable|try again", re.I)
"""Messages that say nothing about the request: Numerai failed, and may have done half of it."""


def refusal(message: str, what: str) -> NumeraiFailure:
    """The error for the message of a GraphQL error or a refused MCP call. `what` names the operation."""
    message = message.strip()[:500] or "no reason given"
    if NOT_AUTHENTICATED.search(message):
        return CredentialsMissing(
            f"Numerai does not accept the API key for {what}.",
            evidence=message,
            next_step=f"Make a key with the scope {UPLOAD_SCOPE} at {KEY_PAGE}, set NUMERAI_MCP_AUTH='PUBLIC$SECRET' "
            "in the server's environment and restart the server.",
        )
    if SCOPE.search(message):
        return CredentialsMissing(
            f"The API key has no leave for {what}.",
            evidence=message,
            next_step=f"Make a key with the scopes {UPLOAD_SCOPE} and read_user_info at {KEY_PAGE}.",
        )
    if WEBHOOK.search(message):
        return NumeraiRefused(
            f"Numerai refused {what}: the slot has a submission webhook.",
            evidence=message,
            next_step="Call clear_submission_webhook for the slot, then upload again.",
        )
    return NumeraiRefused(f"Numerai refused {what}.", evidence=message, next_step="Correct what it names, then repeat.")
