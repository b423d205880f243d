"""Spawn to tools/list: this server beside a bare MCPServer, in turn. `python tests/benchmarks/start_up.py`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 15
BARE = """
from mcp.server import MCPServer
server = MCPServer("bare")
@server.tool()
async def add(a: int, b: int) -> int:
    return a + b
server.run()
"""
CLIENT = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
MESSAGES = (
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": CLIENT},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
)


def main() -> None:
    with tempfile.TemporaryDirectory() as workspace:
        bare = [sys.executable, "-c", BARE]
        ours = [sys.executable, "-m", "server.cli", "serve", "--workspace", workspace]
        spawn_to_list(bare), spawn_to_list(ours)
        pairs = [(spawn_to_list(ours), spawn_to_list(bare)) for _ in range(RUNS)]
    ratios = sorted(a / b for a, b in pairs)
    ours_s, bare_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"spawn to tools/list, median of {RUNS}: ours {ours_s * 1000:.0f} ms, bare MCPServer {bare_s * 1000:.0f} ms")
    print(f"ratio, pair by pair: median {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}")


def spawn_to_list(command: list[str]) -> float:
    """Seconds until the list of tools has come."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write("".join(json.dumps(message) + "\n" for message in MESSAGES))
        process.stdin.flush()
        while json.loads(process.stdout.readline()).get("id") != 2:
            pass
        seconds = time.perf_counter() - started
        process.stdin.close()
        process.wait()
    return seconds


if __name__ == "__main__":
    main()
