"""Tools about where pickles run: Numerai's docker images and data versions."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from server.tools.registration import Ctx, Result, state, tool


class ImageEntry(BaseModel):
    """One docker image of Numerai's."""

    id: str | None
    name: str
    reference: str
    python_version: str | None
    default: bool
    deprecated: bool
    experimental: bool
    pins: int
    """How many of its packages' versions are known here."""
    present_locally: bool | None
    """None where no docker engine answers."""


class QueryDockerImagesResult(Result):
    images: list[ImageEntry]


class DataVersionEntry(BaseModel):
    """One data version."""

    id: str
    name: str | None
    version: str | None
    default: bool
    deprecated: bool


class ListDataVersionsResult(Result):
    data_versions: list[DataVersionEntry]


@tool("List Numerai's docker images", outside=True)
async def query_docker_images(
    ctx: Ctx, include_deprecated: Annotated[bool, Field(description="List images that Numerai retires, too.")] = False
) -> QueryDockerImagesResult:
    """List the docker images in which Numerai runs pickles, the default first. Start here: a pickle must be made by
    the Python of the image that runs it. Needs no API key; changes nothing. Next: make_venv."""
    from server.images import known_pins, listed_images, present_locally
    from server.numerai.client import open_numerai

    settings = state(ctx).settings
    async with open_numerai(settings) as numerai:
        images = await listed_images(numerai, deprecated=include_deprecated)
    present = await present_locally([image.reference for image in images])
    entries = [
        ImageEntry(
            id=image.id,
            name=image.name,
            reference=image.reference,
            python_version=image.python_version,
            default=image.default,
            deprecated=image.deprecated,
            experimental=image.experimental,
            pins=await known_pins(settings, image),
            present_locally=None if present is None else image.reference in present,
        )
        for image in images
    ]
    default = next((entry for entry in entries if entry.default), None)
    told = f"The default is {default.reference} (Python {default.python_version})." if default else "None is default."
    return QueryDockerImagesResult(
        summary=f"Numerai has {len(entries)} docker images. {told} Next: make_venv for the image you choose.",
        images=entries,
    )


@tool("List Numerai's data versions", outside=True)
async def list_data_versions(ctx: Ctx) -> ListDataVersionsResult:
    """List the data versions on which Numerai can run a pickle. The model must be trained on the version that
    upload_pickle is given. Needs no API key; changes nothing."""
    from server.numerai.client import open_numerai

    async with open_numerai(state(ctx).settings) as numerai:
        versions = await numerai.data_versions()
    entries = [
        DataVersionEntry(
            id=v.id, name=v.name, version=v.version, default=bool(v.default), deprecated=bool(v.deprecated)
        )
        for v in versions
    ]
    default = next((entry.name for entry in entries if entry.default), None)
    summary = f"Numerai has {len(entries)} data versions; the default is {default}."
    return ListDataVersionsResult(summary=summary, data_versions=entries)
