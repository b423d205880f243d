"""The distinct split tests of a forest: thousands of trees ask the same few questions again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import CATEGORICAL, ZERO_IS_MISSING, TreeEnsemble
from bundle_core.runtime.split_tests import rounded_down

CHUNK = 1 << 20
"""Splits looked at together: a forest of 30 million splits must not be sorted at once."""

_FLAG_VALUES = 16


@dataclass(frozen=True, eq=False)
class DistinctTests:
    """The K distinct tests of a forest, (K,) each, and which one each split asks, (S,).

    `cut` is the number of the set for a categorical test.
    """

    feature: npt.NDArray[np.int64]
    cut: npt.NDArray[np.float64]
    flags: npt.NDArray[np.int64]
    of_split: npt.NDArray[Any]


def intern_tests(model: TreeEnsemble) -> DistinctTests:
    """The forest's distinct tests; `of_split` is uint16 or uint32, with room for one number more."""
    chunks = [slice(start, start + CHUNK) for start in range(0, model.n_splits, CHUNK)]
    cuts = _distinct([_cuts(model, chunk) for chunk in chunks], np.float64)
    keys = _distinct([_keys(model, chunk, cuts) for chunk in chunks], np.int64)
    rest, flags = np.divmod(keys, _FLAG_VALUES)
    feature, cut = np.divmod(rest, max(1, len(cuts)))
    of_split = np.empty(model.n_splits, np.uint16 if len(keys) < 0xFFFF else np.uint32)
    for chunk in chunks:
        of_split[chunk] = np.searchsorted(keys, _keys(model, chunk, cuts))
    return DistinctTests(feature, cuts[cut], flags, of_split)


def for_whole_numbers(distinct: DistinctTests) -> tuple[DistinctTests, npt.NDArray[np.intp]]:
    """(tests, number): the tests that differ for whole numbers, which are never NaN, and each test's number among them.

    Their `of_split` is left empty. Exact splitters make many: 0.3 and 0.7 ask the same of a whole number.
    """
    is_set = (distinct.flags & CATEGORICAL) != 0
    plain = ~is_set & ((distinct.flags & ZERO_IS_MISSING) == 0)
    keys = np.stack(
        [
            distinct.feature.astype(np.float64),
            np.where(is_set, distinct.cut, np.floor(distinct.cut)),
            np.where(plain, 0, distinct.flags).astype(np.float64),
        ],
        axis=1,
    )
    different, number = np.unique(keys, axis=0, return_inverse=True)
    feature, cut, flags = different.T
    tests = DistinctTests(feature.astype(np.int64), cut, flags.astype(np.int64), np.zeros(0, np.intp))
    return tests, number.reshape(-1)


def lay_out(
    model: TreeEnsemble, distinct: DistinctTests, chosen: npt.NDArray[np.intp]
) -> tuple[dict[str, Any], npt.NDArray[np.intp]]:
    """(tests, order): the chosen tests as `bundle_core.runtime.split_tests` takes them, and their numbers in its order.

    Comparisons come before sets.
    """
    feature, cut, flags = distinct.feature[chosen], distinct.cut[chosen], distinct.flags[chosen]
    is_set = (flags & CATEGORICAL) != 0
    numeric, sets = np.flatnonzero(~is_set), np.flatnonzero(is_set)
    columns, number, tests_of_column = np.unique(feature[numeric], return_inverse=True, return_counts=True)
    most_first = np.argsort(-tests_of_column, kind="stable")
    columns, tests_of_column = columns[most_first], tests_of_column[most_first]
    place = np.empty(len(columns), np.int64)
    place[most_first] = np.arange(len(columns))
    numeric = numeric[np.lexsort([flags[numeric], cut[numeric], place[number]])]
    small = np.uint16 if max(distinct.feature.max(initial=0), len(feature)) <= 0xFFFF else np.int32
    tests = {
        "column": columns.astype(small),
        "tests_of_column": tests_of_column.astype(small),
        "cut": narrow(cut[numeric]),
        "flags": flags[numeric].astype(np.uint8),
        "set_column": feature[sets].astype(small),
        "set_number": cut[sets].astype(np.int32),
        "set_flags": flags[sets].astype(np.uint8),
        "set_start": model.set_start,
        "set_member": model.set_member,
        "category_rounding": model.category_rounding,
    }
    return tests, chosen[np.concatenate([numeric, sets])]


def lay_out_named(
    model: TreeEnsemble, distinct: DistinctTests, names: npt.NDArray[Any]
) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """(tests, planes): as `lay_out` the tests that some names ask for, and each name's plane.

    A name is 1 + the test's number among all, 0 that of none; plane 0 sends all left.
    """
    named = np.unique(names)
    tests, order = lay_out(model, distinct, named[named > 0].astype(np.intp) - 1)
    plane = np.zeros(1 + len(distinct.flags), np.uint16 if len(order) < 0xFFFF else np.uint32)
    plane[1 + order] = np.arange(1, 1 + len(order))
    return tests, plane[names]


def _keys(model: TreeEnsemble, chunk: slice, cuts: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """One number a split that is equal where feature, cut and flags are."""
    cut = np.searchsorted(cuts, _cuts(model, chunk))
    return (model.feature[chunk].astype(np.int64) * len(cuts) + cut) * _FLAG_VALUES + model.flags[chunk]


def _cuts(model: TreeEnsemble, chunk: slice) -> npt.NDArray[np.float64]:
    """The splits' cuts or numbers of sets; cuts as float32 where the model rounds its input so, for fewer and smaller.

    The rounding is left out where a set's number might not survive it.
    """
    if model.input_dtype != "float32" or len(model.set_start) > 1:
        return model.threshold[chunk]
    return rounded_down(model.threshold[chunk], np.float32).astype(np.float64)


def _distinct(parts: list[npt.NDArray[Any]], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """The sorted distinct values of all parts."""
    found = np.zeros(0, dtype)
    for part in parts:
        found = np.union1d(found, part)
    return found


def narrow(cuts: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """float32 where that loses nothing: half the size in the pickle."""
    with np.errstate(over="ignore"):
        narrow = cuts.astype(np.float32)
    return narrow if np.array_equal(narrow, cuts) else cuts
