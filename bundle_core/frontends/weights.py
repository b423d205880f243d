"""Plain weights of a linear model or an MLP, as `.npz` or `.json` with the same keys.

A linear model, `x @ coef + intercept`:

    coef           (F,) or (1, F)
    intercept      one number; 0 without it

An MLP, whose layer I computes `activation(x @ weight.T + bias)`:

    layers.I.weight       (outputs, inputs), as torch keeps it; I counts from 0
    layers.I.bias         (outputs,); 0 without it
    layers.I.activation   a text of `pipeline.network`'s activations; "identity" without it

Both may have `feature_names` (F texts in training order) and `dtype` ("float32" or "float64": what is computed in;
without it the arrays' own, and float64 for JSON). In JSON the layers are written as a list:
`{"layers": [{"weight": [[...]], "bias": [...], "activation": "relu"}, ...]}`. `np.savez(path, coef=..., intercept=...)`
writes the other form. With `pipeline.network` the keys are a state dict's instead.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, BinaryIO, cast, get_args

import numpy as np
import numpy.typing as npt

from bundle_core.declared_network import ActivationName
from bundle_core.errors import ModelRefused
from bundle_core.frontends import torch_layers
from bundle_core.frontends.state_dict import State, finished
from bundle_core.frontends.torch_layers import Layers
from bundle_core.ir.network import Network

Entries = dict[str, npt.NDArray[Any]]

_LAYER_KEY = re.compile(r"layers\.(\d+)\.(weight|bias|activation)")


def is_npz(head: bytes) -> bool:
    """Is this the beginning of an archive of arrays?"""
    return head.startswith(b"PK\x03\x04") and b".npy" in head[:512]


def is_json(head: bytes) -> bool:
    """Is this the beginning of a JSON object? The formats of the libraries are to be asked before."""
    return head.lstrip().startswith(b"{")


def read_npz(stream: BinaryIO) -> Network:
    """A linear model or an MLP. Raises ModelRefused."""
    return _read(_npz_entries(stream))


def read_json(stream: BinaryIO) -> Network:
    """A linear model or an MLP. Raises ModelRefused."""
    return _read(_json_entries(stream))


def read_state(stream: BinaryIO, head: bytes) -> State:
    """The arrays by key, for layers that `pipeline.network` declares. Raises ModelRefused."""
    entries = _npz_entries(stream) if is_npz(head) else _json_entries(stream)
    return {key: _numbers(entries, key, entries[key].ndim) for key in entries}


def _npz_entries(stream: BinaryIO) -> Entries:
    try:
        with np.load(stream, allow_pickle=False) as archive:
            return {name: cast("npt.NDArray[Any]", archive[name]) for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise _refused(f"The archive cannot be read: {error}") from error


def _json_entries(stream: BinaryIO) -> Entries:
    try:
        content = json.load(stream)
    except ValueError as error:
        raise _refused(f"The file is no JSON: {error}") from error
    entries: Entries = {}
    _flatten(content, "", entries)
    return entries


def _flatten(value: object, place: str, entries: Entries) -> None:
    """Objects, and lists of objects, as keys with dots; all else as arrays."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        value = dict(enumerate(cast("list[object]", value)))
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, object]", value).items():
            _flatten(inner, f"{place}.{key}" if place else str(key), entries)
        return
    try:
        entries[place] = np.array(value)
    except ValueError as error:
        raise _refused(f"{place} has rows of different lengths.") from error


def _read(entries: Entries) -> Network:
    if "coef" in entries:
        return _named(_linear(entries), entries)
    if "layers.0.weight" in entries:
        return _named(_mlp(entries), entries)
    raise _refused("There is neither coef nor layers.0.weight.", entries)


def _linear(entries: Entries) -> Network:
    _only_known(entries, {"coef", "intercept"})
    coef = np.atleast_2d(_numbers(entries, "coef", entries["coef"].ndim))
    bias = np.atleast_1d(_numbers(entries, "intercept", entries["intercept"].ndim)) if "intercept" in entries else None
    if len(coef) != 1 or coef.ndim != 2 or (bias is not None and bias.shape != (1,)):
        raise _refused("coef is not (F,), or intercept not one number.", entries)
    return finished(torch_layers.linear(coef, bias), None, _dtype(entries, "coef"), "linear model (weights)")


def _mlp(entries: Entries) -> Network:
    keys = {key for key in entries if _LAYER_KEY.fullmatch(key)}
    _only_known(entries, keys)
    layers: Layers = ()
    for i in range(1 + max(int(key.split(".")[1]) for key in keys)):
        name = f"layers.{i}"
        weight = _numbers(entries, f"{name}.weight", 2)
        bias = _numbers(entries, f"{name}.bias", 1) if f"{name}.bias" in entries else None
        if bias is not None and len(bias) != len(weight):
            raise _refused(f"{name}.bias is not (outputs,), weight is (outputs, inputs).", entries)
        layers += torch_layers.linear(weight, bias) + _activation(entries, f"{name}.activation")
    return finished(layers, None, _dtype(entries, "layers.0.weight"), "MLP (weights)")


def _activation(entries: Entries, key: str) -> Layers:
    name = str(entries[key]) if key in entries else "identity"
    if name not in get_args(ActivationName):
        raise _refused(f"{key} is {name!r}; known are {', '.join(get_args(ActivationName))}.")
    return torch_layers.activation(name, negative_slope=0.01, alpha=1.0, beta=1.0)


def _named(network: Network, entries: Entries) -> Network:
    """The network with the file's feature names."""
    if "feature_names" not in entries:
        return network
    names = tuple(str(name) for name in entries["feature_names"].reshape(-1))
    if len(names) != network.n_features or len(set(names)) != len(names):
        raise _refused(f"feature_names are {len(names)} of a model of {network.n_features} features, or not unique.")
    return replace(network, feature_names=names)


def _dtype(entries: Entries, key: str) -> str:
    dtype = str(entries.get("dtype", entries[key].dtype))
    if "dtype" in entries and dtype not in ("float32", "float64"):
        raise _refused(f'dtype is {dtype!r}, not "float32" or "float64".')
    return "float32" if dtype == "float32" else "float64"


def _numbers(entries: Entries, key: str, dimensions: int) -> npt.NDArray[np.floating[Any]]:
    values = entries.get(key)
    if values is None or values.dtype.kind not in "iuf" or values.ndim != dimensions or not np.isfinite(values).all():
        raise _refused(f"{key} is missing, has other dimensions, or is not made of finite numbers.", entries)
    return values if values.dtype == np.float32 else values.astype(np.float64)


def _only_known(entries: Entries, known: set[str]) -> None:
    unknown = sorted(set(entries) - known - {"feature_names", "dtype"})
    if unknown:
        raise _refused(f"These keys have no meaning: {', '.join(unknown[:10])}.", entries)


def _refused(reason: str, entries: Entries | None = None) -> ModelRefused:
    shapes = {key: list(array.shape) for key, array in list((entries or {}).items())[:40]}
    return ModelRefused(
        "The file does not hold the weights of a linear model or an MLP.",
        evidence=f"{reason} Keys and shapes: {json.dumps(shapes)}" if entries is not None else reason,
        next_step="Write coef and intercept, or layers.I.weight (outputs, inputs), layers.I.bias and "
        "layers.I.activation; for a state dict declare its layers in pipeline.network.",
    )
