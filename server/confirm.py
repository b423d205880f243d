"""The user's agreement to a change of the account: bound to the exact facts, good once, for ten minutes."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver.resolve import Elicit
from mcp_types import ClientCapabilities
from pydantic import BaseModel, Field

from server.errors import NotConfirmed

LIFETIME_SECONDS = 600.0


class Consent(BaseModel):
    """What the user answers."""

    proceed: bool = Field(title="Go ahead?", description="Yes makes exactly the change described; no changes nothing.")


@dataclass
class _Pending:
    code: str
    expires: float


@dataclass
class Confirmations:
    """The questions that are open, by their facts."""

    _pending: dict[str, _Pending] = field(default_factory=dict[str, _Pending])

    def question(
        self, facts: str, confirm: str | None, capabilities: ClientCapabilities | None
    ) -> Elicit[Consent] | Consent:
        """How to get agreement to `facts`: the question for the user, or the agreement that `confirm` is.

        A client that can ask its user always has to; `confirm` counts only for one that can't.

        Raises:
            NotConfirmed: the client can't ask, and `confirm` is not the open code of these facts.
        """
        pending = self._open(facts)
        elicitation = capabilities.elicitation if capabilities is not None else None
        if elicitation is not None and (elicitation.form is not None or elicitation.url is None):
            # The code in the text makes every question new, so that an old answer fits none.
            return Elicit(f"{facts}\n(request {pending.code})", Consent)
        if confirm is not None and secrets.compare_digest(confirm.strip(), pending.code):
            return Consent(proceed=True)
        raise NotConfirmed(
            "The user has to agree first; nothing was changed."
            if confirm is None
            else "That code is not valid for these facts (used, expired, or the facts changed); nothing was changed.",
            evidence=facts,
            next_step=f"Show these facts to the user. If the user agrees, call again with confirm={pending.code!r} "
            "and otherwise the same arguments, within ten minutes.",
        )

    def settle(self, facts: str, answer: ElicitationResult[Consent]) -> None:
        """Uses the agreement up.

        Raises:
            NotConfirmed: the user said no, or the question is no longer open.
        """
        agreed = isinstance(answer, AcceptedElicitation) and answer.data.proceed
        pending = self._pending.pop(facts, None)
        if not agreed:
            raise NotConfirmed(
                "The user did not agree; nothing was changed.", next_step="Ask the user what to do instead."
            )
        if pending is None or pending.expires < time.monotonic():
            raise NotConfirmed("The agreement came too late or was used; nothing was changed.", next_step="Call again.")

    def _open(self, facts: str) -> _Pending:
        now = time.monotonic()
        self._pending = {known: p for known, p in self._pending.items() if p.expires > now}
        return self._pending.setdefault(facts, _Pending(secrets.token_hex(4), now + LIFETIME_SECONDS))
