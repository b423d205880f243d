"""The expected failures of the bundling core: one tree, each with a cause, evidence and a next step."""

from __future__ import annotations


class BundleError(Exception):
    """An expected failure. `cause` says what is wrong, `evidence` shows it, `next_step` says what to do."""

    def __init__(self, cause: str, *, evidence: str = "", next_step: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.evidence = evidence
        self.next_step = next_step

    def __str__(self) -> str:
        return " ".join(part for part in (self.cause, self.evidence, self.next_step) if part)


class ModelRefused(BundleError):
    """The model file cannot be converted: no model, an unsupported kind, a newer format."""


class BundleInvalid(BundleError):
    """A bundle file is damaged, of another version, or its parts contradict each other."""


class PipelineInvalid(BundleError):
    """A pipeline names what does not exist or contradicts itself; `evidence` holds the path of the key."""


class PackRefused(BundleError):
    """The pickle cannot be written: wrong interpreter, output not writable, a script that would fail."""


class DataInvalid(BundleError):
    """A sample, reference or benchmark file cannot be read or does not have the needed columns."""
