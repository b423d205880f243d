"""The `pipeline`: what is done before, between and after the models, as one declarative object.

The order is fixed: features -> impute -> scale -> models -> rank_each -> weighted mean -> blend_benchmark ->
neutralize -> gaussianize -> clip -> rank. The dataclasses here are the schema; `pipeline.schema.json` beside this
module is the same as a JSON schema.

A column that `live_features` lacks is looked up in `live_benchmark_models`, whose rows are aligned by id. An id
without benchmark row has NaN there: `impute` fills it, a neutralizer counts it as its mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bundle_core.declared_network import DeclaredNetwork, problem_of
from bundle_core.errors import PipelineInvalid
from bundle_core.typed_json import Mismatch, from_json

By = Literal["era", "all"]
"""Within each era, or over all rows at once."""


@dataclass(frozen=True)
class Rank:
    """Percentile ranks: rank / count, as pandas' `rank(pct=True)`; NaN stays NaN and is not counted."""

    by: By = "all"
    method: Literal["average", "min", "max", "first", "dense"] = "average"
    """Of ties, as in pandas; "first" ranks equal scores in the order of the rows."""
    centered: bool = False
    """(rank - 0.5) / count, as numerai-tools' `tie_kept_rank`, instead of rank / count."""


@dataclass(frozen=True)
class Impute:
    """What NaN in a feature becomes. A feature without a value stays NaN."""

    value: float | None = None
    """For every feature that `values` does not name."""
    values: dict[str, float] | list[float] = field(default_factory=dict[str, float])
    """By name; or a list in the order of the features, where all models have the same."""


@dataclass(frozen=True)
class Scale:
    """(x - mean) / std in float64."""

    mean: float | dict[str, float] | list[float] = 0.0
    """One number for all features, numbers by name (0 where there is none), or a list in the order of the features."""
    std: float | dict[str, float] | list[float] = 1.0
    """The same; 1 where there is none."""


@dataclass(frozen=True)
class ModelSource:
    """One model of an ensemble."""

    path: str
    """A model file, or a bundle (`.npz`) of one model, whose own steps are not applied. Plain weights as `.npz` or
    `.json` have `coef` (F,) and `intercept`, or `layers.I.weight` (outputs, inputs), `layers.I.bias` and
    `layers.I.activation`; in JSON `layers` is a list of objects."""
    weight: float = 1.0
    features: list[str] | str | None = None
    """Names in training order, a JSON file with a list of them, or `features.json#set`; null: the model's own names,
    else the pipeline's `features`."""
    name: str | None = None
    network: DeclaredNetwork | None = None
    """The layers of this model's state dict."""


@dataclass(frozen=True)
class BlendBenchmark:
    """(1 - sum of weights) * models + sum of weight * benchmark column."""

    column: str | None = None
    weight: float | None = None
    columns: dict[str, float] = field(default_factory=dict[str, float])
    """Several columns with their weights, instead of `column` and `weight`."""
    missing: Literal["models", "mean", "error"] = "models"
    """A row whose id the benchmarks lack: the models' score alone; the column's mean; or an error."""
    rank: Rank | By | None = None
    """Ranks the models' scores and each column before they are mixed; null mixes them as they are."""

    @property
    def weights(self) -> dict[str, float]:
        """Weight by column."""
        return dict(self.columns) if self.column is None else {self.column: self.weight or 0.0}


@dataclass(frozen=True)
class Neutralize:
    """scores - proportion * (least-squares fit of the scores by the columns and a constant)."""

    to: list[str] | str
    """Names of features or benchmark columns, a JSON file with a list of them, `features.json#set`, or "benchmarks":
    every column of `live_benchmark_models` but era."""
    proportion: float = 1.0
    by: By = "all"


@dataclass(frozen=True)
class Steps:
    """What is done around the models; all optional."""

    impute: Impute | float | None = None
    """A number is the value for every feature."""
    scale: Scale | None = None
    rank_each: Rank | By | None = None
    """Ranks each model's scores before the weighted mean."""
    blend_benchmark: BlendBenchmark | None = None
    neutralize: Neutralize | None = None
    gaussianize: By | None = None
    """The normal distribution's quantile of the centered rank."""
    clip: tuple[float, float] | None = None
    """[low, high]"""
    rank: Rank | By | None = None
    """The last step. Without it the scores must lie in [0, 1]."""


@dataclass(frozen=True)
class Pipeline(Steps):
    """What is done before, between and after the models, always in this order: features, impute, scale, models,
    rank_each, weighted mean, blend_benchmark, neutralize, gaussianize, clip, rank. A column that live_features lacks is
    looked up in live_benchmark_models, aligned by id."""

    features: list[str] | str | None = None
    """Names in training order, a JSON file with a list of them, or `features.json#set`."""
    models: list[ModelSource] = field(default_factory=list[ModelSource])
    """The sources of the weighted mean; instead of model_path."""
    network: DeclaredNetwork | None = None
    """The layers of a state dict, where there is one model."""


