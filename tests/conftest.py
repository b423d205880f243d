"""What tests share: their environment, what they require of the machine, and the interpreters they run in.

`@pytest.mark.requires("docker", "image:3.12", "python:3.10", "lightgbm")` skips a test visibly where one of them is
missing. With CI=true, where everything is to be there, the same test fails.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from server.settings import without_numerai

CI = os.environ.get("CI", "").lower() in ("1", "true")
RUNTIMES = Path(__file__).parents[1] / "server" / "runners" / "runtimes"
BASE = ("numpy", "pandas", "scipy", "cloudpickle", "pyarrow")

INSTALL_ENVIRONMENT = dict(os.environ)
"""With the proxies, which installs of packages may need; nothing else sees it."""

clean = without_numerai()
for name in set(os.environ) - set(clean):
    del os.environ[name]
# A server that a test starts without saying where Numerai is finds nobody there.
os.environ["NUMERAI_API_URL"] = os.environ["NUMERAI_MCP_URL"] = "http://127.0.0.1:9/"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "requires(*what): docker, image:MINOR, python:MINOR, or a library's import name. Skips where it is missing; "
        "fails there with CI=true.",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("requires"):
        for what in marker.args:
            reason = missing(what)
            if reason and CI:
                pytest.fail(f"CI has to have it: {reason}", pytrace=False)
            if reason:
                pytest.skip(reason)


@functools.cache
def missing(what: str) -> str | None:
    """Why `what` cannot be used here; None where it can."""
    kind, _, minor = what.partition(":")
    if kind == "docker":
        return None if docker_answers("info") else "no docker engine answers"
    if kind == "image":
        reference = image_reference(minor)
        return None if docker_answers("image", "inspect", reference) else f"the engine lacks {reference}"
    if kind == "python":
        return None if base_python(minor) else f"no Python {minor} is installed"
    return None if importlib.util.find_spec(what) else f"{what} is not installed"


def docker_answers(*command: str) -> bool:
    return bool(shutil.which("docker")) and not subprocess.run(["docker", *command], capture_output=True).returncode


def image_reference(minor: str) -> str:
    """The image that tests run in: Numerai's name, under which CI builds the stand-in."""
    return f"ghcr.io/numerai/numerai_predict_py_{minor.replace('.', '_')}:a78dedd"


def base_python(minor: str) -> Path | None:
    """An interpreter of this minor: pyenv's, then PATH's, then uv's."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = sorted(versions.glob(f"{minor}.*/bin/python{minor}"))
    on_path = shutil.which(f"python{minor}")
    candidates += [Path(on_path)] if on_path else []
    find = [Path(sys.executable).with_name("uv"), "python", "find", "-q", "--managed-python", "--no-project", minor]
    uvs = subprocess.run(find, capture_output=True, text=True).stdout.strip()
    candidates += [Path(uvs)] if uvs else []
    for candidate in candidates:
        answer = subprocess.run([candidate, "-c", "import sys; print(sys.version)"], capture_output=True, text=True)
        if answer.returncode == 0 and answer.stdout.startswith(minor):
            return candidate
    return None


@pytest.fixture(scope="session")
def image_python(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """`image_python("3.12", "lightgbm")`: an interpreter with the base set and these packages at the image's pins.

    A package with its own `==` version takes that one instead. The venvs are kept in pytest's cache and reused.
    Use it with `@pytest.mark.requires("python:3.12")`.
    """
    folder = request.config.cache.mkdir("venvs")  # pyright: ignore[reportOptionalMemberAccess]
    return functools.cache(lambda minor, *packages: make_test_venv(folder, minor, packages))


def make_test_venv(folder: Path, minor: str, packages: tuple[str, ...]) -> Path:
    pins = dict(line.split("==") for line in (RUNTIMES / f"py{minor}.txt").read_text().split())
    wanted = {name: name if "==" in name else f"{name}=={pins[name]}" for name in (*BASE, *packages)}
    names = {requirement.partition("==")[0]: requirement for requirement in wanted.values()}
    requirements = sorted(names.values())
    base = base_python(minor)
    assert base, f"no Python {minor}: mark the test with requires('python:{minor}')"
    key = hashlib.sha256("\n".join([str(base), *requirements]).encode()).hexdigest()[:12]
    venv = folder / f"py{minor}-{key}"
    interpreter = venv / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    with locked(folder / f"{venv.name}.lock"):
        if not interpreter.exists():
            aside = folder / f"{venv.name}.making"
            install = [uv, "pip", "install", "-q", "--python", aside / "bin" / "python", "--no-config", *requirements]
            for command in ([uv, "venv", "-q", "--relocatable", "--clear", "--python", base, aside], install):
                subprocess.run(command, check=True, env=INSTALL_ENVIRONMENT, cwd=folder)
            aside.rename(venv)
    return interpreter


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Two pytest processes make one venv once."""
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(autouse=True, scope="session")
def no_numerai_but_our_own() -> Iterator[None]:
    """Resolving any of Numerai's hosts fails the test: nobody's account is touched by the tests."""
    resolve = socket.getaddrinfo

    def refusing(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name.endswith("numer.ai"):
            raise AssertionError(f"a test wanted to reach {name}")
        return resolve(host, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", refusing)
        yield
