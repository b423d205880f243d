"""Tools that make the venv and the pickle, and look into a pickle."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from server.jobs import Progress
from server.tools.registration import Ctx, JobResult, Result, WaitSeconds, as_job, state, tool

DockerImageArgument = Annotated[
    str | None, Field(description="A docker image's id, name or reference; null: Numerai's default.")
]
PicklePath = Annotated[str, Field(description="The pickle, e.g. model.pkl.")]


class MakeVenvResult(JobResult):
    interpreter: str | None = None
    python_version: str | None = None
    python_source: str | None = None
    image: str | None = None
    installed: dict[str, str] | None = None
    pins: dict[str, str | None] | None = None
    warnings: list[str] | None = None
    reused: bool | None = None


class BuildPickleResult(JobResult):
    pickle_path: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    python_version: str | None = None
    image: str | None = None
    bundle_path: str | None = None
    report_path: str | None = None
    parity: dict[str, Any] | None = None
    contract: list[dict[str, Any]] | None = None
    predict_seconds: float | None = None
    load_seconds: float | None = None
    peak_memory_mb: float | None = None
    imports: list[str] | None = None
    description: list[str] | None = None
    warnings: list[str] | None = None


class InspectPickleResult(Result):
    image: str
    fingerprint: dict[str, Any]
    findings: list[dict[str, Any]]


@tool("Make a venv that matches an image", writes=True, outside=True)
async def make_venv(
    ctx: Ctx,
    path: Annotated[str, Field(description="Where the venv goes.")] = "venv",
    docker_image: DockerImageArgument = None,
    packages: Annotated[list[str], Field(description='More packages at the image\'s pins, e.g. ["lightgbm"].')] = [],  # noqa: B006
    recreate: Annotated[bool, Field(description="Replace a venv that does not match.")] = False,
    wait_seconds: WaitSeconds = 45,
) -> MakeVenvResult:
    """Make a venv with the image's Python and its exact versions of numpy, pandas, scipy, cloudpickle and pyarrow. Only
    a pickle made by the matching Python runs at Numerai. A venv that matches is reused. Next: build_pickle."""
    from server.images import find_image
    from server.runners.venv import make_venv as make
    from server.workspace import inside

    settings = state(ctx).settings
    target = inside(settings, path)
    image = await find_image(settings, docker_image)

    async def work(progress: Progress) -> MakeVenvResult:
        venv = await make(
            target, image, packages=packages, recreate=recreate, cache_dir=settings.cache_dir, progress=progress
        )
        verb = "was there already and matches" if venv.reused else "was made for"
        return MakeVenvResult(
            summary=f"The venv {target} {verb} {image.reference}: Python {venv.python_version} from "
            f"{venv.python_source}. Next: build_pickle with venv={path!r}.",
            interpreter=str(venv.interpreter),
            python_version=venv.python_version,
            python_source=venv.python_source,
            image=venv.image.reference,
            installed=venv.installed,
            pins=venv.pins,
            warnings=list(venv.warnings),
            reused=venv.reused,
        )

    arguments = {"path": str(target), "image": image.reference, "packages": packages, "recreate": recreate}
    return await as_job(ctx, "make_venv", MakeVenvResult, arguments, work, wait_seconds)


@tool("Build a pickle", writes=True)
async def build_pickle(
    ctx: Ctx,
    model_path: Annotated[
        str | None, Field(description="A trained model's file, e.g. model.txt or model.json.")
    ] = None,
    bundle_path: Annotated[str | None, Field(description="A bundle (.npz) of an earlier build.")] = None,
    script: Annotated[str | None, Field(description="file.py:function: your own predict; must not train.")] = None,
    output: Annotated[str, Field(description="The pickle to write; bundle and report go beside it.")] = "model.pkl",
    venv: Annotated[str, Field(description="The venv of make_venv.")] = "venv",
    training_python: Annotated[
        str | None, Field(description="Reads model objects; null: the workspace's .venv.")
    ] = None,
    features: Annotated[
        list[str] | str | None,
        Field(description="Names in training order, or features.json#set; null: the model's own."),
    ] = None,
    pipeline: Annotated[
        dict[str, Any] | str | None,
        Field(
            description="Steps around the model(s), inline or a JSON file; see the resource numerai://pipeline-schema."
        ),
    ] = None,
    sample: Annotated[str | None, Field(description="Parquet with live-shaped rows to check on.")] = None,
    reference: Annotated[
        str | None, Field(description="Parquet or CSV: id -> the source's own raw scores, to prove parity by.")
    ] = None,
    wait_seconds: WaitSeconds = 45,
) -> BuildPickleResult:
    """Turn a trained model into a pickle that needs only numpy and pandas, made by the venv's Python. Give exactly one
    of model_path, bundle_path, script, or pipeline.models. Proves that the raw scores are the model's own (parity) and
    that the output keeps Numerai's rules (contract). Next: inspect_pickle, then run_container_debug."""
    from server.builds.build import BuildRequest, build

    settings = state(ctx).settings
    request = BuildRequest(
        model_path, bundle_path, script, output, venv, training_python, features, pipeline, sample, reference
    )

    async def work(progress: Progress) -> BuildPickleResult:
        from server.builds.results import build_result

        return BuildPickleResult.model_validate(build_result(await build(settings, request, progress)))

    return await as_job(ctx, "build_pickle", BuildPickleResult, dataclasses.asdict(request), work, wait_seconds)


@tool("Inspect a pickle without loading it")
async def inspect_pickle(
    ctx: Ctx,
    pickle_path: PicklePath,
    docker_image: DockerImageArgument = None,
    data_version: Annotated[
        str | None, Field(description="Judge feature and benchmark names by it, e.g. v5.2.")
    ] = None,
) -> InspectPickleResult:
    """Read what a pickle is from its bytes, never loading it: which Python made it, what it imports, what predict
    takes, and what will or may fail in the image. Next: run_container_debug."""
    from server.images import find_image
    from server.inspection import fingerprint_fields, inspect_file
    from server.workspace import existing_file

    settings = state(ctx).settings
    path: Path = existing_file(settings, pickle_path)
    image = await find_image(settings, docker_image)
    fingerprint, findings = await inspect_file(settings, path, image, data_version)
    fatal = sum(finding.verdict == "will_fail" for finding in findings)
    python = fingerprint.python_version or " or ".join(fingerprint.python_candidates) or "unknown"
    verdict = f"{fatal} findings say that it will fail there" if fatal else "nothing says that it will fail there"
    return InspectPickleResult(
        summary=f"{path.name}: made by Python {python}; the image {image.reference} has {image.python_version}; "
        f"{verdict}. Next: {'mend these and build again' if fatal else 'run_container_debug'}.",
        image=image.reference,
        fingerprint=fingerprint_fields(fingerprint),
        findings=[dataclasses.asdict(finding) for finding in findings],
    )
