"""The bundle: models, their features and the steps around them, and its file.

The file is a compressed `.npz` without any pickle: `bundle` is a uint8 array of UTF-8 JSON
(`{"version": 1, "sources": [{"name", "weight", "features", "model": SPEC}, ...], "steps": {...}}`), and
`I.FIELD` is the array FIELD of source I's model, `I.layers.0.weight` that of a network's layer. Equal bundles give
equal bytes in one Python version.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from bundle_core.atomic import write_atomically
from bundle_core.errors import BundleInvalid, PipelineInvalid
from bundle_core.ir import Model, from_arrays, to_arrays
from bundle_core.pipeline import Impute, Steps, check_steps, invalid
from bundle_core.typed_json import Mismatch, from_json

VERSION = 1
_SPEC = "bundle"
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise for a file that is no intact archive of arrays."""


@dataclass(frozen=True, eq=False)
class Source:
    """One model: its columns' names in training order, and its weight in the mean."""

    name: str
    model: Model
    features: tuple[str, ...]
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Bundle:
    """Everything that predict needs. In `steps` every name is written out: no file is read any more."""

    sources: tuple[Source, ...]
    steps: Steps

    @property
    def features(self) -> list[str]:
        """All models' columns, each once."""
        return list(dict.fromkeys(name for source in self.sources for name in source.features))


@dataclass(frozen=True)
class _SourceSpec:
    name: str
    weight: float
    features: tuple[str, ...]
    model: dict[str, Any]


@dataclass(frozen=True)
class _BundleSpec:
    version: int
    sources: tuple[_SourceSpec, ...]
    steps: Steps


def check_bundle(bundle: Bundle) -> None:
    """Raise PipelineInvalid where sources and steps do not fit each other."""
    if not bundle.sources:
        raise invalid("pipeline.models", "names no model")
    if sum(source.weight for source in bundle.sources) <= 0 or min(source.weight for source in bundle.sources) < 0:
        raise invalid("pipeline.models", "the weights must be 0 or more and sum to above 0")
    for i, source in enumerate(bundle.sources):
        if len(source.features) != source.model.n_features:
            raise invalid(
                f"pipeline.models[{i}].features",
                f"{len(source.features)} names for a model of {source.model.n_features} features",
            )
    check_steps(bundle.steps)
    _check_known_features(bundle)


def save(bundle: Bundle, path: Path) -> None:
    """Write the bundle file; the old one stays until the new one is complete. Raises PackRefused."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    sources: list[dict[str, Any]] = []
    for i, source in enumerate(bundle.sources):
        spec, model_arrays = to_arrays(source.model)
        arrays.update({f"{i}.{name}": array for name, array in model_arrays.items()})
        sources.append({"name": source.name, "weight": source.weight, "features": list(source.features), "model": spec})
    content = {"version": VERSION, "sources": sources, "steps": asdict(bundle.steps)}
    encoded = json.dumps(content, sort_keys=True, allow_nan=False).encode()
    buffer = io.BytesIO()
    arrays[_SPEC] = np.frombuffer(encoded, np.uint8)
    np.savez_compressed(buffer, **cast("dict[str, Any]", arrays))
    write_atomically(path, buffer.getvalue())


def load(path: Path) -> Bundle:
    """Read and validate a bundle file; nothing in it is executed. Raises BundleInvalid."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: cast("npt.NDArray[Any]", archive[name]) for name in archive.files}
        content = json.loads(arrays.pop(_SPEC).tobytes())
    except _DAMAGE as error:
        raise BundleInvalid(
            f"{path.name} is no intact bundle file.",
            evidence=f"{type(error).__name__}: {error}",
            next_step="Give a bundle that convert wrote, or build it again from the model file.",
        ) from None
    return _from_parts(content, arrays, path)


def is_bundle(path: Path) -> bool:
    """Is this an `.npz` with a bundle's spec inside (an intact one or not)?"""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{_SPEC}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _from_parts(content: object, arrays: dict[str, npt.NDArray[Any]], path: Path) -> Bundle:
    version = cast("dict[str, Any]", content).get("version") if isinstance(content, dict) else None
    if version != VERSION:
        raise BundleInvalid(
            f"{path.name} is a bundle of version {version!r}.",
            evidence=f"This version reads bundles of version {VERSION}.",
            next_step="Build the bundle again with this version.",
        )
    try:
        spec = from_json(_BundleSpec, content, "bundle")
        bundle = Bundle(
            sources=tuple(
                Source(source.name, from_arrays(source.model, _own(arrays, i)), source.features, source.weight)
                for i, source in enumerate(spec.sources)
            ),
            steps=spec.steps,
        )
        check_bundle(bundle)
    except (Mismatch, PipelineInvalid) as error:
        raise BundleInvalid(
            f"The parts of {path.name} contradict each other.",
            evidence=str(error) if isinstance(error, Mismatch) else error.evidence,
            next_step="Build the bundle again from the model file.",
        ) from None
    return bundle


def _own(arrays: dict[str, npt.NDArray[Any]], source: int) -> dict[str, npt.NDArray[Any]]:
    prefix = f"{source}."
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def _check_known_features(bundle: Bundle) -> None:
    """Values by feature must be for features of a model, or for columns that are neutralized to."""
    steps = bundle.steps
    known = set(bundle.features)
    if steps.neutralize is not None:
        known.update(steps.neutralize.to if isinstance(steps.neutralize.to, list) else [])
    given: list[tuple[str, object]] = []
    if isinstance(steps.impute, Impute):
        given.append(("impute.values", steps.impute.values))
    if steps.scale is not None:
        given += [("scale.mean", steps.scale.mean), ("scale.std", steps.scale.std)]
    for key, values in given:
        if isinstance(values, list):
            raise invalid(f"pipeline.{key}", "a bundle holds these numbers by name")
        if isinstance(values, dict):
            for name in cast("dict[str, float]", values):
                if name not in known:
                    raise invalid(f"pipeline.{key}.{name}", "is no feature of these models")
