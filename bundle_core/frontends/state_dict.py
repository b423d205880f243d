"""Weights by key (a torch state dict, or an `.npz` of one) with the layers that `pipeline.network` declares."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.declared_network import DeclaredLayer, DeclaredNetwork, kind_of
from bundle_core.errors import BundleInvalid, ModelRefused
from bundle_core.frontends import torch_layers
from bundle_core.frontends.torch_layers import Layers
from bundle_core.ir.network import Columns, Linear, Network, Parallel, every_layer

Floats = npt.NDArray[np.floating[Any]]
State = dict[str, Floats]

PREFIXES = ("module.", "model.", "_orig_mod.")
_SHOWN = 60
_COUNTER = "num_batches_tracked"


def read(state: State, network: DeclaredNetwork, source: str) -> Network:
    """The declared layers with their weights, in float64 if any weight is, else float32.

    Raises ModelRefused for a key that is missing or left over, and for shapes that do not fit each other.
    """
    stripped = strip(state)
    if not network.layers:
        raise refuse_alone(stripped, source)
    left = dict(stripped)
    layers = _layers(network.layers, left)
    if left:
        raise _refused(
            stripped,
            f"{len(left)} keys belong to no declared layer: {', '.join(list(left)[:10])}.",
            "Declare every layer in pipeline.network, or remove the keys that predict does not use.",
        )
    return finished(layers, network.output, dtype_of(list(stripped.values())), source)


def finished(layers: Layers, output: int | None, dtype: str, source: str) -> Network:
    """The network of torch's layers, with the one output that is the score. Raises ModelRefused."""
    first = next((layer for layer in every_layer(layers) if isinstance(layer, Linear)), None)
    if first is None:
        raise ModelRefused(
            f"The {source} has no linear layer.",
            next_step="Check the layers that pipeline.network declares; for another kind of model use `script`.",
        )
    # No other kind of layer changes the number of columns before the first linear one.
    n_features = len(first.weight)
    given = _outputs(layers, n_features, source)
    if given > 1 and (output is None or output >= given):
        raise ModelRefused(
            f"The {source} gives {given} outputs for a row.",
            evidence=f"pipeline.network.output is {output}; it names the one that is the score, from 0 to {given - 1}.",
            next_step='Call again with pipeline = {"network": {..., "output": 0}}.',
        )
    chosen = (Columns(np.array([output], np.int64)),) if given > 1 else ()
    made = Network(n_features, (), source, dtype, layers + chosen)
    made.validate()
    return made


def strip(state: State) -> State:
    """The keys without the wrappers' prefixes and without batch counters, unless two keys would become one."""
    kept = {key: array for key, array in state.items() if not key.endswith(_COUNTER)}
    short = {stripped_key(key): array for key, array in kept.items()}
    return short if len(short) == len(kept) else kept


def stripped_key(key: str) -> str:
    """A key without `module.`, `model.`, `_orig_mod.` at its beginning, however many there are."""
    while key.startswith(PREFIXES):
        key = key.split(".", 1)[1]
    return key


def refuse_alone(state: State, source: str) -> ModelRefused:
    """The refusal of weights whose layers nobody declared, with a skeleton of the declaration."""
    return _refused(
        state,
        f"A {source} alone does not say in which order its layers stand and which activations are between them.",
        f'Call again with pipeline = {{"network": {json.dumps(skeleton(state))}}}, corrected: the layers in the order '
        'of the forward pass, and for each "?" relu, gelu, silu, tanh, ...; or save the whole nn.Sequential.',
    )


def skeleton(state: State) -> dict[str, Any]:
    """A `pipeline.network` in the order of the keys, with "?" where an activation may be."""
    layers: list[dict[str, Any]] = []
    for name in dict.fromkeys(key.rpartition(".")[0] for key in state):
        weight = state.get(_key(name, "weight"))
        if _key(name, "running_mean") in state:
            layers.append({"batchnorm": name})
        elif weight is not None and weight.ndim == 2:
            if any("linear" in layer for layer in layers):
                layers.append({"activation": "?"})
            layers.append({"linear": name})
        elif weight is not None and weight.ndim == 1:
            layers.append({"layernorm" if _key(name, "bias") in state else "prelu": name})
    return {"layers": layers}


def dtype_of(arrays: list[Floats]) -> str:
    """ "float64" if any of the arrays is."""
    return "float64" if any(array.dtype == np.float64 for array in arrays) else "float32"


def _layers(declared: list[DeclaredLayer], left: State) -> Layers:
    return tuple(made for layer in declared for made in _layer(layer, left))


def _layer(layer: DeclaredLayer, left: State) -> Layers:
    """The layer's own arrays are taken out of `left`."""
    kind = kind_of(layer)
    if kind == "residual":
        ways = (_layers(layer.shortcut, left), _layers(layer.residual or [], left))
        return (Parallel("add", ways),)
    if kind == "activation":
        return torch_layers.activation(
            str(layer.activation), negative_slope=layer.negative_slope, alpha=layer.alpha, beta=layer.beta
        )
    if kind == "dropout":
        return ()
    name = stripped_key(f"{getattr(layer, kind)}.").removesuffix(".")
    if kind == "linear":
        return torch_layers.linear(_taken(left, name, "weight", 2), left.pop(_key(name, "bias"), None))
    if kind == "batchnorm":
        mean, variance = _taken(left, name, "running_mean", 1), _taken(left, name, "running_var", 1)
        weight, bias = left.pop(_key(name, "weight"), None), left.pop(_key(name, "bias"), None)
        return torch_layers.batch_norm(mean, variance, weight, bias, layer.eps)
    weight = _taken(left, name, "weight", 1)
    if kind == "prelu":
        return torch_layers.prelu(weight)
    return torch_layers.layer_norm(weight, left.pop(_key(name, "bias"), None), layer.eps)


def _taken(left: State, name: str, what: str, dimensions: int) -> Floats:
    key = _key(name, what)
    if key not in left or left[key].ndim != dimensions:
        found = f"has the shape {list(left[key].shape)}" if key in left else "is not there, or used by a layer before"
        raise _refused(
            left,
            f"{key} {found}.",
            "Correct pipeline.network: a linear layer has a weight of two dimensions, norms have vectors.",
        )
    return left.pop(key)


def _key(name: str, what: str) -> str:
    return f"{name}.{what}" if name else what


def _outputs(layers: Layers, inputs: int, source: str) -> int:
    """The number of columns that come out. Raises ModelRefused naming the first layer that does not fit."""
    width = inputs
    for i, layer in enumerate(layers):
        try:
            width = layer.outputs(width)
        except BundleInvalid as problem:
            raise ModelRefused(
                f"The layers of the {source} do not fit each other.",
                evidence=f"layer {i}, {type(layer).__name__}, gets {width} columns: {problem.cause}",
                next_step="Correct the order of the layers in pipeline.network.",
            ) from problem
    return width


def _refused(state: State, cause: str, next_step: str) -> ModelRefused:
    shapes = {key: list(array.shape) for key, array in list(state.items())[:_SHOWN]}
    more = f" and {len(state) - _SHOWN} more" if len(state) > _SHOWN else ""
    return ModelRefused(cause, evidence=f"Keys and shapes: {json.dumps(shapes)}{more}", next_step=next_step)
