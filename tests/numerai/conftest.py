"""A real embedded Numerai for each test, and clients of it over both transports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from server.local_numerai.app import LocalNumerai
from server.numerai.client import Numerai, open_numerai
from tests.numerai.serving import FAST, Connect, TransportName, serving, settings_for


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalNumerai]:
    """A fresh account at a fresh Numerai that passes every pickle without running it."""
    with serving(tmp_path / "numerai") as running:
        yield running


@pytest.fixture(params=["graphql", "mcp"])
def transport(request: pytest.FixtureRequest) -> TransportName:
    return request.param


@pytest.fixture
def connect(local: LocalNumerai, tmp_path: Path, transport: TransportName) -> Connect:
    """`async with connect() as numerai`: over each transport in turn."""
    return connector(local, tmp_path, transport)


@pytest.fixture
def connect_graphql(local: LocalNumerai, tmp_path: Path) -> Connect:
    """The same over GraphQL alone, for what MCP cannot do."""
    return connector(local, tmp_path, "graphql")


@pytest.fixture
def connect_mcp(local: LocalNumerai, tmp_path: Path) -> Connect:
    """Over MCP alone."""
    return connector(local, tmp_path, "mcp")


def connector(local: LocalNumerai, folder: Path, transport: TransportName) -> Connect:
    def connect(token: str | None = local.token) -> AbstractAsyncContextManager[Numerai]:
        return open_numerai(settings_for(local.api_url, local.mcp_url, token, folder, transport), FAST)

    return connect
