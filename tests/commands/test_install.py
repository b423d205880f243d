"""What `install` shows, writes and takes out again."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from server.errors import InputError
from server.install import json_entry, toml_entry
from server.install.change import change_configuration
from server.install.clients import CLIENTS
from server.settings import read_credentials

SECRET = "PUBLICPUBLICPUBLICPUBLIC$SECRETSECRETSECRETSECRET"
NAME = "numerai-pickle-mcp"

JSON_WITH_COMMENTS = """{
    // what the team uses
    "inputs": [],
    "SECTION": {
        "files": {
            "command": "files",
        }, /* pinned */
        "github": {"command": "npx", "args": ["-y", "github-mcp"], "env": {"TOKEN": "a // secret"}},
    },
    "other": {"SECTION": {"numerai-pickle-mcp": 1}}
}
"""
TOML_WITH_COMMENTS = """model = "gpt"  # the usual one

# how it looks
[tui]
theme = "dark"

[mcp_servers.github]
command = "npx"
args = ["-y", "github-mcp"]

[mcp_servers.github.env]
TOKEN = "secret-of-another"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own; the API key is in the environment."""
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "codex"))
    monkeypatch.setenv("NUMERAI_MCP_AUTH", SECRET)
    return tmp_path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "my project"
    folder.mkdir()
    return folder


def install(client: str, project: Path, *, write: bool = True, undo: bool = False) -> str:
    """What the user sees."""
    lines: list[str] = []
    change_configuration(client, project, write=write, undo=undo, show=lines.append)
    return "\n".join(lines)


def others_of(client: str) -> str:
    if client == "codex":
        return TOML_WITH_COMMENTS
    return JSON_WITH_COMMENTS.replace("SECTION", CLIENTS[client].section)


def put_others(client: str, project: Path) -> Path:
    path = CLIENTS[client].file(project)
    path.parent.mkdir(exist_ok=True)
    path.write_text(others_of(client))
    return path


def servers_in(client: str, text: str) -> dict[str, Any]:
    if client == "codex":
        return tomllib.loads(text)["mcp_servers"]
    without_comments = re.sub(r"// what.*|/\* pinned \*/", "", text)
    return json.loads(re.sub(r",(\s*[}\]])", r"\1", without_comments))[CLIENTS[client].section]


@pytest.mark.parametrize("client", CLIENTS)
def test_the_entry_starts_the_server_with_the_project_as_workspace(client: str, project: Path) -> None:
    install(client, project)
    text = CLIENTS[client].file(project).read_text()
    entry = servers_in(client, text)[NAME]
    assert entry["args"][-3:] == ["serve", "--workspace", str(project)]
    assert Path(entry["command"]).name == NAME and Path(entry["command"]).is_file()


@pytest.mark.parametrize(
    ("client", "reference"),
    [("claude", "${NUMERAI_MCP_AUTH}"), ("cursor", "${env:NUMERAI_MCP_AUTH}"), ("vscode", "${env:NUMERAI_MCP_AUTH}")],
)
def test_the_key_is_named_and_never_written(client: str, reference: str, project: Path) -> None:
    seen = install(client, project)
    text = CLIENTS[client].file(project).read_text()
    assert servers_in(client, text)[NAME]["env"] == {"NUMERAI_MCP_AUTH": reference}
    assert "SECRETSECRET" not in seen + text


def test_codex_passes_the_key_on_by_name(project: Path) -> None:
    seen = install("codex", project)
    text = CLIENTS["codex"].file(project).read_text()
    assert "NUMERAI_MCP_AUTH" in servers_in("codex", text)[NAME]["env_vars"]
    assert "SECRETSECRET" not in seen + text


def test_a_key_in_two_variables_is_named_by_both(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMERAI_MCP_AUTH")
    monkeypatch.setenv("NUMERAI_PUBLIC_ID", "PUBLIC")
    monkeypatch.setenv("NUMERAI_SECRET_KEY", "SECRET")
    install("cursor", project)
    entry = servers_in("cursor", CLIENTS["cursor"].file(project).read_text())[NAME]
    assert entry["env"] == {name: f"${{env:{name}}}" for name in ("NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY")}


@pytest.mark.parametrize("reference", ["${NUMERAI_MCP_AUTH}", "${env:NUMERAI_MCP_AUTH}"])
def test_a_reference_that_the_client_left_as_it_is_counts_as_no_key(reference: str) -> None:
    assert read_credentials({"NUMERAI_MCP_AUTH": reference}) is None


@pytest.mark.parametrize("client", CLIENTS)
def test_nothing_is_written_without_write(client: str, project: Path) -> None:
    seen = install(client, project, write=False)
    assert not CLIENTS[client].file(project).exists()
    assert f"+++ {CLIENTS[client].file(project)}" in seen and "Nothing was written" in seen


@pytest.mark.parametrize("client", CLIENTS)
def test_all_else_stays_to_the_letter_and_undo_restores_the_file(client: str, project: Path) -> None:
    path = put_others(client, project)
    seen = install(client, project)
    written = path.read_text()
    assert set(servers_in(client, written)) - {NAME} == set(servers_in(client, others_of(client)))
    assert "secret" not in seen
    install(client, project, undo=True)
    assert path.read_text() == others_of(client)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_second_install_changes_nothing(client: str, project: Path) -> None:
    path = put_others(client, project)
    install(client, project)
    written = path.read_text()
    assert "nothing to do" in install(client, project)
    assert path.read_text() == written


@pytest.mark.parametrize("client", CLIENTS)
def test_an_older_entry_is_replaced_in_full(client: str, project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    install(client, elsewhere)
    path = CLIENTS[client].file(project)
    path.parent.mkdir(exist_ok=True)
    path.write_text(CLIENTS[client].file(elsewhere).read_text())
    install(client, project)
    assert servers_in(client, path.read_text())[NAME]["args"][-1] == str(project)
    assert str(elsewhere) not in path.read_text()


@pytest.mark.parametrize("client", CLIENTS)
def test_undo_removes_a_file_that_holds_nothing_else(client: str, project: Path) -> None:
    install(client, project)
    install(client, project, undo=True)
    assert not CLIENTS[client].file(project).exists()
    assert "nothing to do" in install(client, project, undo=True)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("text", ["{ not json = ", '["mcp_servers"]\nx', '{"mcpServers": 1, "servers": []} ='])
def test_a_file_that_cannot_be_understood_is_left_alone(client: str, text: str, project: Path) -> None:
    path = put_others(client, project)
    path.write_text(text)
    with pytest.raises(InputError):
        install(client, project)
    assert path.read_text() == text
    assert [entry.name for entry in path.parent.iterdir() if entry.name.endswith(".tmp")] == []


def test_servers_that_are_no_object_are_left_alone() -> None:
    with pytest.raises(InputError):
        json_entry.put_entry('{"servers": []}', "servers", NAME, {})
    with pytest.raises(InputError):
        toml_entry.put_entry('mcp_servers = { a = { command = "x" } }\n', "mcp_servers", NAME, {"command": "y"})


def test_a_text_that_looks_like_our_table_is_not_cut_up() -> None:
    text = f"note = '''\n[mcp_servers.{NAME}]\ncommand = 1\n'''\n"
    put = toml_entry.put_entry(text, "mcp_servers", NAME, {"command": "y"})
    assert tomllib.loads(put)["note"] == tomllib.loads(text)["note"]
    with pytest.raises(InputError):
        toml_entry.drop_entry(put, "mcp_servers", NAME)


def test_what_was_written_below_our_table_stays() -> None:
    ours = toml_entry.put_entry(TOML_WITH_COMMENTS, "mcp_servers", NAME, {"command": "y"})
    below = f'\n[mcp_servers.{NAME}.env]\nOWN = "1"\n\n# the colours\n[colours]\nsky = "blue"\n'
    dropped = toml_entry.drop_entry(ours + below, "mcp_servers", NAME)
    assert dropped == TOML_WITH_COMMENTS + '\n# the colours\n[colours]\nsky = "blue"\n'


def test_a_link_stays_a_link_and_permissions_stay(project: Path, tmp_path: Path) -> None:
    dotfile = tmp_path / "dotfile"
    dotfile.write_text(TOML_WITH_COMMENTS)
    dotfile.chmod(0o600)
    link = CLIENTS["codex"].file(project)
    link.parent.mkdir()
    link.symlink_to(dotfile)
    install("codex", project)
    assert link.is_symlink() and NAME in dotfile.read_text()
    assert stat.S_IMODE(dotfile.stat().st_mode) == 0o600


def test_a_key_that_someone_wrote_into_the_entry_is_not_shown(project: Path) -> None:
    path = CLIENTS["claude"].file(project)
    path.write_text(json.dumps({"mcpServers": {NAME: {"command": "x", "env": {"NUMERAI_MCP_AUTH": SECRET}}}}, indent=2))
    assert "SECRETSECRET" not in install("claude", project)
    assert "SECRETSECRET" not in path.read_text()


keys = st.text(max_size=6)
plain = st.recursive(
    st.none() | st.integers() | keys, lambda v: st.lists(v, max_size=2) | st.dictionaries(keys, v, max_size=2)
)


@given(
    document=st.dictionaries(keys, plain, max_size=3),
    others=st.none() | st.dictionaries(keys, plain, min_size=1, max_size=3),
    indent=st.sampled_from([None, 2, 4, "\t"]),
)
def test_any_json_comes_back_to_the_letter(
    document: dict[str, Any], others: dict[str, Any] | None, indent: Any
) -> None:
    document = {key: value for key, value in document.items() if key != "servers"}
    if others is not None:
        document["servers"] = others
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    entry = {"command": "c", "args": ['"}', "// no comment", "/*"]}
    put = json_entry.put_entry(text, "servers", NAME, entry)
    assert json.loads(put) == {**document, "servers": {**(others or {}), NAME: entry}}
    assert json_entry.drop_entry(put, "servers", NAME) == (text if document else "")


async def test_a_client_that_follows_the_entry_gets_the_tools(project: Path) -> None:
    install("claude", project)
    entry = servers_in("claude", CLIENTS["claude"].file(project).read_text())[NAME]
    with anyio.fail_after(60):
        async with Client(
            StdioServerParameters(command=entry["command"], args=entry["args"], env=entry["env"])
        ) as client:
            assert (await client.list_tools()).tools
            answer = await client.call_tool("check_api_credentials", {})
    assert answer.is_error and "No Numerai API key is configured" in str(answer.content)
