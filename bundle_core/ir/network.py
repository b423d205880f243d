"""A chain of layers on the rows of X: linear models, neural nets, pipelines of transforms and models, and their mixes.

A layer takes (n, inputs) and gives (n, outputs). Layers stand side by side in `Parallel`, and a tree ensemble is a
layer too, so that a stack or a mean of models is a network like any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.model import Model, require, require_array, require_names
from bundle_core.ir.tree_ensemble import TreeEnsemble, require_starts

Floats = npt.NDArray[np.floating[Any]]

ACTIVATIONS = (
    *("relu", "elu", "selu", "celu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "softsign"),
    *("sigmoid", "log_sigmoid", "tanh", "hardsigmoid", "hardswish"),
    *("exp", "expm1", "log", "log1p", "sqrt", "square", "signed_square", "log1p_exp", "abs"),
)
"""Functions of one number, torch's where torch has them; gelu_tanh is its approximate="tanh"."""


@dataclass(frozen=True, eq=False)
class Layer(ABC):
    """(n, inputs) -> (n, outputs), row by row. Arrays of numbers are float32 or float64."""

    @abstractmethod
    def outputs(self, inputs: int) -> int:
        """The number of columns given for so many columns taken; raises BundleInvalid if they don't fit."""


@dataclass(frozen=True, eq=False)
class Network(Model):
    """The layers one after another; the last one leaves one column, the raw score.

    X and every array are cast to `dtype` before anything is computed but trees, which get X as it is. Sums of products
    are the BLAS's, so raw scores are equal to another library's up to the order of its additions.
    """

    dtype: str
    """"float64" or "float32"."""
    layers: tuple[Layer, ...]

    def validate(self) -> None:
        """Raise BundleInvalid unless each layer takes what the one before gives, and one column is left."""
        require_names(self.feature_names, self.n_features)
        require(self.dtype in ("float32", "float64"), f"dtype is {self.dtype!r}")
        given = outputs_of(self.layers, self.n_features)
        require(given == 1, f"the last layer gives {given} columns, not one")


@dataclass(frozen=True, eq=False)
class Linear(Layer):
    """x @ weight + bias."""

    weight: Floats
    """(inputs, outputs)"""
    bias: Floats
    """(outputs,)"""

    def outputs(self, inputs: int) -> int:
        require_floats("weight", self.weight, (inputs, len(self.bias)))
        require_floats("bias", self.bias, (len(self.bias),))
        return len(self.bias)


@dataclass(frozen=True, eq=False)
class Arithmetic(Layer):
    """x + values, x - values, x * values or x / values, each column with its own value or all with the one."""

    operation: str
    """"add", "subtract", "multiply" or "divide"."""
    values: Floats
    """(inputs,) or (1,)"""

    def outputs(self, inputs: int) -> int:
        require(self.operation in ("add", "subtract", "multiply", "divide"), f"the operation is {self.operation!r}")
        require_floats("values", self.values, (1,) if len(self.values) == 1 else (inputs,))
        return inputs


@dataclass(frozen=True, eq=False)
class Activation(Layer):
    """One of ACTIVATIONS of every value."""

    function: str
    parameter: float = 1.0
    """alpha of elu and celu, beta of softplus."""

    def outputs(self, inputs: int) -> int:
        require(self.function in ACTIVATIONS, f"the activation is {self.function!r}")
        return inputs


@dataclass(frozen=True, eq=False)
class LeakyRelu(Layer):
    """x where it is above 0, else x * slope."""

    slope: Floats
    """(inputs,) or (1,)"""

    def outputs(self, inputs: int) -> int:
        require_floats("slope", self.slope, (1,) if len(self.slope) == 1 else (inputs,))
        return inputs


@dataclass(frozen=True, eq=False)
class Clip(Layer):
    """Every value at least low and at most high."""

    low: float
    high: float

    def outputs(self, inputs: int) -> int:
        require(-np.inf < self.low <= self.high < np.inf, f"clips to [{self.low}, {self.high}]")
        return inputs


@dataclass(frozen=True, eq=False)
class LayerNorm(Layer):
    """(x - the row's mean) / sqrt(the row's variance + eps) * weight + bias, with the variance of all n, not n - 1."""

    weight: Floats
    bias: Floats
    eps: float

    def outputs(self, inputs: int) -> int:
        require_floats("weight", self.weight, (inputs,))
        require_floats("bias", self.bias, (inputs,))
        return inputs


@dataclass(frozen=True, eq=False)
class Columns(Layer):
    """The columns with these numbers, in this order."""

    columns: npt.NDArray[np.int64]

    def outputs(self, inputs: int) -> int:
        require_columns("columns", self.columns, inputs, lowest=0)
        return len(self.columns)


