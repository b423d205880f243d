"""Model files and a pipeline to one bundle file, compared with the libraries that trained the models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core import bundle as bundle_file
from bundle_core import parity
from bundle_core.bundle import Bundle
from bundle_core.composition import compose, resolve_steps, with_steps
from bundle_core.describe import describe, is_benchmark
from bundle_core.errors import DataInvalid
from bundle_core.frames import read_frame, read_reference, read_sample
from bundle_core.native import native_scores
from bundle_core.pipeline import ModelSource, Pipeline, Rank, Steps, check, invalid, paths_of
from bundle_core.plan import make_plan
from bundle_core.reports import LIVE_ROWS, ConvertReport, ConvertRequest, Parity, ParityRequest
from bundle_core.runtime.evaluate import raw_scores
from bundle_core.runtime.preparation import imputed, scaled
from bundle_core.sources import NativeSource, read_source
from bundle_core.synthetic import benchmarks_of, feature_values

Frames = tuple[Any, Any]
"""The sample, and its benchmarks or None: pandas frames, named so that numpy alone suffices where there are none."""


@dataclass(frozen=True)
class _Compared:
    """The rows that raw scores are compared on, and the bundle's own scores of them."""

    inputs: list[npt.NDArray[Any]]
    scores: list[npt.NDArray[Any]]
    input_of: list[int]
    ids: Any
    """The sample's index; None for synthetic rows."""


def convert(request: ConvertRequest, tell: Callable[[str], None] = lambda _: None) -> ConvertReport:
    """Read the sources, compose them, compare their raw scores, and write the bundle file; `tell` hears what is done.

    Raises PipelineInvalid, ModelRefused, BundleInvalid, DataInvalid or PackRefused; then nothing is written.
    """
    base_dir = Path(request.base_dir)
    pipeline = _checked(request, base_dir)
    sample, warning = _sample(request, base_dir)
    _check_names(pipeline, sample)
    tell("reading what was trained")
    made, sources = _read(request, pipeline, base_dir)
    tell(f"comparing raw scores with {'the library' if request.reference is None else request.reference}")
    rows = _scored(made, sample, with_benchmarks=request.reference is None)
    reference = None if request.reference is None else base_dir / request.reference
    proof = _proof(made, sources, rows, reference)
    rank_added = _needs_rank(request, made, rows)
    if rank_added:
        made = replace(made, steps=replace(made.steps, rank=Rank()))
    tell("writing the bundle")
    output = base_dir / request.output
    bundle_file.save(made, output)
    content = output.read_bytes()
    return ConvertReport(
        bundle_path=str(output),
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        description=describe(made),
        parity=proof,
        rank_added=rank_added,
        warnings=[warning] if warning else [],
    )


def prove(request: ParityRequest) -> Parity:
    """A bundle's raw scores on the sample against a reference file. Raises BundleInvalid or DataInvalid."""
    made = bundle_file.load(Path(request.bundle_path))
    benchmarks = None if request.benchmarks is None else read_frame(Path(request.benchmarks))
    rows = _scored(made, (read_sample(Path(request.sample)), benchmarks), with_benchmarks=False)
    return _proof(made, None, rows, Path(request.reference))


def _checked(request: ConvertRequest, base_dir: Path) -> Pipeline:
    """The pipeline, with every file that it names looked at before any model is read."""
    pipeline = check(request.pipeline or {})
    given = [request.model_path, request.bundle_path, pipeline.models or None]
    if sum(source is not None for source in given) != 1:
        raise invalid("model_path", "give exactly one of model_path, bundle_path, pipeline.models")
    for key, path in paths_of(request.pipeline, request.features):
        if not (base_dir / path).is_file():
            raise invalid(key, f"{path} does not exist")
    if request.features is not None and pipeline.features is not None:
        raise invalid("features", "is given twice: beside the pipeline and in it")
    if request.bundle_path is not None and (request.features or pipeline.features) is not None:
        raise invalid("features", "a bundle already has its features")
    if request.reference is not None and request.sample is None:
        raise invalid("reference", "needs sample: the rows that it holds the raw scores of")
    steps = resolve_steps(pipeline, base_dir)
    return replace(pipeline, neutralize=steps.neutralize, features=request.features or pipeline.features)


def _read(request: ConvertRequest, pipeline: Pipeline, base_dir: Path) -> tuple[Bundle, list[NativeSource] | None]:
    """The bundle, and its sources as their libraries read them; None where a bundle was given."""
    if request.bundle_path is not None:
        held = bundle_file.load(base_dir / request.bundle_path)
        if request.pipeline:
            held = with_steps(held.sources, pipeline, base_dir)
        return held, None
    if request.model_path is not None:
        pipeline = replace(pipeline, models=[ModelSource(path=request.model_path, network=pipeline.network)])
    sources = [read_source(base_dir / entry.path, entry.network) for entry in pipeline.models]
    return compose([source.model for source in sources], pipeline, base_dir), sources


