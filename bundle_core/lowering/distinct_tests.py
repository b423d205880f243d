"""The distinct split tests of a forest: thousands of trees ask the same few questions again and again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.ir.tree_ensemble import TreeEnsemble

CHUNK = 1 << 20
"""Splits looked at together: a forest of 30 million splits must not be sorted at once."""

_FLAG_VALUES = 16


def intern_tests(model: TreeEnsemble) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """(tests, test_of_split): see `bundle_core.runtime.split_tests` for the dict of the K distinct tests.

    test_of_split is (S,) uint16 or uint32, each split's test number + 1: number 0 is the test that sends all left.
    """
    chunks = [slice(start, start + CHUNK) for start in range(0, model.n_splits, CHUNK)]
    cuts = _distinct([model.threshold[chunk] for chunk in chunks], np.float64)
    keys = _distinct([_keys(model, chunk, cuts) for chunk in chunks], np.int64)
    test_of_split = np.empty(model.n_splits, np.uint16 if len(keys) < 0xFFFF else np.uint32)
    for chunk in chunks:
        test_of_split[chunk] = np.searchsorted(keys, _keys(model, chunk, cuts)) + 1
    rest, flags = np.divmod(keys, _FLAG_VALUES)
    feature, cut = np.divmod(rest, max(1, len(cuts)))
    tests: dict[str, Any] = {
        "feature": feature.astype(np.uint16 if model.n_features <= 0xFFFF else np.int32),
        "cut": _narrow(cuts[cut]),
        "flags": flags.astype(np.uint8),
        "category_rounding": model.category_rounding,
        "set_start": model.set_start,
        "set_member": model.set_member,
    }
    return tests, test_of_split


def _keys(model: TreeEnsemble, chunk: slice, cuts: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """One number a split that is equal where feature, cut and flags are; it sorts by feature, then cut."""
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
