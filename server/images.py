"""Which docker image is meant, and which images there are."""

from __future__ import annotations

import re

from server.errors import EngineFailure, NumeraiUnreachable
from server.numerai.account import choose_image
from server.numerai.client import Numerai, open_numerai
from server.runners.types import DockerImage
from server.settings import Settings

_REFERENCE = re.compile(r"(?:ghcr\.io/numerai/)?(?P<image>numerai_predict_py_\d+_\d+):(?P<tag>[\w.-]+)")


async def listed_images(numerai: Numerai, *, deprecated: bool) -> list[DockerImage]:
    """Numerai's images, the default one first."""
    images = await numerai.docker_images()
    if deprecated:
        known = {image.id for image in images}
        images += [image for image in await numerai.docker_images(deprecated=True) if image.id not in known]
    return sorted(images, key=lambda image: not image.default)


async def find_image(settings: Settings, wanted: str | None) -> DockerImage:
    """The image with that id, name or reference; Numerai's default for None.

    A reference is understood even where Numerai can't be reached: it names the image by itself.

    Raises:
        InputError: there is no such image.
        NumeraiFailure: Numerai is needed and can't be asked.
    """
    reference = _REFERENCE.fullmatch(wanted.strip()) if wanted else None
    try:
        async with open_numerai(settings) as numerai:
            images = await listed_images(numerai, deprecated=wanted is not None)
    except NumeraiUnreachable:
        if reference is None:
            raise
        images = []
    if reference is not None:
        listed = (image for image in images if (image.image, image.tag) == (reference["image"], reference["tag"]))
        return next(listed, DockerImage(None, reference[0], reference["image"], reference["tag"]))
    return choose_image(images, wanted)


async def present_locally(references: list[str]) -> frozenset[str] | None:
    """Those of the references that the docker engine has; None where no engine answers."""
    from server.runners import engine

    try:
        async with engine.open_engine() as client:
            return frozenset([reference for reference in references if await engine.find_image(client, reference)])
    except EngineFailure:
        return None


async def known_pins(settings: Settings, image: DockerImage) -> int:
    """How many of the image's own packages' versions are known; 0 where only those of another image are."""
    from server.runners.pins import pins_for

    if image.python_version is None:
        return 0
    pins = await pins_for(image, settings.cache_dir)
    return 0 if pins.source == "nearest" else len(pins.versions)