@dataclass(frozen=True, eq=False)
class Fill(Layer):
    """Missing values become the column's own value."""

    missing: float | None
    """The number that stands for missing; None: NaN does."""
    values: Floats
    """(inputs,)"""

    def outputs(self, inputs: int) -> int:
        require_floats("values", self.values, (inputs,))
        return inputs


@dataclass(frozen=True, eq=False)
class OneHot(Layer):
    """A column for every category of every column: 1 where x is the category (NaN can be one), else 0."""

    start: npt.NDArray[np.int64]
    """(inputs + 1,) Column i has the categories start[i] up to start[i+1], rising, NaN last."""
    category: Floats
    strict: bool
    """Raise ValueError for a value that is no category."""

    def outputs(self, inputs: int) -> int:
        require_starts("start", self.start, inputs + 1, len(self.category))
        require_floats("category", self.category, (len(self.category),))
        return len(self.category)


@dataclass(frozen=True, eq=False)
class Ordinal(Layer):
    """Every category becomes its code."""

    start: npt.NDArray[np.int64]
    """As of OneHot."""
    category: Floats
    code: Floats
    """As many as categories."""
    unknown: Floats
    """(1,) What other values become; (0,): they raise ValueError."""

    def outputs(self, inputs: int) -> int:
        require_starts("start", self.start, inputs + 1, len(self.category))
        require_floats("category", self.category, (len(self.category),))
        require_floats("code", self.code, (len(self.category),))
        require_floats("unknown", self.unknown, (1,) if len(self.unknown) else (0,))
        return inputs


@dataclass(frozen=True, eq=False)
class Products(Layer):
    """Column i of the result is the product of the columns factors[i]."""

    factors: npt.NDArray[np.int64]
    """(outputs, degree) Numbers of columns; -1 is no factor."""

    def outputs(self, inputs: int) -> int:
        require(self.factors.ndim == 2, "factors are not (outputs, degree)")
        require_columns("factors", self.factors.reshape(-1), inputs, lowest=-1)
        return len(self.factors)


@dataclass(frozen=True, eq=False)
class Trees(Layer):
    """The raw score of a tree ensemble, as one column."""

    ensemble: TreeEnsemble

    def outputs(self, inputs: int) -> int:
        self.ensemble.validate()
        require(self.ensemble.n_features == inputs, f"trees of {self.ensemble.n_features} features get {inputs}")
        return 1


@dataclass(frozen=True, eq=False)
class Parallel(Layer):
    """Several chains of layers on the same input; a chain without layers gives its input."""

    join: str
    """"add" (in the order of the branches) or "concatenate"."""
    branches: tuple[tuple[Layer, ...], ...]

    def outputs(self, inputs: int) -> int:
        require(self.join in ("add", "concatenate"), f"join is {self.join!r}")
        require(len(self.branches) > 0, "there are no branches to join")
        widths = [outputs_of(branch, inputs) for branch in self.branches]
        require(self.join == "concatenate" or len(set(widths)) == 1, f"branches of {widths} columns are added")
        return sum(widths) if self.join == "concatenate" else widths[0]


LAYERS: dict[str, type[Layer]] = {
    "linear": Linear,
    "arithmetic": Arithmetic,
    "activation": Activation,
    "leaky_relu": LeakyRelu,
    "clip": Clip,
    "layer_norm": LayerNorm,
    "columns": Columns,
    "fill": Fill,
    "one_hot": OneHot,
    "ordinal": Ordinal,
    "products": Products,
    "trees": Trees,
    "parallel": Parallel,
}


def outputs_of(layers: tuple[Layer, ...], inputs: int) -> int:
    """The number of columns that a chain gives; raises BundleInvalid if its layers don't fit each other."""
    for layer in layers:
        inputs = layer.outputs(inputs)
    return inputs


def every_layer(layers: tuple[Layer, ...]) -> Iterator[Layer]:
    """The layers and those inside of them."""
    for layer in layers:
        yield layer
        if isinstance(layer, Parallel):
            for branch in layer.branches:
                yield from every_layer(branch)


def require_floats(name: str, array: object, shape: tuple[int, ...]) -> None:
    """Raise BundleInvalid unless `array` is a float32 or float64 array of this shape."""
    dtype = np.float32 if getattr(array, "dtype", None) == np.float32 else np.float64
    require_array(name, array, dtype, shape)


def require_columns(name: str, columns: npt.NDArray[np.int64], inputs: int, lowest: int) -> None:
    """Raise BundleInvalid unless all numbers are columns of an input of this width."""
    require_array(name, columns, np.int64, (len(columns),))
    inside = not len(columns) or (columns.min() >= lowest and columns.max() < inputs)
    require(inside, f"{name} are not among {inputs} columns")
