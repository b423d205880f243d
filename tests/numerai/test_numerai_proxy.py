"""`--proxy-numerai`: Numerai's own read-only tools under a prefix."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp import Client

from server.app import build_server
from server.local_numerai.app import LocalNumerai
from tests.numerai.serving import settings_for


@pytest.fixture
def proxying(local: LocalNumerai, tmp_path: Path) -> Client:
    settings = settings_for(local.api_url, local.mcp_url, local.token, tmp_path)
    return Client(build_server(settings.model_copy(update={"proxy_numerai": True})))


async def test_read_only_tools_are_listed_without_the_key_and_without_raw_queries(proxying: Client):
    async with proxying as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools if tool.name.startswith("numerai_")}
    assert tools.keys() == {"numerai_check_api_credentials"}
    assert "apiToken" not in str(tools["numerai_check_api_credentials"].input_schema)


async def test_a_call_is_passed_on_with_the_servers_key_which_is_never_shown(local: LocalNumerai, proxying: Client):
    async with proxying as client:
        result = await client.call_tool("numerai_check_api_credentials", {})
    assert not result.is_error
    assert "local_account" in str(result)
    assert local.token.partition("$")[2] not in str(result)


async def test_what_changes_the_account_or_takes_a_query_or_a_key_is_refused(local: LocalNumerai, proxying: Client):
    async with proxying as client:
        for name in ("numerai_create_model", "numerai_upload_model", "numerai_graphql_query"):
            assert (await client.call_tool(name, {"name": "x", "query": "{ account { email } }"})).is_error
        with_key = await client.call_tool("numerai_check_api_credentials", {"apiToken": "A$B"})
        assert with_key.is_error and "Never pass an API key" in str(with_key)
    assert len(local.store.models) == 1


async def test_without_the_option_and_without_numerai_the_list_has_our_tools_alone(
    local: LocalNumerai, tmp_path: Path, proxying: Client
):
    settings = settings_for(local.api_url, local.mcp_url, local.token, tmp_path)
    async with Client(build_server(settings)) as client:
        ours = [tool.name for tool in (await client.list_tools()).tools]
    unreachable = settings.model_copy(update={"proxy_numerai": True, "mcp_url": "http://127.0.0.1:9/mcp"})
    async with Client(build_server(unreachable)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ours
