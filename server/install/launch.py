"""How a client starts this server."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

NAME = "numerai-pickle-mcp"
"""The distribution, its command, and the entry in a client's configuration."""


@dataclass(frozen=True)
class Launch:
    """A command line, and the environment variables that hold the API key: their names, never their values."""

    command: str
    args: tuple[str, ...]
    key_variables: tuple[str, ...]


def launch(project: Path, environ: Mapping[str, str]) -> Launch:
    """Starts the server that runs now, with the project as its workspace."""
    command, *args = _program()
    pair = ("NUMERAI_PUBLIC_ID", "NUMERAI_SECRET_KEY")
    by_pair = not environ.get("NUMERAI_MCP_AUTH") and all(environ.get(name) for name in pair)
    return Launch(
        command,
        (*args, "serve", "--workspace", str(project)),
        pair if by_pair else ("NUMERAI_MCP_AUTH",),
    )


def _program() -> list[str]:
    # uvx runs from uv's cache, which may be pruned: the client goes through uvx as well.
    if any(part.startswith("archive-v") for part in Path(sys.prefix).parts):
        return ["uvx", "--from", _source(), NAME]
    return [shutil.which(NAME, path=sysconfig.get_path("scripts")) or NAME]


def _source() -> str:
    """What the distribution was installed from (PEP 610), as a requirement."""
    record: dict[str, Any] = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    url = record.get("url", NAME)
    if "vcs_info" in record:
        revision = record["vcs_info"].get("requested_revision")
        return f"{record['vcs_info']['vcs']}+{url}" + (f"@{revision}" if revision else "")
    return url2pathname(urlsplit(url).path) if url.startswith("file:") else url
