"""One tree ensemble of parallel arrays that says exactly what LightGBM, XGBoost, CatBoost or scikit-learn computes.

The raw score of a row x is, in `sum_dtype` throughout and in this order,

    ((start + leaf(tree 0) + leaf(tree 1) + ...) / divisor) * scale + bias

where every value of x is first cast to `input_dtype`. A step with the neutral value (1 or 0) is not done at all.
`output` names what the library's own `predict` does to the raw score afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bundle_core.ir.model import Model, require, require_array, require_names

NAN_RIGHT = 1
"""Flag of a split: NaN goes right (else left)."""
ZERO_IS_MISSING = 2
"""Flag of a numeric split: a value within +-1e-35 goes where NaN goes (LightGBM's missing type "zero")."""
CATEGORICAL = 4
"""Flag of a split: the test is membership in a set of categories, not a comparison."""
SET_RIGHT = 8
"""Flag of a categorical split: members of the set go right, all else left (else the other way round)."""

OUTPUT_STEPS = ("divide", "sigmoid", "exp", "signed_square", "log1p_exp")
"""Steps of `output`: raw / p; 1 / (1 + exp(-p * raw)); exp(raw); sign(raw) * raw**2; log1p(exp(raw))."""


@dataclass(frozen=True, eq=False)
class TreeEnsemble(Model):
    """T trees with S splits and L leaves in all; a tree's splits and leaves stand together, its root is its split 0.

    A tree of one leaf has no split. A split's children have larger numbers than itself.
    """

    split_start: npt.NDArray[np.int64]
    """(T+1,) Tree t has the splits split_start[t] up to split_start[t+1]."""
    leaf_start: npt.NDArray[np.int64]
    """(T+1,) The same for leaves; a tree has one leaf more than splits."""
    feature: npt.NDArray[np.int32]
    """(S,) Column of X."""
    threshold: npt.NDArray[np.float64]
    """(S,) Right if x > threshold, else left. Of a categorical split: the number of its set, 0 up to G."""
    flags: npt.NDArray[np.uint8]
    """(S,) Sum of NAN_RIGHT, ZERO_IS_MISSING, CATEGORICAL, SET_RIGHT."""
    left: npt.NDArray[np.int32]
    """(S,) Left child: c >= 0 is split c of the same tree, c < 0 its leaf ~c."""
    right: npt.NDArray[np.int32]
    """(S,) Right child, written the same way."""
    leaf_value: npt.NDArray[np.float64]
    """(L,) With learning rates and tree weights folded in; each one a float32 number if sum_dtype is float32."""

    input_dtype: str = "float64"
    """"float64", or "float32": a float64 value is rounded to float32 before it is compared."""
    sum_dtype: str = "float64"
    """"float64" or "float32": the dtype of the sum and of the raw score."""
    start: float = 0.0
    divisor: float = 1.0
    scale: float = 1.0
    bias: float = 0.0
    output: tuple[tuple[str, float], ...] = ()
    """Steps (name, p) of OUTPUT_STEPS that make the library's prediction of the raw score; empty: they are equal."""

    set_start: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    """(G+1,) Set g has the members set_start[g] up to set_start[g+1]."""
    set_member: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Categories, each >= 0. A value outside of int32 is in no set."""
    category_rounding: str = "trunc"
    """"trunc" (LightGBM: -0.5 is category 0), "floor" (XGBoost: -0.5 is none), "exact" (scikit-learn: 1.5 is none)."""

    leaf_const: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0, np.float64))
    """(L,), or (0,) if no tree has linear leaves. The leaf's value is leaf_const + sum of coefficient * x, added
    one by one in the listed order; NaN in any of its features: leaf_value instead."""
    linear_start: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    """(L+1,), or [0]. Leaf l has the terms linear_start[l] up to linear_start[l+1]."""
    linear_feature: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    linear_coefficient: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0, np.float64))

    @property
    def n_trees(self) -> int:
        return len(self.split_start) - 1

    @property
    def n_splits(self) -> int:
        return len(self.feature)

    @property
    def n_leaves(self) -> int:
        return len(self.leaf_value)

    @property
    def has_linear_leaves(self) -> bool:
        return len(self.leaf_const) > 0

    def validate(self) -> None:
        """Raise BundleInvalid unless shapes, dtypes, ranges and the trees' structure are as documented."""
        require_names(self.feature_names, self.n_features)
        self._validate_arithmetic()
        self._validate_shapes()
        self._validate_splits()
        self._validate_children()
        self._validate_linear_leaves()

    def _validate_arithmetic(self) -> None:
        for name, value in (("input_dtype", self.input_dtype), ("sum_dtype", self.sum_dtype)):
            require(value in ("float32", "float64"), f"{name} is {value!r}")
        require(
            self.category_rounding in ("trunc", "floor", "exact"), f"category_rounding is {self.category_rounding!r}"
        )
        numbers = (self.start, self.divisor, self.scale, self.bias, *(parameter for _, parameter in self.output))
        require(all(math.isfinite(number) for number in numbers) and self.divisor != 0, f"one of {numbers} is unusable")
        require(all(name in OUTPUT_STEPS for name, _ in self.output), f"output {self.output} has an unknown step")
        if self.sum_dtype == "float32":
            rounded = self.leaf_value.astype(np.float32).astype(np.float64)
            require(np.array_equal(rounded, self.leaf_value), "leaf values are not float32 numbers")

    def _validate_shapes(self) -> None:
        trees, splits, leaves = self.n_trees, self.n_splits, self.n_leaves
        require_starts("split_start", self.split_start, trees + 1, splits)
        require_starts("leaf_start", self.leaf_start, trees + 1, leaves)
        require(np.array_equal(np.diff(self.leaf_start), np.diff(self.split_start) + 1), "leaves are not splits + 1")
        require_array("feature", self.feature, np.int32, (splits,))
        require_array("threshold", self.threshold, np.float64, (splits,))
        require_array("flags", self.flags, np.uint8, (splits,))
        require_array("left", self.left, np.int32, (splits,))
        require_array("right", self.right, np.int32, (splits,))
        require_array("leaf_value", self.leaf_value, np.float64, (leaves,))
        require_starts("set_start", self.set_start, len(self.set_start), len(self.set_member))
        require_array("set_member", self.set_member, np.int32, (len(self.set_member),))

    def _validate_splits(self) -> None:
        require(_within(self.feature, 0, self.n_features), "a split's feature is not a column")
        require(not np.isnan(self.threshold).any(), "a threshold is NaN")
        categorical = self.threshold[(self.flags & CATEGORICAL) != 0]
        require(_within(categorical, 0, len(self.set_start) - 1), "a categorical split's set does not exist")
        require(np.array_equal(categorical, np.floor(categorical)), "a categorical split's set is no whole number")
        require(_within(self.set_member, 0, 2**31), "a category is negative")

    def _validate_children(self) -> None:
        """Every split but a root, and every leaf, is the child of exactly one split, and comes after it."""
        splits_of_tree = np.diff(self.split_start)
        tree = np.repeat(np.arange(self.n_trees, dtype=np.int32), splits_of_tree)
        seen_split = np.zeros(self.n_splits, np.bool_)
        seen_split[self.split_start[:-1][splits_of_tree > 0]] = True
        seen_leaf = np.zeros(self.n_leaves, np.bool_)
        seen_leaf[self.leaf_start[:-1][splits_of_tree == 0]] = True
        own = np.arange(self.n_splits, dtype=np.int32) - self.split_start[tree].astype(np.int32)
        for child in (self.left, self.right):
            is_split = child >= 0
            require(bool((child[is_split] > own[is_split]).all()), "a child comes before its parent")
            require(bool((child < splits_of_tree[tree]).all()), "a child is not in its tree")
            require(bool((~child <= splits_of_tree[tree]).all()), "a leaf is not in its tree")
            seen_split[self.split_start[tree[is_split]] + child[is_split]] = True
            seen_leaf[self.leaf_start[tree[~is_split]] + ~child[~is_split]] = True
        # A tree of s splits has 2s children, s - 1 splits and s + 1 leaves: if all are seen, none is seen twice.
        require(bool(seen_split.all() and seen_leaf.all()), "a split or leaf is not reached, or reached twice")

    def _validate_linear_leaves(self) -> None:
        expected = self.n_leaves if self.has_linear_leaves else 0
        terms = len(self.linear_feature)
        require_array("leaf_const", self.leaf_const, np.float64, (expected,))
        require_starts("linear_start", self.linear_start, expected + 1, terms)
        require_array("linear_feature", self.linear_feature, np.int32, (terms,))
        require_array("linear_coefficient", self.linear_coefficient, np.float64, (terms,))
        require(_within(self.linear_feature, 0, self.n_features), "a linear leaf's feature is not a column")
        require(not terms or self.sum_dtype == "float64", "linear leaves are summed in float64")


def require_starts(name: str, starts: npt.NDArray[np.int64], length: int, end: int) -> None:
    """Raise BundleInvalid unless `starts` is (length,) int64, rises from 0 and ends at `end`."""
    require_array(name, starts, np.int64, (length,))
    require(length >= 1 and starts[0] == 0 and starts[-1] == end, f"{name} does not run from 0 to {end}")
    require(bool((np.diff(starts) >= 0).all()), f"{name} falls")


def _within(values: npt.NDArray[np.generic], low: int, high: int) -> bool:
    """Are all values v with low <= v < high?"""
    return not len(values) or bool(values.min() >= low and values.max() < high)
