"""The server's expected failures: one tree. Each tells cause, evidence and next step; tools pass the text on."""

from __future__ import annotations


class PickleMcpError(Exception):
    """An expected failure. `cause` says what failed, `evidence` shows it, `next_step` says what to do."""

    def __init__(self, cause: str, *, evidence: str = "", next_step: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.evidence = evidence
        self.next_step = next_step

    def __str__(self) -> str:
        lines = [self.cause]
        if self.evidence:
            lines.append(f"Evidence: {self.evidence}")
        if self.next_step:
            lines.append(f"Next step: {self.next_step}")
        return "\n".join(lines)


class InputError(PickleMcpError):
    """An argument, path or file that the caller gave cannot be used."""


class BundleFailure(PickleMcpError):
    """bundle_core refused a model, bundle, pipeline or script."""


class ChildFailure(PickleMcpError):
    """A child process died, ran out of time, or answered with something that is no report."""


class ChildTimeout(ChildFailure):
    """A child process was ended because it ran out of time."""


class EnvironmentFailure(PickleMcpError):
    """A Python, a venv or an installation is missing or broken."""


class EngineFailure(PickleMcpError):
    """The docker engine, an image or a container cannot be used."""


class ImageMissing(EngineFailure):
    """The engine works and does not have the image."""


class NumeraiFailure(PickleMcpError):
    """Numerai, or the way to it, failed."""


class NumeraiUnreachable(NumeraiFailure):
    """No usable answer: connection, time-out, 5xx, not JSON."""


class OutcomeUnknown(NumeraiUnreachable):
    """A change was sent and its answer lost: Numerai may have made it or not."""


class NumeraiRefused(NumeraiFailure):
    """Numerai answered and refused."""


class CredentialsMissing(NumeraiFailure):
    """No credentials, malformed ones, or a scope is missing."""


class NotConfirmed(PickleMcpError):
    """The user has not agreed to a change of the account; `code` agrees to exactly these facts."""


class JobFailure(PickleMcpError):
    """A job is unknown, was interrupted, cancelled, or there are too many."""
