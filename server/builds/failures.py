"""bundle_core's expected failures as the server's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from bundle_core.errors import BundleError
from server.errors import BundleFailure


@contextmanager
def as_bundle_failure() -> Generator[None]:
    """Raises BundleFailure in place of a BundleError."""
    try:
        yield
    except BundleError as error:
        raise BundleFailure(error.cause, evidence=error.evidence, next_step=error.next_step) from error