def check(value: object) -> Pipeline:
    """A pipeline, as `json.loads` gives it, checked without opening a file.

    Raises PipelineInvalid; its `evidence` starts with the path of the offending key, "pipeline.models[1].weight".
    """
    try:
        pipeline = from_json(Pipeline, value, "pipeline")
    except Mismatch as mismatch:
        raise invalid(mismatch.path, mismatch.problem) from None
    _check_models(pipeline)
    check_steps(pipeline)
    return pipeline


def paths_of(value: object, features: list[str] | str | None = None) -> list[tuple[str, str]]:
    """Every file that a pipeline and the argument `features` name: (path of the key, the file without `#set`).

    Raises PipelineInvalid.
    """
    pipeline = check({} if value is None else value)
    named: list[tuple[str, object]] = [("features", features), ("pipeline.features", pipeline.features)]
    for i, source in enumerate(pipeline.models):
        named += [(f"pipeline.models[{i}].path", source.path), (f"pipeline.models[{i}].features", source.features)]
    if pipeline.neutralize is not None and pipeline.neutralize.to != "benchmarks":
        named.append(("pipeline.neutralize.to", pipeline.neutralize.to))
    return [(key, name.split("#")[0]) for key, name in named if isinstance(name, str)]


def as_rank(value: Rank | By | None) -> Rank | None:
    """The short form `"era"` as the `Rank` that it stands for."""
    return Rank(by=value) if isinstance(value, str) else value


def check_steps(steps: Steps) -> None:
    """Raise PipelineInvalid where a step contradicts itself or another one."""
    if isinstance(steps.scale, Scale):
        given = steps.scale.std
        spreads = given.values() if isinstance(given, dict) else given if isinstance(given, list) else [given]
        if any(spread <= 0 for spread in spreads):
            raise invalid("pipeline.scale.std", "a standard deviation must be above 0")
    if steps.blend_benchmark is not None:
        _check_blend(steps.blend_benchmark)
    if steps.neutralize is not None:
        if steps.neutralize.to == []:
            raise invalid("pipeline.neutralize.to", "names no column")
        _check_names("pipeline.neutralize.to", steps.neutralize.to)
        if not 0 <= steps.neutralize.proportion <= 1:
            raise invalid("pipeline.neutralize.proportion", f"{steps.neutralize.proportion} is not within 0 and 1")
    if steps.clip is not None and steps.clip[0] >= steps.clip[1]:
        raise invalid("pipeline.clip", f"{list(steps.clip)} is not [low, high] with low below high")
    if steps.rank is None and steps.clip is None and steps.gaussianize is not None:
        raise invalid("pipeline.gaussianize", "gives scores outside of [0, 1]; add rank after it")
    if steps.rank is None and steps.clip is not None and not 0 <= steps.clip[0] < steps.clip[1] <= 1:
        raise invalid("pipeline.clip", f"{list(steps.clip)} is not within [0, 1] and no rank follows")


def _check_models(pipeline: Pipeline) -> None:
    _check_names("pipeline.features", pipeline.features)
    _check_network("pipeline.network", pipeline.network)
    for i, source in enumerate(pipeline.models):
        _check_network(f"pipeline.models[{i}].network", source.network)
        _check_names(f"pipeline.models[{i}].features", source.features)
        if source.weight < 0:
            raise invalid(f"pipeline.models[{i}].weight", f"{source.weight} is negative")
    if pipeline.models and sum(source.weight for source in pipeline.models) <= 0:
        raise invalid("pipeline.models", "the weights sum to 0")


def _check_blend(blend: BlendBenchmark) -> None:
    if (blend.column is None) == (not blend.columns) or (blend.column is None) != (blend.weight is None):
        raise invalid("pipeline.blend_benchmark", "needs either `column` and `weight`, or `columns`")
    total = sum(blend.weights.values())
    if min(blend.weights.values()) < 0 or not 0 < total <= 1 + 1e-9:
        raise invalid("pipeline.blend_benchmark", f"the weights sum to {total:g}; they must sum to above 0, at most 1")


def _check_network(key: str, network: DeclaredNetwork | None) -> None:
    problem = None if network is None else problem_of(network, key)
    if problem is not None:
        raise invalid(*problem)


def _check_names(key: str, names: list[str] | str | None) -> None:
    if isinstance(names, list):
        for position, name in enumerate(names):
            if name in names[:position]:
                raise invalid(f"{key}[{position}]", f"{name!r} is named twice")


def invalid(key: str, problem: str) -> PipelineInvalid:
    """The refusal of a pipeline for the value at `key`."""
    return PipelineInvalid(
        "The pipeline cannot be used.",
        evidence=f"{key}: {problem}",
        next_step="Correct this key; the resource with the pipeline's JSON schema describes all of them.",
    )
