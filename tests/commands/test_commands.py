"""The command line as a person meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
import uv

from server.local_numerai.app import local_numerai
from tests.commands.serving import COMMAND, environment, run
from tests.conftest import INSTALL_ENVIRONMENT

ROOT = Path(__file__).parents[2]


def test_help_names_all_commands(tmp_path: Path) -> None:
    shown = run("--help", folder=tmp_path)
    assert shown.returncode == 0
    for command in ("serve", "demo", "local-numerai", "doctor", "install", "explain"):
        assert f" {command} " in shown.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("install", "--client", "emacs"),
        ("install", "--client", "claude", "--project", "nowhere"),
        ("local-numerai", "--port", "99999"),
        ("explain", "no.log"),
        ("serve", "--workspace", "nowhere"),
    ],
    ids=" ".join,
)
def test_an_expected_failure_is_told_in_plain_words(arguments: tuple[str, ...], tmp_path: Path) -> None:
    failed = run(*arguments, folder=tmp_path)
    assert failed.returncode != 0
    assert failed.stderr.strip() and "Traceback" not in failed.stderr and not failed.stdout


def test_it_runs_with_uvx_from_the_repository_and_a_client_is_told_the_same(tmp_path: Path) -> None:
    uvx = [uv.find_uv_bin(), "tool", "run", "--reinstall-package", "numerai-pickle-mcp", "--from", str(ROOT)]
    shown = subprocess.run(
        [*uvx, "numerai-pickle-mcp", "install", "--client", "claude", "--project", str(tmp_path), "--write"],
        cwd=tmp_path, env=INSTALL_ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    entry = json.loads((tmp_path / ".mcp.json").read_text())["mcpServers"]["numerai-pickle-mcp"]
    assert entry["command"] == "uvx"
    assert entry["args"] == ["--from", str(ROOT), "numerai-pickle-mcp", "serve", "--workspace", str(tmp_path)]


def test_explain_tells_the_cause_and_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("Loading model\nModuleNotFoundError: No module named 'lightgbm'\n")
    explained = run("explain", "run.log", folder=tmp_path)
    assert explained.returncode == 0
    assert "lightgbm" in explained.stdout and "Next step:" in explained.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_local_numerai_prints_the_way_to_it_and_ends_when_told(number: signal.Signals, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [*COMMAND, "local-numerai"]
    env = environment(tmp_path, TMPDIR=str(temporary))
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = dict(process.stdout.readline().rstrip("\n").split("=", 1) for _ in range(3))
        assert list(lines) == ["NUMERAI_API_URL", "NUMERAI_MCP_URL", "NUMERAI_MCP_AUTH"]
        assert lines["NUMERAI_MCP_URL"] == lines["NUMERAI_API_URL"] + "mcp"
        assert urlsplit(lines["NUMERAI_API_URL"]).hostname == "127.0.0.1"
        answer = httpx.post(
            lines["NUMERAI_API_URL"],
            json={"query": "{ account { models { name } } }"},
            headers={"Authorization": f"Token {lines['NUMERAI_MCP_AUTH']}"},
        )
        assert len(answer.json()["data"]["account"]["models"]) == 1
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stdout.read() == ""
    assert not list(temporary.iterdir())


def lines_of(doctor: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What was looked at -> state and finding."""
    assert doctor.returncode == 0, doctor.stderr
    split = [line.split(maxsplit=1) for line in doctor.stdout.splitlines()]
    return {rest.split(": ")[0]: f"{state} {rest}" for state, rest in split}


async def test_doctor_says_what_there_is_and_names_the_keys_variable_only(tmp_path: Path) -> None:
    async with local_numerai(tmp_path / "numerai") as numerai:
        variables = {
            "NUMERAI_API_URL": numerai.api_url,
            "NUMERAI_MCP_AUTH": numerai.token,
            "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock",
            "CODEX_HOME": str(tmp_path / "codex"),
        }
        await run_aside("install", "--client", "codex", "--write", folder=tmp_path, **variables)
        (tmp_path / ".mcp.json").write_text("{ not json")
        doctor = await run_aside("doctor", folder=tmp_path, **variables)
    lines = lines_of(doctor)
    assert lines["Credentials"] == "ok Credentials: from NUMERAI_MCP_AUTH"
    assert numerai.token.partition("$")[2] not in doctor.stdout
    assert lines["Numerai"].startswith("ok") and "may upload" in lines["API key"]
    assert lines["uv"].startswith("ok")
    assert {"Python 3.11", "Python 3.12"} <= set(lines)
    assert lines["docker engine"].startswith("missing") and "-> " in lines["docker engine"]
    assert lines["Codex"].startswith("ok")
    assert lines["Cursor"].startswith("unused") and "install --client cursor --write" in lines["Cursor"]
    assert lines["Claude Code"].startswith("missing")


async def run_aside(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Like `run`, while the test's own servers go on."""
    return await anyio.to_thread.run_sync(partial(run, *arguments, folder=folder, **variables))


def test_doctor_says_how_to_mend_what_is_missing(tmp_path: Path) -> None:
    lines = lines_of(run("doctor", folder=tmp_path, CODEX_HOME=str(tmp_path)))
    assert lines["Credentials"].startswith("missing") and "https://numer.ai/account" in lines["Credentials"]
    assert lines["Numerai"].startswith("missing") and "-> " in lines["Numerai"]


def test_doctor_shows_no_malformed_key(tmp_path: Path) -> None:
    doctor = run("doctor", folder=tmp_path, NUMERAI_MCP_AUTH="SECRETWITHOUTDOLLAR")
    assert lines_of(doctor)["Settings"].startswith("missing")
    assert "SECRETWITHOUTDOLLAR" not in doctor.stdout + doctor.stderr


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
@pytest.mark.parametrize(("no_color", "table"), [("", True), ("1", False)])
def test_doctor_draws_a_table_on_a_terminal_with_colours(no_color: str, table: bool, tmp_path: Path) -> None:
    outer, inner = os.openpty()
    env = environment(tmp_path, TERM="xterm-256color", COLUMNS="160", NO_COLOR=no_color)
    with subprocess.Popen([*COMMAND, "doctor"], cwd=tmp_path, env=env, stdout=inner, stderr=inner) as process:
        os.close(inner)
        shown = b""
        while chunk := read_terminal(outer):
            shown += chunk
        os.close(outer)
        assert process.wait(30) == 0
    assert ("┃" in shown.decode()) == table
    assert (b"\x1b[" in shown) == table


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's way to say that the other side is closed
        return b""
