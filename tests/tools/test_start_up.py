"""What the server imports and prints before it is asked to work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HEAVY = ("numpy", "pandas", "scipy", "docker", "httpx", "typer", "rich", "pyarrow", "requests", "graphql")

LISTING = """
import anyio, json, sys
from pathlib import Path
from server.app import build_server
from server.settings import read_settings

async def main():
    server = build_server(read_settings({}, workspace=Path(sys.argv[1])))
    await server.list_tools()
anyio.run(main)
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def test_listing_the_tools_imports_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LISTING, str(tmp_path)], capture_output=True, text=True, check=True)
    assert not set(json.loads(done.stdout)) & set(HEAVY)


def test_serve_imports_nothing_of_the_other_commands(tmp_path: Path) -> None:
    code = "import sys; import server.serve; print(','.join(m for m in sys.modules if m.startswith('server.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.strip().split(",")
    assert not [
        m for m in loaded if m.startswith(("server.demo", "server.commands", "server.local_numerai", "server.doctor"))
    ]


def test_only_the_protocol_reaches_stdout(tmp_path: Path) -> None:
    """From initialize to a refused call, each line on stdout is JSON-RPC."""
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    missing = {"name": "inspect_pickle", "arguments": {"pickle_path": "none.pkl"}}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": missing},
    ]
    text = "".join(json.dumps(message) + "\n" for message in messages)
    command = [sys.executable, "-m", "server.cli", "serve", "--workspace", str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "NUMERAI_PICKLE_MCP_STATE": str(tmp_path)},
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout
        process.stdin.write(text)
        process.stdin.flush()
        answers = {}
        while 3 not in answers:
            answer = json.loads(process.stdout.readline())
            answers[answer.get("id")] = answer
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait(20) == 0
    assert len(answers[2]["result"]["tools"]) > 15
    assert answers[3]["result"]["isError"] is True
