"""The distinct split tests of a forest: thousands of trees ask the same few questions again and again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import CATEGORICAL, TreeEnsemble
from bundle_core.runtime.split_tests import MOST_CUTS_IN_A_CODE

CHUNK = 1 << 20
"""Splits looked at together: a forest of 30 million splits must not be sorted at once."""

COLUMNS_AT_ONCE = 128
PLANES_AT_ONCE = 2048

_FLAG_VALUES = 16


def intern_tests(model: TreeEnsemble) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """(tests, test_of_split): see `bundle_core.runtime.split_tests` for the dict of the K distinct tests.

    test_of_split is (S,) uint16 or uint32, each split's test number + 1: number 0 is the test that sends all left.
    """
    chunks = [slice(start, start + CHUNK) for start in range(0, model.n_splits, CHUNK)]
    cuts = _distinct([model.threshold[chunk] for chunk in chunks], np.float64)
    keys = _distinct([_keys(model, chunk, cuts) for chunk in chunks], np.int64)
    rest, flags = np.divmod(keys, _FLAG_VALUES)
    feature, cut = np.divmod(rest, max(1, len(cuts)))
    tests, order = _grouped(feature, cuts[cut], flags)
    tests.update(category_rounding=model.category_rounding, set_start=model.set_start, set_member=model.set_member)
    number_of_key = np.empty(len(keys), np.uint16 if len(keys) < 0xFFFF else np.uint32)
    number_of_key[order] = np.arange(1, len(keys) + 1)
    test_of_split = np.empty(model.n_splits, number_of_key.dtype)
    for chunk in chunks:
        test_of_split[chunk] = number_of_key[np.searchsorted(keys, _keys(model, chunk, cuts))]
    return tests, test_of_split


def _grouped(
    feature: npt.NDArray[np.int64], cut: npt.NDArray[np.float64], flags: npt.NDArray[np.int64]
) -> tuple[dict[str, Any], npt.NDArray[np.intp]]:
    """The tests as the runtime takes them, and how they are ordered in there: comparisons first, then sets.

    Columns stand by their number of cuts, so that the runtime meets equal ones together.
    """
    is_set = (flags & CATEGORICAL) != 0
    numeric = np.flatnonzero(~is_set)
    pairs = np.unique(np.stack([feature[numeric], cut[numeric]], axis=1), axis=0)
    columns, cuts_of_column = np.unique(pairs[:, 0], return_counts=True)
    by_count = np.argsort(cuts_of_column, kind="stable")
    place = np.empty(len(columns), np.int64)
    place[by_count] = np.arange(len(columns))
    column = place[np.searchsorted(columns, feature[numeric])]
    order = np.lexsort([flags[numeric], cut[numeric], column])
    numeric, column = numeric[order], column[order]
    new_column = np.diff(column, prepend=-1) != 0
    new_cut = new_column | (np.diff(cut[numeric], prepend=np.nan) != 0)
    cut_number = np.cumsum(new_cut) - 1
    small = np.uint16 if max(feature.max(initial=0), len(feature)) <= 0xFFFF else np.int32
    cut_start = np.append(cut_number[new_column], np.count_nonzero(new_cut))
    tests = {
        "block_start": _block_starts(np.diff(cut_start)),
        "column": columns[by_count].astype(small),
        "cut_start": cut_start.astype(np.int32),
        "cut": _narrow(cut[numeric][new_cut]),
        "cut_of_test": cut_number.astype(small),
        "flags": flags[numeric].astype(np.uint8),
        "set_column": feature[is_set].astype(small),
        "set_number": cut[is_set].astype(np.int32),
        "set_flags": flags[is_set].astype(np.uint8),
    }
    return tests, np.concatenate([numeric, np.flatnonzero(is_set)])


def _block_starts(cuts_of_column: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Where blocks of columns begin, and their end: a block has few planes "code > i", or it is one column."""
    starts = [0]
    for column, cuts in enumerate(cuts_of_column.tolist()):
        columns = column + 1 - starts[-1]
        planes = columns << cuts.bit_length()
        if columns > 1 and (columns > COLUMNS_AT_ONCE or planes > PLANES_AT_ONCE or cuts > MOST_CUTS_IN_A_CODE):
            starts.append(column)
    return np.array([*starts, len(cuts_of_column)] if len(cuts_of_column) else [0], np.int32)


def _keys(model: TreeEnsemble, chunk: slice, cuts: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """One number a split that is equal where feature, cut and flags are."""
    cut = np.searchsorted(cuts, model.threshold[chunk])
    return (model.feature[chunk].astype(np.int64) * len(cuts) + cut) * _FLAG_VALUES + model.flags[chunk]


def _distinct(parts: list[npt.NDArray[Any]], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """The sorted distinct values of all parts."""
    found = np.zeros(0, dtype)
    for part in parts:
        found = np.union1d(found, part)
    return found


def _narrow(cuts: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """float32 where that loses nothing: half the size in the pickle."""
    with np.errstate(over="ignore"):
        narrow = cuts.astype(np.float32)
    return narrow if np.array_equal(narrow, cuts) else cuts
