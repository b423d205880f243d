"""Functions of one number, for arrays of either float dtype; the results have the same dtype.

They are written as torch computes them. What numpy's exp and log1p round differently stays: a unit in the last place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717
SOFTPLUS_LINEAR = 20.0
"""Above it torch takes softplus(x) for x itself."""


def activated(function: str, parameter: float, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`function` of every value; far values overflow to the limit that they have, as in torch."""
    with np.errstate(over="ignore", under="ignore"):
        if function in ("elu", "celu", "softplus"):
            return with_parameter(function, parameter, x)
        if function in ("exp", "expm1", "log", "log1p", "sqrt", "square", "abs", "tanh"):
            return getattr(np, function)(x)
        if function in ("gelu", "gelu_tanh"):
            return gelu(x) if function == "gelu" else gelu_tanh(x)
        return without_parameter(function, x)


def with_parameter(function: str, parameter: float, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """elu and celu by alpha, softplus by beta."""
    if function == "elu":
        return np.where(x > 0, x, parameter * np.expm1(np.minimum(x, 0)))
    if function == "celu":
        return np.where(x > 0, x, parameter * np.expm1(np.minimum(x, 0) / parameter))
    scaled_x = x * parameter
    return np.where(scaled_x > SOFTPLUS_LINEAR, x, np.log1p(np.exp(scaled_x)) / parameter)


def without_parameter(function: str, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The rest. Raises ValueError for a name that is none."""
    if function == "relu":
        return np.maximum(x, 0)
    if function == "selu":
        return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))
    if function == "sigmoid":
        return 1 / (1 + np.exp(-x))
    if function == "log_sigmoid":
        return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    if function == "silu":
        return x / (1 + np.exp(-x))
    if function == "mish":
        return x * np.tanh(np.logaddexp(0, x).astype(x.dtype))
    if function == "softsign":
        return x / (1 + np.abs(x))
    if function == "hardsigmoid":
        return np.clip(x + 3, 0, 6) / 6
    if function == "hardswish":
        return x * np.clip(x + 3, 0, 6) / 6
    if function == "signed_square":
        return np.sign(x) * x * x
    if function == "log1p_exp":
        return np.log1p(np.exp(x))
    raise ValueError(f"unknown activation {function}")


def gelu(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """x times the normal distribution's share below x."""
    from scipy.special import erf

    return x * 0.5 * (1 + erf(x * 0.5**0.5))


def gelu_tanh(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """torch's approximation of gelu."""
    return 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x * x * x)))
