"""Layers with torch's meaning: what a module of torch.nn, or a declared layer with weights of a state dict, becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.network import Activation, Arithmetic, Clip, Layer, LayerNorm, LeakyRelu, Linear

Floats = npt.NDArray[np.floating[Any]]
Layers = tuple[Layer, ...]


def linear(weight: Floats, bias: Floats | None) -> Layers:
    """nn.Linear with its weight (outputs, inputs)."""
    return (Linear(np.ascontiguousarray(weight.T), np.zeros(len(weight), weight.dtype) if bias is None else bias),)


def batch_norm(mean: Floats, variance: Floats, weight: Floats | None, bias: Floats | None, eps: float) -> Layers:
    """BatchNorm1d in eval mode, its four vectors folded into a factor and a term."""
    factor = 1 / np.sqrt(variance.astype(np.float64) + eps)
    if weight is not None:
        factor = factor * weight
    term = -mean * factor if bias is None else bias - mean * factor
    return (Arithmetic("multiply", factor.astype(mean.dtype)), Arithmetic("add", term.astype(mean.dtype)))


def layer_norm(weight: Floats, bias: Floats | None, eps: float) -> Layers:
    """nn.LayerNorm over the last dimension."""
    return (LayerNorm(weight, np.zeros_like(weight) if bias is None else bias, eps),)


def prelu(weight: Floats) -> Layers:
    """nn.PReLU with one slope, or one a column."""
    return (LeakyRelu(weight),)


def activation(name: str, *, negative_slope: float, alpha: float, beta: float) -> Layers:
    """An activation by the name that pipeline.network has for it."""
    if name == "identity":
        return ()
    if name == "leaky_relu":
        return (LeakyRelu(np.array([negative_slope])),)
    if name in ("relu6", "hardtanh"):
        return (Clip(0.0, 6.0) if name == "relu6" else Clip(-1.0, 1.0),)
    parameter = {"elu": alpha, "celu": alpha, "softplus": beta}.get(name, 1.0)
    return (Activation(name, parameter),)
