"""From a trained model to a pickle: convert (training Python), pack and check (the venv that matches the image)."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle_core.pipeline import check as check_pipeline
from bundle_core.pipeline import paths_of
from bundle_core.reports import (
    CheckReport,
    CheckRequest,
    ConvertReport,
    ConvertRequest,
    PackReport,
    PackRequest,
    ScriptReport,
    ScriptRequest,
)
from server.builds.failures import as_bundle_failure
from server.errors import BundleFailure, ChildTimeout, InputError
from server.reports.page import build_page
from server.runners.interpreter import call
from server.runners.owner import private_folder
from server.runners.pins import pins_for
from server.runners.types import Progress
from server.runners.venv import VenvReport, interpreter_of, read_venv
from server.settings import Settings
from server.workspace import existing_file, inside

CONVERT_SECONDS = 1800.0
SCRIPT_SECONDS = 300.0
PACK_SECONDS = 600.0
CHECK_SECONDS = 900.0


@dataclass(frozen=True)
class BuildRequest:
    """What build_pickle was asked for; paths as the agent wrote them."""

    model_path: str | None = None
    bundle_path: str | None = None
    script: str | None = None
    output: str = "model.pkl"
    venv: str = "venv"
    training_python: str | None = None
    features: list[str] | str | None = None
    pipeline: dict[str, Any] | str | None = None
    sample: str | None = None
    reference: str | None = None


@dataclass(frozen=True)
class Built:
    """A pickle in its place, and what is known of it. `convert` is None for a script, `script` for anything else."""

    pickle_path: Path
    bundle_path: Path | None
    report_path: Path
    venv: VenvReport
    pack: PackReport
    check: CheckReport
    convert: ConvertReport | None
    script: ScriptReport | None


async def build(settings: Settings, request: BuildRequest, progress: Progress) -> Built:
    """Make the pickle aside, try it, and move it into place only when it ran.

    Raises:
        InputError: the arguments contradict each other, or a file is missing.
        BundleFailure: the model, the pipeline or the script is refused, or the pickle does not run.
        EnvironmentFailure: the venv is missing or broken.
    """
    pipeline = _pipeline(settings, request)
    _one_source(request, pipeline)
    output = inside(settings, request.output)
    if output.suffix != ".pkl":
        raise InputError(f"{request.output} does not end in .pkl.", next_step="Name the output like model.pkl.")
    _not_over_a_source(settings, request, pipeline, output)
    output.parent.mkdir(parents=True, exist_ok=True)
    venv = await read_venv(_interpreter_path(settings, request.venv))
    sample = existing_file(settings, request.sample) if request.sample else None
    with private_folder(output.parent, ".build-") as stage:
        if request.script is not None:
            script = await _script(settings, request.script, venv, stage, progress)
            convert, pack = None, script.pack
        else:
            script = None
            convert = await _convert(settings, request, pipeline, sample, stage, progress)
            await progress(f"packing with {venv.interpreter}")
            packing = PackRequest(convert.bundle_path, str(stage / "model.pkl"))
            pack = await call(venv.interpreter, "pack", packing, report_type=PackReport, timeout_seconds=PACK_SECONDS)
        check = await _check(settings, request, venv, pack, convert, sample, progress)
        bundle, report = output.with_suffix(".npz"), output.with_suffix(".report.json")
        built = Built(output, bundle if convert else None, report, venv, pack, check, convert, script)
        (stage / "report.json").write_text(json.dumps(_report(built), indent=1))
        (stage / "report.html").write_text(build_page(built), encoding="utf-8")
        if convert is not None:
            Path(convert.bundle_path).replace(bundle)
        (stage / "report.json").replace(report)
        (stage / "report.html").replace(report.with_suffix(".html"))
        Path(pack.pickle_path).replace(output)
    return built


async def _convert(
    settings: Settings,
    request: BuildRequest,
    pipeline: dict[str, Any] | None,
    sample: Path | None,
    stage: Path,
    progress: Progress,
) -> ConvertReport:
    python = _training_python(settings, request)
    await progress(f"converting with {python}")
    converting = ConvertRequest(
        output=str(stage / "model.npz"),
        base_dir=str(settings.workspace),
        model_path=_file(settings, request.model_path),
        bundle_path=_file(settings, request.bundle_path),
        features=request.features,
        pipeline=pipeline,
        sample=str(sample) if sample else None,
        reference=_file(settings, request.reference),
    )
    return await call(
        python, "convert", converting, report_type=ConvertReport, timeout_seconds=CONVERT_SECONDS, progress=progress
    )


async def _script(settings: Settings, script: str, venv: VenvReport, stage: Path, progress: Progress) -> ScriptReport:
    file, colon, function = script.rpartition(":")
    if not colon or not function.isidentifier():
        raise InputError(f"{script!r} is not file.py:function.", next_step="Give e.g. deploy.py:predict.")
    path = existing_file(settings, file)
    pins = await pins_for(venv.image, settings.cache_dir)
    await progress(f"importing {path.name} with {venv.interpreter}, at most {SCRIPT_SECONDS:.0f} s")
    scripting = ScriptRequest(
        script=f"{path}:{function}",
        output=str(stage / "model.pkl"),
        base_dir=str(settings.workspace),
        image_packages=sorted(pins.versions),
    )
    try:
        return await call(
            venv.interpreter,
            "script",
            scripting,
            report_type=ScriptReport,
            timeout_seconds=SCRIPT_SECONDS,
        )
    except ChildTimeout as timeout:
        raise BundleFailure(
            f"{path.name} was stopped: importing and packing it took longer than {SCRIPT_SECONDS:.0f} s.",
            evidence=timeout.evidence,
            next_step="A script is imported to be packed, so it must not train: save the model, load it in the script.",
        ) from timeout


async def _check(
    settings: Settings,
    request: BuildRequest,
    venv: VenvReport,
    pack: PackReport,
    convert: ConvertReport | None,
    sample: Path | None,
    progress: Progress,
) -> CheckReport:
    await progress("running the pickle on a live-sized frame")
    checking = CheckRequest(
        pickle_path=pack.pickle_path,
        sample=str(sample) if sample else None,
        bundle_path=convert.bundle_path if convert else None,
        features=request.features if isinstance(request.features, list) else None,
    )
    check = await call(venv.interpreter, "check", checking, report_type=CheckReport, timeout_seconds=CHECK_SECONDS)
    if check.failure is not None:
        raise BundleFailure(
            "The pickle was made, and fails when it runs; it was not kept.",
            evidence=check.failure,
            next_step="Mend what the error names: mostly a column that the sample lacks, or the script's own code.",
        )
    return check


def _pipeline(settings: Settings, request: BuildRequest) -> dict[str, Any] | None:
    """The pipeline as an object, checked, every file that it names inside the workspace."""
    pipeline: Any = request.pipeline
    if isinstance(pipeline, str):
        try:
            pipeline = json.loads(existing_file(settings, pipeline).read_text())
        except ValueError as error:
            raise InputError(
                f"{request.pipeline} is no JSON.", evidence=str(error), next_step="Mend the file."
            ) from None
    with as_bundle_failure():
        if pipeline is not None:
            check_pipeline(pipeline)
        named = paths_of(pipeline, request.features)
    for key, path in named:
        try:
            existing_file(settings, path)
        except InputError as failure:
            raise InputError(
                f"{key}: {failure.cause}", evidence=failure.evidence, next_step=failure.next_step
            ) from None
    return pipeline


def _one_source(request: BuildRequest, pipeline: dict[str, Any] | None) -> None:
    sources = {
        "model_path": request.model_path,
        "bundle_path": request.bundle_path,
        "script": request.script,
        "pipeline.models": (pipeline or {}).get("models"),
    }
    given = [name for name, value in sources.items() if value]
    if len(given) != 1:
        raise InputError(
            f"Exactly one of {', '.join(sources)} says what to build from.",
            evidence=f"Given: {' and '.join(given) or 'none'}.",
            next_step="Keep one of them.",
        )
    if request.script and (pipeline or request.reference):
        raise InputError("A script is packed as it is.", next_step="Leave pipeline and reference out.")


def _not_over_a_source(
    settings: Settings, request: BuildRequest, pipeline: dict[str, Any] | None, output: Path
) -> None:
    """The trained model stays what it is: neither the pickle nor the bundle beside it takes its place."""
    sources = [request.model_path, *(entry["path"] for entry in (pipeline or {}).get("models", []))]
    for source in filter(None, sources):
        if inside(settings, source) in (output, output.with_suffix(".npz")):
            raise InputError(
                f"{request.output} would be written over the source {source}.",
                evidence=f"A build writes {output.name} and {output.with_suffix('.npz').name}.",
                next_step="Give another output, for example deploy.pkl.",
            )


def _training_python(settings: Settings, request: BuildRequest) -> Path:
    if request.training_python is not None:
        return _interpreter_path(settings, request.training_python)
    own = interpreter_of(settings.workspace / ".venv")
    return own if own.is_file() else Path(sys.executable)


def _interpreter_path(settings: Settings, path: str) -> Path:
    # Not resolved: a venv's interpreter is a symbolic link, and is known by where it stands.
    return settings.workspace / Path(path).expanduser()


def _file(settings: Settings, path: str | None) -> str | None:
    return str(existing_file(settings, path)) if path else None


def _report(built: Built) -> dict[str, Any]:
    """The report file: everything that was found out."""
    parts = {
        "convert": built.convert,
        "pack": built.pack,
        "check": built.check,
        "script": built.script,
    }
    return {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "pickle": built.pickle_path.name,
        "image": built.venv.image.reference,
        "installed": built.venv.installed,
        **{name: dataclasses.asdict(part) for name, part in parts.items() if part is not None},
    }
