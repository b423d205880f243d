"""The docker engine: reaching it, its images, and the cleaning up of what dead servers left in it.

The SDK is synchronous: its calls run in worker threads. Short ones are waited for even when the caller is cancelled.
"""

from __future__ import annotations

import platform
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar, cast

import anyio
import anyio.from_thread
import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from server.errors import EngineFailure, ImageMissing
from server.runners.owner import is_dead, own_token
from server.runners.types import Progress

OWNER_LABEL = "numerai-pickle-mcp.owner"
MACHINE_LABEL = "numerai-pickle-mcp.machine"
STAND_IN_LABEL = "numerai-pickle-mcp.standin"
PRODUCTION_PLATFORM = "linux/amd64"
"""What Numerai runs, and so what is pulled, whatever the host is."""
CALL_SECONDS = 60

Result = TypeVar("Result")


@dataclass(frozen=True)
class LocalImage:
    """An image that the engine has."""

    reference: str
    digest: str
    """The registry's, else the image's own id."""
    architecture: str
    """"amd64", "arm64"."""
    entry_point: tuple[str, ...]
    stand_in: bool
    emulated: bool
    """The engine's machine is of another architecture."""

    @property
    def interpreter(self) -> str | None:
        """The Python that its entry point starts; None where it starts something else."""
        first = self.entry_point[0] if self.entry_point else ""
        return first if PurePosixPath(first).name.startswith("python") else None


@asynccontextmanager
async def open_engine() -> AsyncGenerator[docker.DockerClient]:
    """The engine that DOCKER_HOST or docker's current context names.

    Raises:
        EngineFailure: none answers, or this user may not use it.
    """
    client = await in_thread(lambda: docker.from_env(version="auto", timeout=CALL_SECONDS))
    try:
        yield client
    finally:
        client.close()


async def local_image(reference: str) -> LocalImage | None:
    """The image as the engine has it; None where it lacks it. Never pulls.

    Raises:
        EngineFailure: as `open_engine`.
    """
    async with open_engine() as client:
        return await find_image(client, reference)


async def find_image(client: docker.DockerClient, reference: str) -> LocalImage | None:
    """As `local_image`, on an open client."""

    def inspect() -> LocalImage | None:
        try:
            facts = cast("dict[str, Any]", client.api.inspect_image(reference))
        except ImageNotFound:
            return None
        config = cast("dict[str, Any]", facts.get("Config") or {})
        digests = cast("list[str]", facts.get("RepoDigests") or [])
        architecture = str(facts["Architecture"])
        return LocalImage(
            reference=reference,
            digest=digests[0].partition("@")[2] if digests else str(facts["Id"]),
            architecture=architecture,
            entry_point=tuple(config.get("Entrypoint") or ()),
            stand_in=(config.get("Labels") or {}).get(STAND_IN_LABEL) == "true",
            emulated=architecture != client.version()["Arch"],
        )

    return await in_thread(inspect)


async def pull_image(client: docker.DockerClient, reference: str, progress: Progress) -> None:
    """Pull for production's platform; progress in whole percents of the bytes known so far.

    Raises:
        ImageMissing: the registry does not have it, or does not let this user have it.
        EngineFailure: the registry cannot be reached, or the engine fails.
    """

    async def tell(line: str) -> None:
        await progress(line)

    def pull() -> None:
        layers: dict[str, tuple[int, int]] = {}
        told = -1
        repository, _, tag = reference.rpartition(":")
        for event in client.api.pull(repository, tag, stream=True, decode=True, platform=PRODUCTION_PLATFORM):
            anyio.from_thread.check_cancelled()
            event = cast("dict[str, Any]", event)
            if "error" in event:
                raise DockerException(event["error"])
            detail = event.get("progressDetail") or {}
            if event.get("status") == "Downloading" and detail.get("total"):
                layers[event["id"]] = (detail["current"], detail["total"])
            done, total = (sum(column) for column in zip(*layers.values(), strict=True)) if layers else (0, 0)
            if total and 100 * done // total > told:
                told = 100 * done // total
                anyio.from_thread.run(tell, f"Pulling {reference}: {told}% of {total / 1e9:.1f} GB")

    await progress(f"Pulling {reference}")
    try:
        await anyio.to_thread.run_sync(pull, abandon_on_cancel=True)
    except (DockerException, requests.RequestException) as error:
        raise _pull_failure(reference, _explanation(error)) from error


async def remove_leftovers(client: docker.DockerClient) -> None:
    """Remove the containers of servers on this machine that are dead."""

    def remove() -> None:
        for container in client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True):
            labels = cast("dict[str, str]", container.labels)
            if labels.get(MACHINE_LABEL) == platform.node() and is_dead(labels[OWNER_LABEL]):
                # Another server may be removing it too.
                with suppress(APIError):
                    container.remove(force=True, v=True)

    await in_thread(remove)


def owner_labels() -> dict[str, str]:
    """What marks a container as this server's."""
    return {OWNER_LABEL: own_token(), MACHINE_LABEL: platform.node()}


async def in_thread(function: Callable[[], Result], *, abandon_on_cancel: bool = False) -> Result:
    """Run an SDK call in a worker thread, its errors as EngineFailure."""
    with engine_errors():
        return await anyio.to_thread.run_sync(function, abandon_on_cancel=abandon_on_cancel)


@contextmanager
def engine_errors() -> Generator[None]:
    """The SDK's errors as EngineFailure: not permitted, not there, or the engine's own words."""
    try:
        yield
    except (APIError, NotFound) as error:
        raise EngineFailure("The docker engine refused.", evidence=_explanation(error)) from error
    except (DockerException, requests.RequestException) as error:
        words = _explanation(error)
        if "Permission denied" in words or "PermissionError" in words:
            raise EngineFailure(
                "This user may not use the docker engine.",
                evidence=words,
                next_step="Add the user to the group docker (and log in again), or use runner=venv.",
            ) from error
        if isinstance(error, requests.RequestException) or "fetching server API version" in words:
            raise EngineFailure(
                "No docker engine answers.",
                evidence=words,
                next_step="Start docker, or set DOCKER_HOST to the engine that runs, or use runner=venv.",
            ) from error
        raise EngineFailure("The docker engine cannot be used.", evidence=words) from error


def _pull_failure(reference: str, words: str) -> EngineFailure:
    lower = words.lower()
    if any(word in lower for word in ("denied", "unauthorized", "forbidden")):
        return ImageMissing(
            f"The registry does not let this user pull {reference}.",
            evidence=words,
            next_step="Numerai's images are public: `docker logout ghcr.io` removes a stale login, which can be why. "
            "Otherwise use runner=venv.",
        )
    if any(word in lower for word in ("not found", "unknown", "does not exist")):
        return ImageMissing(
            f"The registry does not have {reference}.",
            evidence=words,
            next_step="Choose an image of query_docker_images.",
        )
    return EngineFailure(
        f"{reference} could not be pulled: the registry does not answer, or the engine failed.",
        evidence=words,
        next_step="Check the network and the disk's free space and call again: layers already pulled are kept. "
        "Otherwise use runner=venv.",
    )


def _explanation(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)
