"""Networks: a chunk of rows goes through layer after layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.activations import activated
from bundle_core.runtime.trees import tree_scores

ROWS_AT_ONCE = 6528
"""About a live era: trees inside are fastest on many rows, and memory stays bounded."""


def network_scores(lowered: dict[str, Any], X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(n, F) -> (n,) raw scores in the network's dtype. Raises ValueError where a category is unknown."""
    scores = np.empty(len(X), lowered["dtype"])
    for start in range(0, len(X), ROWS_AT_ONCE):
        scores[start : start + ROWS_AT_ONCE] = through(lowered["layers"], X[start : start + ROWS_AT_ONCE])[:, 0]
    return scores


def through(layers: list[dict[str, Any]], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(n, inputs) -> (n, outputs) of a chain of layers; `x` itself is left as it is."""
    for layer in layers:
        # Trees are fastest on small whole numbers. All else computes in the network's dtype, and in one layout whatever
        # the frame's is: BLAS adds in another order for another layout.
        if layer["layer"] not in ("columns", "trees", "parallel"):
            x = np.ascontiguousarray(x, layer["dtype"])
        x = LAYER_FUNCTIONS[layer["layer"]](layer, x)
    return x


def linear(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Weighted sums of the columns."""
    return x @ layer["weight"] + layer["bias"]


def arithmetic(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """One operation with a value for each column."""
    return getattr(np, layer["operation"])(x, layer["values"])


def activation(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A function of every value."""
    return activated(layer["function"], layer["parameter"], x)


def leaky_relu(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values that are not above 0 times the column's slope."""
    return np.where(x > 0, x, x * layer["slope"])


def clip(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values within [low, high]; NaN stays."""
    return np.clip(x, layer["low"], layer["high"])


def layer_norm(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Every row with mean 0 and variance 1, then a factor and a term for each column."""
    centered = x - x.mean(axis=1, keepdims=True)
    variance = (centered * centered).mean(axis=1, keepdims=True)
    return centered / np.sqrt(variance + layer["eps"]) * layer["weight"] + layer["bias"]


def columns(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Some of the columns."""
    return x[:, layer["columns"]]


def fill(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Missing values replaced by the column's own value."""
    missing = np.isnan(x) if layer["missing"] is None else x == layer["missing"]
    return np.where(missing, layer["values"], x)


def one_hot(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column of 0 and 1 for every category."""
    start = layer["start"]
    encoded = np.zeros((len(x), len(layer["category"])), x.dtype)
    for column in range(x.shape[1]):
        number, known = category_numbers(layer, column, x[:, column], layer["strict"])
        rows = np.flatnonzero(known)
        encoded[rows, start[column] + number[rows]] = 1
    return encoded


def ordinal(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The code of every category."""
    start, unknown = layer["start"], layer["unknown"]
    codes = np.empty_like(x)
    for column in range(x.shape[1]):
        number, known = category_numbers(layer, column, x[:, column], not len(unknown))
        code = layer["code"][start[column] : start[column + 1]]
        codes[:, column] = np.where(known, code[number], unknown[0] if len(unknown) else 0)
    return codes


def category_numbers(
    layer: dict[str, Any], column: int, values: npt.NDArray[Any], strict: bool
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """(n,) Each value's number among its column's categories, and whether it is one; NaN is the last of them.

    Raises ValueError for a value that is none where `strict`.
    """
    category = layer["category"][layer["start"][column] : layer["start"][column + 1]]
    number = np.minimum(np.searchsorted(category, values), len(category) - 1)
    known = (category[number] == values) | (np.isnan(category[number]) & np.isnan(values))
    if strict and not known.all():
        raise ValueError(f"{values[~known][0]} is no category that column {column} had in training")
    return number, known


def products(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Products of columns."""
    factors = layer["factors"]
    with_one = np.concatenate((x, np.ones((len(x), 1), x.dtype)), axis=1)
    product = np.ones((len(x), len(factors)), x.dtype)
    for place in range(factors.shape[1]):
        product *= with_one[:, factors[:, place]]
    return product


def trees(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The raw score of an ensemble, in the dtype of the network."""
    return tree_scores(layer["ensemble"], x).astype(layer["dtype"])[:, np.newaxis]


def parallel(layer: dict[str, Any], x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Several chains on the same rows, added one by one or side by side."""
    every = [through(branch, x) for branch in layer["branches"]]
    if layer["join"] == "concatenate":
        return np.concatenate(every, axis=1)
    total = every[0].astype(layer["dtype"])
    for branch in every[1:]:
        total = total + branch
    return total


LAYER_FUNCTIONS = {
    "linear": linear,
    "arithmetic": arithmetic,
    "activation": activation,
    "leaky_relu": leaky_relu,
    "clip": clip,
    "layer_norm": layer_norm,
    "columns": columns,
    "fill": fill,
    "one_hot": one_hot,
    "ordinal": ordinal,
    "products": products,
    "trees": trees,
    "parallel": parallel,
}
