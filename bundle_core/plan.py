"""A bundle as the plain dictionary of numbers and arrays that `runtime.predict` runs and a pickle holds."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from bundle_core.bundle import Bundle
from bundle_core.lowering import lower
from bundle_core.pipeline import Impute, Rank, Scale, Steps, as_rank


def make_plan(bundle: Bundle) -> dict[str, Any]:
    """Models that read the same columns share one input, which is prepared once.

    Keys: `inputs` (names, fill, mean, std), `sources` (weight, input, model), `rank_each`, `blend`, `neutralize`,
    `gaussianize`, `clip`, `rank`; null for a step that is not done.
    """
    steps = bundle.steps
    inputs: list[dict[str, Any]] = []
    number: dict[tuple[str, ...], int] = {}
    sources: list[dict[str, Any]] = []
    for source in bundle.sources:
        if source.features not in number:
            number[source.features] = len(inputs)
            inputs.append(_input(list(source.features), steps))
        sources.append({"weight": source.weight, "input": number[source.features], "model": lower(source.model)})
    return {
        "inputs": inputs,
        "sources": sources,
        "rank_each": _rank(as_rank(steps.rank_each)),
        "blend": _blend(steps),
        "neutralize": _neutralize(steps),
        "gaussianize": steps.gaussianize,
        "clip": None if steps.clip is None else list(steps.clip),
        "rank": _rank(as_rank(steps.rank)),
    }


def _input(names: list[str], steps: Steps) -> dict[str, Any]:
    scale = steps.scale
    return {
        "names": names,
        "fill": _fill(names, steps.impute),
        "mean": None if scale is None else _per_feature(scale.mean, names, Scale().mean),
        "std": None if scale is None else _per_feature(scale.std, names, Scale().std),
    }


def _fill(names: list[str], impute: Impute | float | None) -> npt.NDArray[np.float64] | None:
    if impute is None:
        return None
    given = impute if isinstance(impute, Impute) else Impute(value=impute)
    default = np.nan if given.value is None else given.value
    by_name = cast("dict[str, float]", given.values)  # lists have become names in the composition
    return np.array([by_name.get(name, default) for name in names], np.float64)


def _per_feature(
    given: float | dict[str, float] | list[float], names: list[str], default: Any
) -> npt.NDArray[np.float64]:
    values = [given.get(name, default) if isinstance(given, dict) else given for name in names]
    return np.array(values, np.float64)


def _rank(rank: Rank | None) -> dict[str, Any] | None:
    return None if rank is None else {"by": rank.by, "method": rank.method, "centered": rank.centered}


def _blend(steps: Steps) -> dict[str, Any] | None:
    if steps.blend_benchmark is None:
        return None
    blend = steps.blend_benchmark
    weights = blend.weights
    return {
        "names": list(weights),
        "weights": list(weights.values()),
        "missing": blend.missing,
        "rank": _rank(as_rank(blend.rank)),
    }


def _neutralize(steps: Steps) -> dict[str, Any] | None:
    if steps.neutralize is None:
        return None
    names = steps.neutralize.to if isinstance(steps.neutralize.to, list) else None
    return {
        "names": names,
        "fill": None if names is None else _fill(names, steps.impute),
        "proportion": steps.neutralize.proportion,
        "by": steps.neutralize.by,
    }
