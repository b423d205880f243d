"""Models and a pipeline to one bundle: names and files are resolved here, once."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from bundle_core.bundle import Bundle, Source, check_bundle
from bundle_core.feature_names import resolve_names
from bundle_core.ir import Model
from bundle_core.pipeline import Impute, ModelSource, Pipeline, Scale, Steps, check, invalid
from bundle_core.sources import read_native, read_source

T = TypeVar("T")
_GENERIC = re.compile(r"(Column_|feature_|f|x)?\d+")
"""Names that libraries make up where the training data had none."""


def compose(models: Sequence[Model], pipeline: Pipeline, base_dir: Path) -> Bundle:
    """The bundle of `models`, which stand in the order of `pipeline.models`; one model needs no entry there.

    A model's columns are its entry's `features`, else the pipeline's, else its own names.
    Raises PipelineInvalid where names are missing or differ from the model's own.
    """
    sources: list[Source] = []
    for i, model in enumerate(models):
        entry = pipeline.models[i] if pipeline.models else ModelSource(path="model")
        name = entry.name or Path(entry.path).name.split(".")[0]
        sources.append(Source(name, model, tuple(_columns(model, i, pipeline, base_dir)), entry.weight))
    return with_steps(sources, pipeline, base_dir)


def with_steps(sources: Sequence[Source], pipeline: Pipeline, base_dir: Path) -> Bundle:
    """The bundle of these sources under the pipeline's steps; a name that occurs twice gets a number."""
    names = [source.name for source in sources]
    numbered = [
        replace(source, name=f"{name} ({twins + 1})") if (twins := names[:i].count(name)) else source
        for i, (source, name) in enumerate(zip(sources, names, strict=True))
    ]
    bundle = Bundle(tuple(numbered), _by_name(resolve_steps(pipeline, base_dir), sources))
    check_bundle(bundle)
    return bundle


def single(model: Any, features: list[str] | None, network: dict[str, Any] | None) -> Bundle:
    """The bundle of one model file or fitted object, without steps; `network` as in the pipeline."""
    declared = check({"network": network}).network
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        read, name = read_source(path, declared).model, path.name.split(".")[0]
    else:
        read, name = read_native(model, declared), type(model).__name__
    return compose([read], Pipeline(models=[ModelSource(path=name, features=features)]), Path())


def together(models: Sequence[Any], steps: dict[str, Any], weights: Sequence[float] | None) -> Bundle:
    """Bundles, files and objects under new steps; a bundle's weight multiplies those of its models."""
    pipeline = check(steps)
    for key in ("features", "models", "network"):
        if key in steps:
            raise invalid(f"pipeline.{key}", "belongs to the bundles, which have it already")
    if weights is not None and len(weights) != len(models):
        raise invalid("weights", f"{len(weights)} weights for {len(models)} models")
    bundles = [model if isinstance(model, Bundle) else single(model, None, None) for model in models]
    sources = [
        replace(source, weight=source.weight * weight)
        for bundle, weight in zip(bundles, weights or [1.0] * len(bundles), strict=True)
        for source in bundle.sources
    ]
    return with_steps(sources, pipeline, Path())


def resolve_steps(pipeline: Pipeline, base_dir: Path) -> Steps:
    """The pipeline's steps with every name written out."""
    steps = Steps(**{field.name: getattr(pipeline, field.name) for field in fields(Steps)})
    if steps.neutralize is None or steps.neutralize.to == "benchmarks":
        return steps
    to = resolve_names(steps.neutralize.to, base_dir, "pipeline.neutralize.to")
    return replace(steps, neutralize=replace(steps.neutralize, to=to))


def _by_name(steps: Steps, sources: Sequence[Source]) -> Steps:
    """Lists of numbers in the order of the features become numbers by name."""

    def named(values: T, key: str) -> T | dict[str, float]:
        if not isinstance(values, list):
            return values
        columns = {source.features for source in sources}
        if len(columns) != 1:
            raise invalid(key, "is a list, but the models have different features; give the numbers by name")
        names, numbers = columns.pop(), cast("list[float]", values)
        if len(names) != len(numbers):
            raise invalid(key, f"{len(numbers)} numbers for {len(names)} features")
        return dict(zip(names, numbers, strict=True))

    impute, scale = steps.impute, steps.scale
    if isinstance(impute, Impute):
        impute = replace(impute, values=named(impute.values, "pipeline.impute.values"))
    if scale is not None:
        mean, std = named(scale.mean, "pipeline.scale.mean"), named(scale.std, "pipeline.scale.std")
        scale = Scale(mean=mean, std=std)
    return replace(steps, impute=impute, scale=scale)


def own_names(model: Model) -> list[str]:
    """The names that the training data had; none where the library made them up."""
    generic = all(_GENERIC.fullmatch(name) for name in model.feature_names)
    return [] if generic else list(model.feature_names)


def _columns(model: Model, i: int, pipeline: Pipeline, base_dir: Path) -> list[str]:
    own = own_names(model)
    key, given = "pipeline.features", pipeline.features
    if pipeline.models and pipeline.models[i].features is not None:
        key, given = f"pipeline.models[{i}].features", pipeline.models[i].features
    if given is None and not own:
        raise invalid(key, f"is needed: the model names none of its {model.n_features} features")
    if given is None:
        return own
    listed = resolve_names(given, base_dir, key)
    if len(listed) != model.n_features:
        raise invalid(key, f"{len(listed)} names for a model of {model.n_features} features")
    if own and listed != own:
        at = next(i for i in range(len(own)) if listed[i] != own[i])
        raise invalid(f"{key}[{at}]", f"{listed[at]!r} stands where the model was trained with {own[at]!r}")
    return listed
