"""What a bundle holds, in words that an agent can repeat."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from bundle_core.bundle import Bundle, Source
from bundle_core.ir import KINDS, Model, Network, TreeEnsemble
from bundle_core.ir.network import Linear, Trees, every_layer
from bundle_core.pipeline import By, Impute, Rank, Steps, as_rank
from bundle_core.reports import Description, SourceDescription

_BENCHMARK = re.compile(r"v\d+_\w+")
"""Numerai's benchmark columns: v52_lgbm_ender20."""


def describe(bundle: Bundle) -> Description:
    """Sources, columns and steps of a bundle."""
    sources = [_source(source) for source in bundle.sources]
    steps = _steps(bundle.steps)
    columns = columns_read(bundle)
    blended = bundle.steps.blend_benchmark.weights if bundle.steps.blend_benchmark is not None else {}
    benchmarks = [name for name in columns if name in blended or is_benchmark(name)]
    lines = [f"{source.name}: {source.library}, {source.size}, {source.features} features" for source in sources]
    if len(sources) > 1:
        lines = [f"{line}, weight {source.weight:g}" for line, source in zip(lines, sources, strict=True)]
    lines += steps or ["no step after the raw score"]
    return Description(
        sources=sources,
        features=len(columns) - len(benchmarks),
        benchmarks=benchmarks,
        needs_era=_needs_era(bundle.steps),
        steps=steps,
        lines=lines,
        most_used=_most_used(bundle),
    )


def is_benchmark(name: str) -> bool:
    """Is this a name like those of Numerai's benchmark columns?"""
    return _BENCHMARK.fullmatch(name) is not None


def columns_read(bundle: Bundle) -> list[str]:
    """Every column that predict reads by name, benchmark columns last."""
    steps = bundle.steps
    names = list(bundle.features)
    if steps.neutralize is not None and isinstance(steps.neutralize.to, list):
        names += steps.neutralize.to
    if steps.blend_benchmark is not None:
        names += steps.blend_benchmark.weights
    return list(dict.fromkeys(names))


def _most_used(bundle: Bundle) -> dict[str, int]:
    splits: Counter[str] = Counter()
    for source in bundle.sources:
        if isinstance(source.model, TreeEnsemble):
            counts = np.bincount(source.model.feature, minlength=len(source.features)).tolist()
            splits.update({name: count for name, count in zip(source.features, counts, strict=True) if count})
    return dict(splits.most_common(20))


def _source(source: Source) -> SourceDescription:
    return SourceDescription(
        name=source.name,
        kind=next(kind for kind, model_type in KINDS.items() if isinstance(source.model, model_type)),
        library=source.model.source,
        weight=source.weight,
        features=len(source.features),
        size=_size(source.model),
    )


def _size(model: Model) -> str:
    if isinstance(model, TreeEnsemble):
        return f"{model.n_trees:,} trees, {model.n_leaves:,} leaves"
    if isinstance(model, Network):
        layers = list(every_layer(model.layers))
        weights = sum(layer.weight.size + layer.bias.size for layer in layers if isinstance(layer, Linear))
        trees = sum(layer.ensemble.n_trees for layer in layers if isinstance(layer, Trees))
        sizes = [f"{weights:,} weights" if weights else "", f"{trees:,} trees" if trees else ""]
        return ", ".join([f"{len(layers)} layers", *filter(None, sizes)])
    return f"{model.n_features:,} inputs"


def _steps(steps: Steps) -> list[str]:
    said: list[str] = []
    if steps.impute is not None:
        impute = steps.impute if isinstance(steps.impute, Impute) else Impute(value=steps.impute)
        rest = "" if impute.value is None else f"{impute.value:g}"
        own = f"own values for {len(impute.values)} features" if impute.values else ""
        said.append(f"missing features become {' and '.join(part for part in (own, rest) if part)}")
    if steps.scale is not None:
        said.append("features are scaled: (x - mean) / std")
    said += _ranked("each model's scores", steps.rank_each)
    if steps.blend_benchmark is not None:
        weights = ", ".join(f"{weight:g} of {name}" for name, weight in steps.blend_benchmark.weights.items())
        said.append(f"blended with {weights} by id (ids without one: {steps.blend_benchmark.missing})")
    if steps.neutralize is not None:
        to = steps.neutralize.to
        what = "all benchmarks" if isinstance(to, str) else f"{len(to)} columns"
        said.append(
            f"neutralized to {what}, proportion {steps.neutralize.proportion:g}, {_within(steps.neutralize.by)}"
        )
    if steps.gaussianize is not None:
        said.append(f"gaussianized {_within(steps.gaussianize)}")
    if steps.clip is not None:
        said.append(f"clipped to [{steps.clip[0]:g}, {steps.clip[1]:g}]")
    return said + _ranked("predictions", steps.rank)


def _ranked(what: str, how: Rank | By | None) -> list[str]:
    rank = as_rank(how)
    if rank is None:
        return []
    form = "(rank - 0.5) / count" if rank.centered else "rank / count"
    return [f"{what} are ranked {_within(rank.by)}, ties {rank.method}, {form}"]


def _within(by: By) -> str:
    return "within each era" if by == "era" else "over all rows"


def _needs_era(steps: Steps) -> bool:
    ranks = [as_rank(steps.rank_each), as_rank(steps.rank)]
    if steps.blend_benchmark is not None:
        ranks.append(as_rank(steps.blend_benchmark.rank))
    used = [rank.by for rank in ranks if rank is not None]
    used += [steps.gaussianize or "all", steps.neutralize.by if steps.neutralize is not None else "all"]
    return "era" in used
