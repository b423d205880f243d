"""Make and read venvs that match an image: its Python's minor and its exact pins."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio

from bundle_core.reports import ProbeReport, ProbeRequest
from bundle_core.typed_json import from_json
from server.errors import EnvironmentFailure, InputError
from server.runners.interpreter import call
from server.runners.owner import private_folder
from server.runners.pins import Pins, normalise, pins_for
from server.runners.pythons import find_python, run_uv
from server.runners.types import DockerImage, Progress, silent

BASE = ("numpy", "pandas", "scipy", "cloudpickle", "pyarrow")
MARKER = "numerai-pickle-mcp.json"
INSTALL_SECONDS = 1800.0
PROBE_SECONDS = 60.0
REQUIREMENT = re.compile(r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(\[[\w,. -]*\])?\s*((?:[<>=!~]=?|===)[\w.*+!, <>=~-]+)?")


@dataclass(frozen=True)
class VenvReport:
    """A venv and the image that it matches. Versions by normalised name; `pins` has None where the image lacks one."""

    interpreter: Path
    python_version: str
    python_source: str
    """"pyenv", "PATH" or "uv"."""
    image: DockerImage
    installed: dict[str, str]
    pins: dict[str, str | None]
    warnings: tuple[str, ...]
    reused: bool


@dataclass(frozen=True)
class Recipe:
    """What a venv is made of; kept in the venv as its marker, so that two equal ones are the same venv."""

    image: DockerImage
    python_version: str
    python_source: str
    requirements: dict[str, str]
    pins: dict[str, str | None]
    warnings: tuple[str, ...]


async def make_venv(
    path: Path,
    image: DockerImage,
    *,
    packages: Sequence[str] = (),
    recreate: bool = False,
    cache_dir: Path,
    progress: Progress = silent,
) -> VenvReport:
    """A venv at `path` with the image's Python and the base set and `packages` at the image's pins.

    One that matches is reused. Another one is replaced only with `recreate`, and only when the new one stands. A failed
    or cancelled call leaves what was there.

    Raises:
        InputError: `packages` holds something that is no requirement, or `path` is not ours to replace.
        EnvironmentFailure: no such Python, the packages cannot be installed, or the venv is another one's.
    """
    pins = await pins_for(image, cache_dir)
    wanted = _requirements(packages, pins)
    existing = await anyio.to_thread.run_sync(_existing, path)
    if existing and not recreate:
        if not _serves(existing, image, wanted, pins):
            raise EnvironmentFailure(
                f"The venv at {path} was made for another image, or lacks what is asked for.",
                evidence=f"It is for {existing.image.reference} with {', '.join(existing.requirements.values())}; "
                f"asked for is {image.reference} with {', '.join(wanted.values())}.",
                next_step="Call again with recreate=true, or with another path.",
            )
        return await _reuse(path, existing)
    python = await find_python(pins.python_version, progress=progress)
    await progress(f"Python {python.version} from {python.source}: {python.path}")
    shown = {name: pins.versions.get(name) for name in wanted}
    recipe = Recipe(image, python.version, python.source, wanted, shown, _warnings(wanted, pins))
    try:
        with private_folder(path.parent, f".{path.name}") as aside:
            await _install(aside / "new", python.path, recipe, pins, progress)
            await anyio.to_thread.run_sync(_move_into_place, aside, path)
    except OSError as error:
        raise EnvironmentFailure(
            f"The venv cannot be put at {path}.", evidence=str(error), next_step="Give another path."
        ) from error
    return await _report(path, recipe, reused=False)


async def read_venv(path: Path) -> VenvReport:
    """What the venv at `path` (its folder, or the interpreter in it) is.

    Raises:
        EnvironmentFailure: there is none, it was not made by make_venv, or its interpreter does not run.
    """
    folder = path.parent.parent if path.stem.startswith("python") else path
    recipe = await anyio.to_thread.run_sync(_read_marker, folder)
    if recipe is None:
        raise EnvironmentFailure(
            f"There is no venv of make_venv at {folder}.",
            next_step="Call make_venv, or give the path of a venv that it made.",
        )
    return await _report(folder, recipe, reused=True)


def interpreter_of(venv: Path) -> Path:
    """Where a venv has its interpreter on this system, as an absolute path."""
    # Not resolved: the symbolic link in the venv is the interpreter that knows the venv.
    folder = Path(os.path.abspath(venv))  # noqa: PTH100
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def _requirements(packages: Sequence[str], pins: Pins) -> dict[str, str]:
    """Normalised name to requirement: the pin, unless the caller asks for a version of its own."""
    wanted = {name: f"{name}=={pins.versions[name]}" for name in BASE}
    for package in packages:
        parsed = REQUIREMENT.fullmatch(package.strip())
        if not parsed:
            raise InputError(
                f"{package!r} is not a package's name with an optional version.",
                next_step='Give names like "lightgbm" or "xgboost==2.1.4"; options, URLs and paths are not taken.',
            )
        name = normalise(parsed[1])
        pinned = f"=={pins.versions[name]}" if name in pins.versions else ""
        wanted[name] = f"{name}{parsed[2] or ''}{parsed[3] or pinned}"
    return wanted


def _warnings(wanted: dict[str, str], pins: Pins) -> tuple[str, ...]:
    lacking = [name for name in wanted if name not in pins.versions]
    failing = "a pickle that imports it fails there with ModuleNotFoundError."
    return pins.warnings + tuple(f"The image has no {name}: {failing}" for name in lacking)


def _existing(path: Path) -> Recipe | None:
    """The recipe of the venv at `path`; None where nothing is there."""
    if not path.is_symlink() and (not path.exists() or (path.is_dir() and not any(path.iterdir()))):
        return None
    recipe = None if path.is_symlink() else _read_marker(path)
    if recipe is None:
        raise InputError(
            f"{path} exists and is not a venv that make_venv made, so it is neither used nor replaced.",
            next_step="Give another path.",
        )
    return recipe


def _serves(recipe: Recipe, image: DockerImage, wanted: dict[str, str], pins: Pins) -> bool:
    """A venv with more packages than asked for serves too."""
    same = recipe.image.reference == image.reference and recipe.python_version == pins.python_version
    return same and wanted.items() <= recipe.requirements.items()


async def _install(venv: Path, python: Path, recipe: Recipe, pins: Pins, progress: Progress) -> None:
    # Relocatable: it is built beside its place and moved there when it is whole.
    made = await run_uv("venv", "--relocatable", "--no-project", "--python", python, venv, timeout_seconds=120)
    if made.exit_code != 0:
        raise EnvironmentFailure("uv could not make the venv.", evidence=_tail(made.stderr))
    constraints = venv / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.versions.items()))
    await progress(f"Installing {', '.join(recipe.requirements.values())}")
    installed = await run_uv(
        "pip",
        "install",
        "--python",
        interpreter_of(venv),
        "--constraints",
        constraints,
        *recipe.requirements.values(),
        timeout_seconds=INSTALL_SECONDS,
    )
    if installed.exit_code != 0:
        raise EnvironmentFailure(
            "The packages cannot be installed at the image's pins.",
            evidence=_tail(installed.stderr) or f"uv took longer than {INSTALL_SECONDS:.0f} s",
            next_step="Ask for versions that fit the image's pins (a name alone takes the image's), or check the "
            "way to the package index.",
        )
    (venv / MARKER).write_text(json.dumps(asdict(recipe), indent=1))


def _move_into_place(aside: Path, path: Path) -> None:
    """`aside / "new"` becomes `path`; what was there goes with `aside`."""
    old = aside / "old"
    if path.exists():
        path.rename(old)
    try:
        (aside / "new").rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    # Here, in a worker thread, the many files are removed without holding up the server.
    shutil.rmtree(old, ignore_errors=True)


async def _report(path: Path, recipe: Recipe, *, reused: bool) -> VenvReport:
    interpreter = interpreter_of(path)
    request = ProbeRequest(packages=list(recipe.requirements))
    probe = await call(interpreter, "probe", request, report_type=ProbeReport, timeout_seconds=PROBE_SECONDS)
    installed = {name: version for name, version in probe.packages.items() if version}
    differing = tuple(
        f"{name} is {installed.get(name, 'missing')} here and {pin} in the image."
        for name, pin in recipe.pins.items()
        if pin and installed.get(name) != pin
    )
    return VenvReport(
        interpreter=interpreter,
        python_version=probe.python_version,
        python_source=recipe.python_source,
        image=recipe.image,
        installed=installed,
        pins=recipe.pins,
        warnings=recipe.warnings + differing,
        reused=reused,
    )


async def _reuse(path: Path, recipe: Recipe) -> VenvReport:
    """The report of a venv that its marker says serves, if what it holds is still what the marker says."""
    again = "Call again with recreate=true, or with another path."
    try:
        report = await _report(path, recipe, reused=True)
    except EnvironmentFailure as error:
        raise EnvironmentFailure(f"The venv at {path} is broken.", evidence=error.evidence, next_step=again) from error
    for name, requirement in recipe.requirements.items():
        exact = requirement.partition("==")[2]
        if exact and report.installed.get(name) != exact:
            found = report.installed.get(name, "missing")
            raise EnvironmentFailure(
                f"The venv at {path} was changed.", evidence=f"{name} is {found}, not {exact}.", next_step=again
            )
    return report


def _read_marker(venv: Path) -> Recipe | None:
    try:
        return from_json(Recipe, json.loads((venv / MARKER).read_text()))
    except (OSError, ValueError):
        return None


def _tail(output: bytes) -> str:
    return output.decode(errors="replace").strip()[-1500:]
