"""Which versions an image holds: its runtime's pins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import httpx

from server.errors import EnvironmentFailure
from server.runners.types import DockerImage

RUNTIMES = Path(__file__).parent / "runtimes"
RUNTIMES_TAG = "a78dedd"
"""The images, and with them the commit of numerai/numerai-predict, whose pins are in `runtimes/`."""
SOURCE = "https://raw.githubusercontent.com/numerai/numerai-predict/{tag}/py{python}/requirements.txt"
FETCH_SECONDS = 5.0


@dataclass(frozen=True)
class Pins:
    """An image's packages. `versions` maps normalised names ("scikit-learn") to exact versions."""

    python_version: str
    versions: dict[str, str]
    source: str
    """"shipped", "fetched", or "nearest" where the image's own pins could not be had."""
    warnings: tuple[str, ...] = ()


async def pins_for(image: DockerImage, cache_dir: Path) -> Pins:
    """The image's pins: shipped, cached, or fetched at the commit that is the image's tag; else the nearest known ones.

    Raises:
        EnvironmentFailure: the image's name does not tell its Python.
    """
    python = image.python_version
    if python is None:
        raise EnvironmentFailure(
            f"The name of the image {image.reference} does not tell its Python.",
            next_step="Choose an image of query_docker_images.",
        )
    shipped = RUNTIMES / f"py{python}.txt"
    if image.tag == RUNTIMES_TAG and shipped.exists():
        return Pins(python, read_pins(shipped.read_text()), "shipped")
    cached = cache_dir / "pins" / f"{image.tag}-py{python}.txt"
    problem = None
    # Only a commit's hash is safe in a path and a URL.
    if not re.fullmatch(r"[0-9a-f]{7,40}", image.tag):
        problem = f"its tag {image.tag!r} is not a commit"
    elif not cached.exists():
        problem = await _fetch(SOURCE.format(tag=image.tag, python=python), cached)
    if problem is None:
        return Pins(python, read_pins(cached.read_text()), "fetched")
    nearest = shipped if shipped.exists() else max(RUNTIMES.glob("py*.txt"), key=lambda path: _minor(path.stem))
    warning = (
        f"The pins of {image.reference} could not be had ({problem}); those of {nearest.stem} at {RUNTIMES_TAG}, "
        "the nearest runtime known, are used. Versions may differ from the image's."
    )
    return Pins(python, read_pins(nearest.read_text()), "nearest", (warning,))


def read_pins(text: str) -> dict[str, str]:
    """`name==version` lines of a requirements file; comments, markers and hashes are dropped."""
    found = re.findall(r"^\s*([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;#\\]+)", text, re.MULTILINE)
    return {normalise(name): version for name, version in found}


def normalise(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


async def _fetch(url: str, cached: Path) -> str | None:
    """Fetch to `cached`; why not, where it did not work."""
    try:
        async with httpx.AsyncClient(timeout=FETCH_SECONDS) as client:
            response = await client.get(url)
    except httpx.HTTPError as error:
        return f"{httpx.URL(url).host} cannot be reached: {type(error).__name__}"
    if not response.is_success or not read_pins(response.text):
        return f"{url} answers {response.status_code} without pins"
    cached.parent.mkdir(parents=True, exist_ok=True)
    aside = cached.with_suffix(".part")
    aside.write_text(response.text)
    aside.replace(cached)
    return None


def _minor(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", name))
