"""`numerai-pickle-mcp doctor`: what is installed, reachable and configured, and how to mend what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from server.diagnosis import quote_foreign
from server.errors import EngineFailure, InputError, NumeraiFailure, PickleMcpError
from server.install.clients import CLIENTS, Client
from server.numerai.client import open_numerai
from server.numerai.pace import Pace
from server.numerai.types import TokenInfo
from server.runners.engine import find_image, in_thread, open_engine
from server.runners.pins import RUNTIMES, RUNTIMES_TAG
from server.runners.pythons import installed_python, run_uv
from server.runners.types import DockerImage
from server.settings import Settings, read_settings

UPLOAD_SCOPE = "upload_submission"
NUMERAI_SECONDS = 10.0
COLOURS = {"ok": "green", "missing": "red", "unused": "dim"}


@dataclass(frozen=True)
class Check:
    """One line of the answer. `unused` is nothing to mend; `mend` says how to have it all the same."""

    what: str
    state: Literal["ok", "missing", "unused"]
    found: str
    mend: str = ""


async def examine(environ: Mapping[str, str], project: Path) -> list[Check]:
    """Looks at everything in turn. Installs, downloads and changes nothing; names variables, never their values."""
    checks = [await _python(minor, environ) for minor in _minors()]
    checks.append(await _uv())
    images = _shipped_images()
    try:
        settings = read_settings(environ, workspace=project)
    except PickleMcpError as failure:
        checks.append(_missing("Settings", failure))
    else:
        checks.append(_credentials(settings))
        try:
            async with open_numerai(settings, Pace(attempts=1, call_seconds=NUMERAI_SECONDS)) as numerai:
                images = await numerai.docker_images()
                checks.append(Check("Numerai", "ok", f"{settings.api_url} answers: {len(images)} docker images"))
                if settings.credentials is not None:
                    checks.append(_key(await numerai.token_info()))
        except NumeraiFailure as failure:
            checks.append(_missing("Numerai", failure))
    checks += await _engine(images)
    return checks + [_client(option, client, project) for option, client in CLIENTS.items()]


async def _python(minor: str, environ: Mapping[str, str]) -> Check:
    python = await installed_python(minor, environ=environ)
    if python is None:
        return Check(f"Python {minor}", "missing", "not in pyenv, on PATH or with uv", "make_venv has uv download it.")
    return Check(f"Python {minor}", "ok", f"{python.path} ({python.source})")


async def _uv() -> Check:
    answer = await run_uv("--version", timeout_seconds=30)
    if answer.exit_code != 0:
        return Check("uv", "missing", "it does not run", "Install this package again: uv comes with it.")
    return Check("uv", "ok", answer.stdout.decode(errors="replace").strip())


def _credentials(settings: Settings) -> Check:
    try:
        return Check("Credentials", "ok", f"from {settings.require_credentials().source}")
    except PickleMcpError as failure:
        return _missing("Credentials", failure)


def _key(info: TokenInfo) -> Check:
    account = f"account {quote_foreign(info.account_username or 'unknown', 40)}"
    if UPLOAD_SCOPE in info.scopes:
        return Check("API key", "ok", f"{account}, may upload")
    return Check("API key", "missing", f"{account}, without the scope {UPLOAD_SCOPE}", "Make a key that has it.")


async def _engine(images: list[DockerImage]) -> list[Check]:
    try:
        async with open_engine() as client:
            version = await in_thread(lambda: str(client.version()["Version"]))
            found = [await find_image(client, image.reference) for image in images]
    except EngineFailure as failure:
        return [_missing("docker engine", failure)]
    checks = [Check("docker engine", "ok", f"{version}, and this user may use it")]
    for image, local in zip(images, found, strict=True):
        what = f"Image {image.python_version or image.image}"
        if local is None:
            state = "missing" if image.default else "unused"
            mend = f"docker pull {image.reference} (many GB)"
            checks.append(Check(what, state, f"{image.reference} is not pulled", mend))
        else:
            which = "a stand-in of Numerai's" if local.stand_in else local.digest
            checks.append(Check(what, "ok", f"{image.reference} ({which})"))
    return checks


def _client(option: str, client: Client, project: Path) -> Check:
    path = client.file(project)
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        configured = client.drop(text) != text
    except (InputError, OSError, UnicodeDecodeError) as failure:
        return Check(client.name, "missing", f"{path} cannot be read: {failure}", "Mend the file.")
    if configured:
        return Check(client.name, "ok", str(path))
    return Check(client.name, "unused", f"not in {path}", f"numerai-pickle-mcp install --client {option} --write")


def _minors() -> list[str]:
    return sorted(
        (path.stem.removeprefix("py") for path in RUNTIMES.glob("py*.txt")), key=lambda m: int(m.split(".")[1])
    )


def _shipped_images() -> list[DockerImage]:
    """The images whose pins are shipped, for when Numerai can't be asked."""
    names = [f"numerai_predict_py_{minor.replace('.', '_')}" for minor in _minors()]
    return [DockerImage(None, name, name, RUNTIMES_TAG) for name in names]


def _missing(what: str, failure: PickleMcpError) -> Check:
    return Check(what, "missing", " ".join((failure.cause, failure.evidence)).strip(), failure.next_step)


async def show(environ: Mapping[str, str], project: Path, console: Console) -> None:
    """Print the checks: a table on a terminal with colours, plain lines elsewhere."""
    if not console.is_terminal or console.no_color or console.is_dumb_terminal:
        for check in await examine(environ, project):
            line = f"{check.state:<8} {check.what}: {check.found}" + (f" -> {check.mend}" if check.mend else "")
            console.print(Text(line), soft_wrap=True)
        return
    # Paths and commands are for copying: they are folded, never cut.
    table = Table("", "What", *(Column(title, overflow="fold") for title in ("Found", "How to have it")))
    with console.status("Looking"):
        checks = await examine(environ, project)
    for check in checks:
        state = Text(check.state, style=COLOURS[check.state])
        table.add_row(state, Text(check.what), Text(check.found), Text(check.mend))
    console.print(table)
