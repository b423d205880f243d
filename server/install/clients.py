"""The clients: where each keeps its MCP servers, and how an entry reads there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.install import json_entry, toml_entry
from server.install.launch import NAME, Launch

CODEX_PASSES_ON = ("NUMERAI_API_URL", "NUMERAI_MCP_URL", "NUMERAI_TRANSPORT", "DOCKER_HOST", "PYENV_ROOT")
"""Codex starts servers with a few variables only; of these it passes on those that are set."""


@dataclass(frozen=True)
class Client:
    """A program that starts MCP servers."""

    name: str
    file: Callable[[Path], Path]
    """Its configuration file, from the project's folder."""
    section: str
    entry: Callable[[Launch], Mapping[str, Any]]
    put_entry: Callable[[str, str, str, Mapping[str, Any]], str]
    drop_entry: Callable[[str, str, str], str]

    def put(self, text: str, how: Launch) -> str:
        """The file's text with this server in it.

        Raises:
            InputError: the text cannot be edited.
        """
        return self.put_entry(text, self.section, NAME, self.entry(how))

    def drop(self, text: str) -> str:
        """The file's text without this server; "" if nothing else is in it.

        Raises:
            InputError: the text cannot be edited.
        """
        return self.drop_entry(text, self.section, NAME)


def _json_client(name: str, file: str, section: str, reference: str) -> Client:
    """`reference` is how the client writes the value of an environment variable."""

    def entry(how: Launch) -> dict[str, Any]:
        env = {variable: reference.replace("NAME", variable) for variable in how.key_variables}
        return {"type": "stdio", "command": how.command, "args": list(how.args), "env": env}

    return Client(name, lambda project: project / file, section, entry, json_entry.put_entry, json_entry.drop_entry)


def _codex_entry(how: Launch) -> dict[str, Any]:
    return {
        "command": how.command,
        "args": list(how.args),
        "env_vars": [*how.key_variables, *CODEX_PASSES_ON],
        "startup_timeout_sec": 60,
        "tool_timeout_sec": 660,
    }


def _codex_file(_: Path) -> Path:
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "config.toml"


CLIENTS = {
    "claude": _json_client("Claude Code", ".mcp.json", "mcpServers", "${NAME}"),
    "codex": Client("Codex", _codex_file, "mcp_servers", _codex_entry, toml_entry.put_entry, toml_entry.drop_entry),
    "cursor": _json_client("Cursor", ".cursor/mcp.json", "mcpServers", "${env:NAME}"),
    "vscode": _json_client("VS Code", ".vscode/mcp.json", "servers", "${env:NAME}"),
}
