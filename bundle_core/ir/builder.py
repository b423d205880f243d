"""Puts a TreeEnsemble together tree by tree; what a front end writes to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.model import require
from bundle_core.ir.tree_ensemble import TreeEnsemble

LinearTerms = tuple[list[int], list[float]]
"""The features and the coefficients of one linear leaf."""


class TreeBuilder:
    """Collects trees and the category sets and linear leaves that belong to them, then `build`s the ensemble."""

    def __init__(self) -> None:
        self._trees: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in _TREE_ARRAYS}
        self._sets: list[npt.NDArray[np.int32]] = []
        self._linear_leaves: dict[int, tuple[npt.NDArray[np.float64], list[LinearTerms]]] = {}

    @property
    def n_trees(self) -> int:
        return len(self._trees["leaf_value"])

    def add_set(self, members: npt.ArrayLike) -> int:
        """Add the categories of one categorical split, give its number: what that split has as its threshold."""
        self._sets.append(np.unique(np.asarray(members, np.int32)))
        return len(self._sets) - 1

    def add_tree(
        self,
        *,
        feature: npt.ArrayLike,
        threshold: npt.ArrayLike,
        flags: npt.ArrayLike,
        left: npt.ArrayLike,
        right: npt.ArrayLike,
        leaf_value: npt.ArrayLike,
    ) -> None:
        """Add a tree written as TreeEnsemble writes it: s splits, children >= 0 splits and ~leaf, s + 1 leaves."""
        arrays = {"feature": feature, "threshold": threshold, "flags": flags, "left": left, "right": right}
        for name, values in {**arrays, "leaf_value": leaf_value}.items():
            self._trees[name].append(np.asarray(values, _TREE_ARRAYS[name]))

    def add_nodes(
        self,
        *,
        feature: npt.ArrayLike,
        threshold: npt.ArrayLike,
        flags: npt.ArrayLike,
        left: npt.ArrayLike,
        right: npt.ArrayLike,
        value: npt.ArrayLike,
    ) -> None:
        """Add a tree whose nodes, leaves among them, are numbered together with 0 as the root, in any order.

        All are (nodes,); a leaf has a negative left child. What a node that is no leaf has as value, and a leaf as
        feature, threshold, flags and right, is not looked at. Nodes that are not reached are left out.
        """
        lefts, rights = np.asarray(left, np.int64), np.asarray(right, np.int64)
        order = _breadth_first(lefts, rights)
        is_leaf = lefts[order] < 0
        splits, leaves = order[~is_leaf], order[is_leaf]
        number = np.zeros(len(lefts), np.int64)
        number[splits] = np.arange(len(splits))
        number[leaves] = ~np.arange(len(leaves))
        self.add_tree(
            feature=np.asarray(feature)[splits],
            threshold=np.asarray(threshold)[splits],
            flags=np.asarray(flags)[splits],
            left=number[lefts[splits]],
            right=number[rights[splits]],
            leaf_value=np.asarray(value)[leaves],
        )

    def set_linear_leaves(self, const: npt.ArrayLike, terms: list[LinearTerms]) -> None:
        """Give the leaves of the tree added last linear models: a constant and (features, coefficients) a leaf."""
        self._linear_leaves[self.n_trees - 1] = (np.asarray(const, np.float64), terms)

    def build(self, *, n_features: int, feature_names: tuple[str, ...], source: str, **arithmetic: Any) -> TreeEnsemble:
        """The validated ensemble; `arithmetic` are TreeEnsemble's fields from input_dtype on. Empties the builder.

        Raises BundleInvalid if what was added is no set of trees.
        """
        leaves_of_tree = [len(values) for values in self._trees["leaf_value"]]
        linear = self._joined_linear_leaves()
        splits_of_tree = [len(values) for values in self._trees["feature"]]
        arrays = {name: _joined(self._trees[name], dtype) for name, dtype in _TREE_ARRAYS.items()}
        ensemble = TreeEnsemble(
            n_features=n_features,
            feature_names=feature_names,
            source=source,
            split_start=_starts(splits_of_tree),
            leaf_start=_starts(leaves_of_tree),
            **arrays,
            set_start=_starts([len(members) for members in self._sets]),
            set_member=_joined(self._sets, np.int32),
            **linear,
            **arithmetic,
        )
        ensemble.validate()
        return ensemble

    def _joined_linear_leaves(self) -> dict[str, npt.NDArray[Any]]:
        """TreeEnsemble's fields for linear leaves; a constant leaf beside linear ones is one without terms."""
        if not self._linear_leaves:
            return {}
        constants: list[npt.NDArray[np.float64]] = []
        terms: list[LinearTerms] = []
        for tree, values in enumerate(self._trees["leaf_value"]):
            const, tree_terms = self._linear_leaves.get(tree, (values, [([], [])] * len(values)))
            constants.append(const)
            terms.extend(tree_terms)
        return {
            "leaf_const": np.concatenate(constants),
            "linear_start": _starts([len(features) for features, _ in terms]),
            "linear_feature": np.array([feature for features, _ in terms for feature in features], np.int32),
            "linear_coefficient": np.array([factor for _, factors in terms for factor in factors], np.float64),
        }


_TREE_ARRAYS: dict[str, type[np.generic]] = {
    "feature": np.int32,
    "threshold": np.float64,
    "flags": np.uint8,
    "left": np.int32,
    "right": np.int32,
    "leaf_value": np.float64,
}


def _breadth_first(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The numbers of all nodes that the root reaches, level by level. Raises BundleInvalid if that is no tree."""
    levels = [np.zeros(1, np.int64)]
    reached = 1
    while True:
        splits = levels[-1][left[levels[-1]] >= 0]
        if not len(splits):
            return np.concatenate(levels)
        children = np.concatenate([left[splits], right[splits]])
        reached += len(children)
        require(bool(children.min() >= 0 and children.max() < len(left)), "a child is not in its tree")
        require(reached <= len(left), "a node is reached twice")
        levels.append(children)


def _joined(parts: list[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Concatenate and let go of the parts, so that a large model is in memory twice for one array at a time only."""
    joined = np.concatenate(parts) if parts else np.zeros(0, dtype)
    parts.clear()
    return joined


def _starts(counts: npt.ArrayLike) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(counts, np.int64))])
