"""What is installed in this interpreter. Imports nothing but the standard library, so that any Python answers."""

from __future__ import annotations

import importlib.metadata


def installed(packages: list[str]) -> dict[str, str | None]:
    """Versions of distributions in this interpreter; null for one that is not there."""
    versions: dict[str, str | None] = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return versions