def _sample(request: ConvertRequest, base_dir: Path) -> tuple[Frames | None, str]:
    """The sample's frames, or None and why a given one is not used: not every training Python reads parquet."""
    if request.sample is None:
        return None, ""
    try:
        live = read_sample(base_dir / request.sample)
        return (live, None if request.benchmarks is None else read_frame(base_dir / request.benchmarks)), ""
    except DataInvalid as problem:
        if request.reference is not None or not isinstance(problem.__cause__, ImportError):
            raise
        return None, f"{problem.cause} {problem.next_step} Synthetic rows were compared instead."


def _check_names(pipeline: Pipeline, sample: Frames | None) -> None:
    """A column to neutralize to must be in the sample, unless it may be a benchmark of which there is no file."""
    if sample is None or pipeline.neutralize is None or not isinstance(pipeline.neutralize.to, list):
        return
    live, benchmarks = sample
    for i, name in enumerate(pipeline.neutralize.to):
        known = name in live.columns or (is_benchmark(name) if benchmarks is None else name in benchmarks.columns)
        if not known:
            raise invalid(f"pipeline.neutralize.to[{i}]", f"{name!r} is no column of the sample")


def _scored(made: Bundle, sample: Frames | None, *, with_benchmarks: bool) -> _Compared:
    """Raw scores on the sample, or on synthetic rows; `with_benchmarks` makes up benchmarks that the sample lacks."""
    plan = make_plan(made)
    inputs: list[npt.NDArray[Any]] = []
    for wanted in plan["inputs"]:
        if sample is None:
            values = imputed(feature_values(LIVE_ROWS, len(wanted["names"])), wanted["fill"])
            inputs.append(scaled(values, wanted["mean"], wanted["std"]))
        else:
            inputs.append(_sample_input(wanted, *sample, with_benchmarks))
    input_of = [source["input"] for source in plan["sources"]]
    try:
        scores = [raw_scores(source["model"], inputs[source["input"]]) for source in plan["sources"]]
    except ValueError as problem:
        raise DataInvalid(
            f"The models cannot score the {'synthetic rows' if sample is None else 'sample'}.",
            evidence=str(problem),
            next_step="Give as sample live-shaped rows with values that the models know from training.",
        ) from None
    return _Compared(inputs, scores, input_of, None if sample is None else sample[0].index)


def _sample_input(wanted: dict[str, Any], live: Any, benchmarks: Any, with_benchmarks: bool) -> npt.NDArray[Any]:
    # Needs pandas, which a training Python may lack; there are no samples then.
    from bundle_core.runtime.predict import prepared

    if benchmarks is None and with_benchmarks:
        benchmarks = benchmarks_of(live, [name for name in wanted["names"] if is_benchmark(name)])
    try:
        X, positions = prepared(wanted, live, benchmarks)
    except ValueError as problem:
        raise DataInvalid(
            "The sample does not fit the models.",
            evidence=str(problem),
            next_step="Give live-shaped rows with every column that the models were trained on.",
        ) from None
    return X[:, positions]


def _proof(made: Bundle, sources: list[NativeSource] | None, rows: _Compared, reference: Path | None) -> Parity:
    each: list[Parity] = []
    for i, source in enumerate(made.sources):
        if reference is not None:
            theirs = read_reference(reference, rows.ids, source.name)
            each.append(parity.compare(source.name, rows.scores[i], theirs, "sample", reference.name))
            continue
        if sources is None:
            each.append(parity.not_run(f"{source.name}: a bundle has no library to ask; give sample and reference."))
            continue
        native = native_scores(sources[i], rows.inputs[rows.input_of[i]])
        if isinstance(native, str):
            each.append(parity.not_run(f"{source.name}: {native}."))
            continue
        data = "synthetic" if rows.ids is None else "sample"
        each.append(parity.compare(source.name, rows.scores[i], native, data, source.model.source))
    return parity.together(each)


def _needs_rank(request: ConvertRequest, made: Bundle, rows: _Compared) -> bool:
    """Do the scores leave Numerai's range, with no step after the models that would shape them?

    `"rank": null` written out is respected.
    """
    shaping = replace(made.steps, impute=None, scale=None)
    if shaping != Steps() or "rank" in (request.pipeline or {}):
        return False
    weights = [source.weight for source in made.sources]
    mean = np.average([np.asarray(scores, np.float64) for scores in rows.scores], axis=0, weights=weights)
    return bool(np.nanmin(mean) < 0 or np.nanmax(mean) > 1)
