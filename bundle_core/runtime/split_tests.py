"""The distinct split tests of a forest, answered for all rows at once: one bit plane "the row goes right" a test.

`tests` is a dict of arrays with one entry a test, sorted by feature: "feature" (K,), "cut" (K,) float64 or float32,
right if x > cut; "flags" (K,) uint8 as in the IR; and for categorical tests, whose cut numbers their set, "set_start",
"set_member" and the string "category_rounding".
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.bits import binary_digits

NAN_GOES_RIGHT, ZERO_COUNTS_AS_MISSING, IN_A_SET, SET_GOES_RIGHT = 1, 2, 4, 8
LIGHTGBM_ZERO = float(np.float32(1e-35))
FEATURES_AT_ONCE = 32
TESTS_AT_ONCE = 64


def pack_tests(tests: dict[str, Any], X: npt.NDArray[Any], input_dtype: str) -> npt.NDArray[np.uint64]:
    """X (n, F) -> (1 + K, W) bit planes in the order of `bits`; plane 0 is the test that sends all rows left."""
    words = -(-len(X) // 64)
    planes = np.zeros((1 + len(tests["feature"]), words), np.uint64)
    if not len(tests["feature"]) or not len(X):
        return planes
    small, is_small = five_valued(X)
    plain = (tests["flags"] & (ZERO_COUNTS_AS_MISSING | IN_A_SET)) == 0
    by_digits = plain & is_small[tests["feature"]]
    if by_digits.any():
        if not is_small.all():
            small = small[:, is_small]
        _pack_five_valued(tests, small, np.cumsum(is_small) - 1, by_digits, planes)
    if not by_digits.all():
        _pack_any(tests, X, np.flatnonzero(~by_digits), input_dtype, planes)
    return planes


def five_valued(X: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """(F,) Which columns of X hold nothing but 0, 1, 2, 3, 4, and X as uint8, of which only these columns count."""
    features = X.shape[1]
    if X.dtype.itemsize == 1:
        small = X.view(np.uint8)
        if int(small.max(initial=0)) <= 4:
            return small, np.ones(features, np.bool_)
        return small, small.max(axis=0) <= 4
    small = np.empty(X.shape, np.uint8, order="C" if X.strides[1] <= X.strides[0] else "F")
    by_rows = small.flags.c_contiguous
    # A few rows tell apart most columns that cannot be recoded, before the whole of X is looked at.
    is_small = ((X[:16].astype(np.uint8) == X[:16]) & (X[:16] <= 4)).all(axis=0)
    if not is_small.any():
        return small, is_small
    step = max(1, 262144 // (features if by_rows else len(X)))
    for start in range(0, len(X) if by_rows else features, step):
        columns = slice(None) if by_rows else slice(start, start + step)
        part = (slice(start, start + step) if by_rows else slice(None), columns)
        np.copyto(small[part], X[part], casting="unsafe")
        same = (small[part] == X[part]) & (small[part] <= 4)
        if not same.all():
            is_small[columns] &= same.all(axis=0)
    return small, is_small


def _pack_five_valued(
    tests: dict[str, Any],
    small: npt.NDArray[np.uint8],
    column: npt.NDArray[np.intp],
    chosen: npt.NDArray[np.bool_],
    planes: npt.NDArray[np.uint64],
) -> None:
    """Tests of columns with the values 0 to 4: x > 0, x > 1, x > 2, x > 3 are made of x's binary digits.

    `column` (F,) says where in `small` a feature is.
    """
    ones, twos, fours = binary_digits(small)
    above = np.empty((4, *ones.shape), np.uint64)
    np.bitwise_or(twos, fours, out=above[1])
    np.bitwise_or(above[1], ones, out=above[0])
    np.bitwise_and(twos, ones, out=above[2])
    np.bitwise_or(above[2], fours, out=above[2])
    above[3] = fours
    cut = np.clip(np.floor(tests["cut"]), -1, 4).astype(np.intp)
    which = np.clip(cut, 0, 3) * small.shape[1] + column[tests["feature"]]
    every = above.reshape(4 * small.shape[1], -1)
    if chosen.all():
        np.take(every, which, axis=0, out=planes[1:], mode="clip")
    else:
        planes[1:][chosen] = every[which[chosen]]
    planes[1:][chosen & (cut < 0)] = np.uint64(0xFFFFFFFFFFFFFFFF)
    planes[1:][chosen & (cut > 3)] = np.uint64(0)


def _pack_any(
    tests: dict[str, Any],
    X: npt.NDArray[Any],
    chosen: npt.NDArray[np.intp],
    input_dtype: str,
    planes: npt.NDArray[np.uint64],
) -> None:
    """Tests `chosen` (sorted by feature) by comparison, FEATURES_AT_ONCE columns at a time."""
    feature, flags = tests["feature"][chosen], tests["flags"][chosen]
    dtype = comparison_dtype(X.dtype, input_dtype)
    cut = rounded_down(tests["cut"][chosen], dtype)
    used, first = np.unique(feature, return_index=True)
    ends = np.append(first[1:], len(feature))
    as_bytes = planes.view(np.uint8)
    for start in range(0, len(used), FEATURES_AT_ONCE):
        columns = used[start : start + FEATURES_AT_ONCE]
        values = in_bit_order(X, columns, planes.shape[1], dtype)
        for begin in range(first[start], ends[start + len(columns) - 1], TESTS_AT_ONCE):
            end = min(begin + TESTS_AT_ONCE, ends[start + len(columns) - 1])
            x = values[np.searchsorted(columns, feature[begin:end])]
            right = x > cut[begin:end, None]
            _send_the_rest(right, x, tests, chosen[begin:end], flags[begin:end])
            as_bytes[1 + chosen[begin:end]] = np.packbits(right, axis=1, bitorder="little")


def _send_the_rest(
    right: npt.NDArray[np.bool_],
    x: npt.NDArray[Any],
    tests: dict[str, Any],
    numbers: npt.NDArray[np.intp],
    flags: npt.NDArray[np.uint8],
) -> None:
    """Correct `right` (tests, rows) where a comparison is not the whole rule: sets, NaN, zero as missing."""
    for i in np.flatnonzero(flags & IN_A_SET):
        inside = in_set(x[i], tests, int(tests["cut"][numbers[i]]))
        right[i] = inside if flags[i] & SET_GOES_RIGHT else ~inside
    to_right = (flags & NAN_GOES_RIGHT) != 0
    unlike_comparison = np.flatnonzero(to_right | ((flags & IN_A_SET) != 0))
    if len(unlike_comparison):
        unknown = np.isnan(x[unlike_comparison])
        if unknown.any():
            sides = np.broadcast_to(to_right[unlike_comparison, None], unknown.shape)
            right[unlike_comparison] = np.where(unknown, sides, right[unlike_comparison])
    for i in np.flatnonzero(flags & ZERO_COUNTS_AS_MISSING):
        right[i][np.abs(x[i]) <= LIGHTGBM_ZERO] = to_right[i]


def in_set(x: npt.NDArray[Any], tests: dict[str, Any], number: int) -> npt.NDArray[np.bool_]:
    """(n,) Is the category of x in the set? NaN and what is beyond int32 is not."""
    members = tests["set_member"][tests["set_start"][number] : tests["set_start"][number + 1]]
    rounded = np.trunc(x) if tests["category_rounding"] == "trunc" else np.floor(x)
    table = np.zeros(int(members.max(initial=-1)) + 2, np.bool_)
    table[members] = True
    known = (rounded >= 0) & (rounded < len(table) - 1)
    return table[np.where(known, rounded, len(table) - 1).astype(np.intp)]


def comparison_dtype(dtype: np.dtype[Any], input_dtype: str) -> type[np.generic]:
    """The floating dtype in which values of `dtype` are compared without loss, or as `input_dtype` rounds them."""
    if input_dtype == "float32" or dtype.itemsize <= 2 or dtype == np.float32:
        return np.float32
    return np.float64


def rounded_down(cut: npt.NDArray[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """The cuts in `dtype`, never above: for x of that dtype, x > cut and x > rounded cut are the same."""
    if dtype != np.float32:
        return cut.astype(np.float64)
    with np.errstate(over="ignore"):
        near = cut.astype(np.float32)
    return np.where(near > cut, np.nextafter(near, np.float32(-np.inf)), near)


def in_bit_order(
    X: npt.NDArray[Any], columns: npt.NDArray[np.integer[Any]], words: int, dtype: type[np.generic]
) -> npt.NDArray[Any]:
    """The columns as (len(columns), 64 * words) of `dtype`, rows in the order of the bits, padded with zeros."""
    length = 8 * words
    values = np.zeros((len(columns), length, 8), dtype)
    contiguous = columns[-1] - columns[0] + 1 == len(columns)
    block = X[:, columns[0] : columns[-1] + 1] if contiguous else X[:, columns]
    with np.errstate(over="ignore"):
        for p in range(8):
            rows = block[p * length : (p + 1) * length]
            values[:, : len(rows), p] = rows.T
    return values.reshape(len(columns), 64 * words)
