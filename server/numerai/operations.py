"""The operations on Numerai's API: one document each in `queries/`, named by its root field.

There is no way to send any other query: nothing that an agent writes becomes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Operation:
    """One document. `field` is its root field, by which the answer is keyed."""

    field: str
    document: str
    public: bool
    """Numerai answers it without an API key."""

    @property
    def changes(self) -> bool:
        """Whether it is a mutation."""
        return self.document.startswith("mutation")


PUBLIC = frozenset(
    (
        "computePickleDockerImages",
        "computePickleDataVersions",
        "dataset",
        "listDatasets",
        "modelNameAvailable",
        "pipelineStatus",
        "rounds",
        "tournaments",
    )
)


@cache
def operation(field: str) -> Operation:
    """The operation whose root field is `field`."""
    document = (files("server.numerai") / "queries" / f"{field}.graphql").read_text("utf-8")
    return Operation(field, document, public=field in PUBLIC)
