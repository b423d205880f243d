"""The distinct split tests of a forest, answered for all rows at once: one bit plane "the row goes right" a test.

`tests` is a dict of arrays. Comparisons: "column" (U,), the columns of X that are compared; "block_start", which of
them are done together; "cut_start" (U+1,) and "cut" (D,), the cuts of each, rising; "cut_of_test" (K1,), rising, and
"flags" (K1,) as in the IR: right if x > cut. Sets: "set_column", "set_number" and "set_flags" (K2,), "set_start"
(G+1,), "set_member", "category_rounding".

A column's values are first replaced by codes: how many of its cuts are below x, so "x > cut number i" is "code > i".
The m binary digits of the codes are bit planes, and the 2**m - 1 planes "code > i" come of them by one operation each.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.bits import binary_digits, bit_planes

NAN_GOES_RIGHT, ZERO_COUNTS_AS_MISSING, SET_GOES_RIGHT = 1, 2, 8
LIGHTGBM_ZERO = float(np.float32(1e-35))
FEW_CUTS = 4
"""Up to here a block of columns is compared with one cut each at a time, above a column with all of its cuts."""
MOST_CUTS_COMPARED = 128
"""Up to here counting the cuts below x by comparing is faster than by sorting the column."""
MOST_CUTS_IN_A_CODE = 255
HIGHEST_SMALL_VALUE = 7


def pack_tests(tests: dict[str, Any], columns: npt.NDArray[Any], input_dtype: str) -> npt.NDArray[np.uint64]:
    """columns (F, n) -> (1 + K1 + K2, W) planes in the order of `bits`; plane 0 sends all rows left."""
    words = -(-columns.shape[1] // 64)
    comparisons = len(tests["flags"])
    planes = np.empty((1 + comparisons + len(tests["set_flags"]), words), np.uint64)
    planes[0] = 0
    _pack_comparisons(tests, columns, input_dtype, planes[1 : 1 + comparisons])
    _pack_sets(tests, columns, input_dtype, planes[1 + comparisons :])
    return planes


def _pack_comparisons(
    tests: dict[str, Any], columns: npt.NDArray[Any], input_dtype: str, planes: npt.NDArray[np.uint64]
) -> None:
    """Fill planes (K1, W), one of the blocks of columns that the lowering made after the other."""
    cuts = _cuts_to_compare(tests["cut"], columns.dtype, input_dtype)
    blocks, starts = tests["block_start"].tolist(), tests["cut_start"].astype(np.intp)
    for begin, end in pairwise(blocks):
        values = columns[tests["column"][begin:end]].astype(cuts.dtype, copy=False)
        first_test, last_test = np.searchsorted(tests["cut_of_test"], [starts[begin], starts[end]])
        if first_test == last_test:
            continue
        some = slice(int(first_test), int(last_test))
        cut = tests["cut_of_test"][some].astype(np.intp)
        column = np.searchsorted(starts[begin:end], cut, side="right") - 1
        if values.dtype.itemsize == 1 and int(values.view(np.uint8).max(initial=0)) <= HIGHEST_SMALL_VALUE:
            _take_small(values, cuts[cut], column, planes[some])
        else:
            _take_coded(values, cuts, starts[begin : end + 1], cut, column, planes[some])
        if tests["flags"][some].any():
            _correct_missing(tests["flags"][some], values, column, planes[some])


def _take_small(
    values: npt.NDArray[Any],
    cut: npt.NDArray[Any],
    column: npt.NDArray[np.intp],
    planes: npt.NDArray[np.uint64],
) -> None:
    """Values up to HIGHEST_SMALL_VALUE are codes themselves: test "x > cut" of values[column] (k,) -> planes (k, W)."""
    words = planes.shape[1]
    codes = np.empty((len(values), 64 * words), np.uint8)
    codes[:, : values.shape[1]] = values
    codes[:, values.shape[1] :] = 0
    level = cut.astype(np.intp)
    needed = min(max(int(level.max()) + 1, 1), HIGHEST_SMALL_VALUE)
    above = _thermometer(binary_digits(codes, HIGHEST_SMALL_VALUE.bit_length()), needed)
    which = np.clip(level, 0, needed - 1) * len(values) + column
    above.reshape(-1, words).take(which, axis=0, out=planes, mode="clip")
    if level.min() < 0 or level.max() >= HIGHEST_SMALL_VALUE:
        planes[level < 0] = np.uint64(0xFFFFFFFFFFFFFFFF)
        planes[level >= HIGHEST_SMALL_VALUE] = np.uint64(0)


def _take_coded(
    values: npt.NDArray[Any],
    cuts: npt.NDArray[Any],
    starts: npt.NDArray[np.intp],
    cut: npt.NDArray[np.intp],
    column: npt.NDArray[np.intp],
    planes: npt.NDArray[np.uint64],
) -> None:
    """Tests "x > cuts[cut]" of values[column] (k,) -> planes (k, W); column b has the cuts starts[b] to starts[b+1].

    Of a column with very many cuts, MOST_CUTS_IN_A_CODE are done at a time; it is then a block of its own.
    """
    rows, words = values.shape[1], planes.shape[1]
    most = int(np.diff(starts).max())
    sorted_counts = _counts_by_sorting(values, cuts, starts) if most > MOST_CUTS_COMPARED else None
    for first in range(0, most, MOST_CUTS_IN_A_CODE):
        codes = np.zeros((len(values), 64 * words), np.uint8)
        if sorted_counts is None:
            _count_by_comparing(values, cuts, starts, codes[:, :rows])
        else:
            codes[:, :rows] = np.clip(sorted_counts - first, 0, MOST_CUTS_IN_A_CODE)
        needed = min(most - first, MOST_CUTS_IN_A_CODE)
        above = _thermometer(binary_digits(codes, needed.bit_length()), needed)
        level = cut - starts[column] - first
        some = slice(*np.searchsorted(level, [0, MOST_CUTS_IN_A_CODE])) if most > MOST_CUTS_IN_A_CODE else slice(None)
        which = level[some] * len(values) + column[some]
        above.reshape(-1, words).take(which, axis=0, out=planes[some], mode="clip")


def _count_by_comparing(
    values: npt.NDArray[Any], cuts: npt.NDArray[Any], starts: npt.NDArray[np.intp], codes: npt.NDArray[np.uint8]
) -> None:
    """Fill codes (B, n) with how many of its column's cuts are below each value."""
    most = int(np.diff(starts).max())
    if most > FEW_CUTS:
        above = np.empty((most, values.shape[1]), np.bool_)
        for b, x in enumerate(values):
            some = above[: starts[b + 1] - starts[b]]
            np.greater(x, cuts[starts[b] : starts[b + 1], None], out=some)
            np.add.reduce(some.view(np.uint8), axis=0, out=codes[b])
        return
    number = starts[:-1] + np.arange(most)[:, None]
    highest = np.inf if cuts.dtype.kind == "f" else np.iinfo(cuts.dtype).max
    wanted = np.where(number < starts[1:], cuts[np.minimum(number, len(cuts) - 1)], cuts.dtype.type(highest))
    above = np.empty(values.shape, np.bool_)
    for cut in wanted:
        np.greater(values, cut[:, None], out=above)
        np.add(codes, above.view(np.uint8), out=codes)


def _counts_by_sorting(
    values: npt.NDArray[Any], cuts: npt.NDArray[Any], starts: npt.NDArray[np.intp]
) -> npt.NDArray[np.int32]:
    """(B, n) How many of its column's cuts are below each value; none is below NaN."""
    counts = np.empty(values.shape, np.int32)
    for b, x in enumerate(values):
        order = np.argsort(x)
        in_order = x[order]
        # From this place on the sorted values are above the cut.
        place = np.searchsorted(in_order, cuts[starts[b] : starts[b + 1]], side="right")
        below = np.cumsum(np.bincount(place, minlength=len(x) + 1)[: len(x)])
        if x.dtype.kind == "f":
            below[np.isnan(in_order)] = 0
        counts[b, order] = below
    return counts


def _thermometer(digits: npt.NDArray[np.uint64], needed: int) -> npt.NDArray[np.uint64]:
    """(m, ...) binary digits, the lowest first -> (needed, ...): plane i says where the number is above i.

    With one digit d more, of weight v: above i < v is "d or lower part above i"; above v - 1 is d; above v + i is
    "d and lower part above i".
    """
    above = np.empty((needed, *digits.shape[1:]), np.uint64)
    for level in range(needed.bit_length()):
        weight = 1 << level
        more = above[weight : 2 * weight - 1]
        np.bitwise_and(above[: len(more)], digits[level], out=more)
        np.bitwise_or(above[: weight - 1], digits[level], out=above[: weight - 1])
        above[weight - 1] = digits[level]
    # Higher digits put a number above all.
    for digit in digits[needed.bit_length() :]:
        np.bitwise_or(above, digit, out=above)
    return above


def _correct_missing(
    flags: npt.NDArray[np.uint8],
    values: npt.NDArray[Any],
    column: npt.NDArray[np.intp],
    planes: npt.NDArray[np.uint64],
) -> None:
    """planes (k, W) of tests of values[column], where no comparison holds as a value is missing: NaN, or also 0."""
    for zero in (0, ZERO_COUNTS_AS_MISSING):
        chosen = np.flatnonzero((flags & ZERO_COUNTS_AS_MISSING == zero) & (flags != 0))
        if not len(chosen) or (values.dtype.kind != "f" and not zero):
            continue
        missing = is_missing(values, zero != 0)
        if missing.any():
            masks = bit_planes(missing, planes.shape[1])[column[chosen]]
            corrected = planes[chosen] & ~masks
            to_right = (flags[chosen] & NAN_GOES_RIGHT) != 0
            corrected[to_right] |= masks[to_right]
            planes[chosen] = corrected


def is_missing(x: npt.NDArray[Any], zero_too: bool) -> npt.NDArray[np.bool_]:
    """Of x's shape: NaN, and if `zero_too` what LightGBM takes for zero."""
    if x.dtype.kind != "f":
        return (x == 0) if zero_too else np.zeros(x.shape, np.bool_)
    return np.isnan(x) | (np.abs(x) <= LIGHTGBM_ZERO) if zero_too else np.isnan(x)


def _pack_sets(
    tests: dict[str, Any], columns: npt.NDArray[Any], input_dtype: str, planes: npt.NDArray[np.uint64]
) -> None:
    """Fill planes (K2, W): membership in sets of categories."""
    dtype = np.dtype(comparison_dtype(columns.dtype, input_dtype))
    for i in range(len(planes)):
        x = columns[tests["set_column"][i]].astype(dtype)
        flags = tests["set_flags"][i]
        inside = _in_set(x, tests, tests["set_number"][i])
        right = inside if flags & SET_GOES_RIGHT else ~inside
        right[np.isnan(x)] = (flags & NAN_GOES_RIGHT) != 0
        planes[i] = bit_planes(right[None], planes.shape[1])[0]


def _in_set(x: npt.NDArray[Any], tests: dict[str, Any], number: int) -> npt.NDArray[np.bool_]:
    """(n,) Is the category of x in the set? NaN and what is beyond int32 is not."""
    members = tests["set_member"][tests["set_start"][number] : tests["set_start"][number + 1]]
    rounded = np.trunc(x) if tests["category_rounding"] == "trunc" else np.floor(x)
    table = np.zeros(int(members.max(initial=-1)) + 2, np.bool_)
    table[members] = True
    known = (rounded >= 0) & (rounded < len(table) - 1)
    if tests["category_rounding"] == "exact":
        known &= rounded == x
    return table[np.where(known, rounded, len(table) - 1).astype(np.intp)]


def comparison_dtype(dtype: np.dtype[Any], input_dtype: str) -> type[np.floating[Any]]:
    """The floating dtype in which values of `dtype` are compared without loss, or as `input_dtype` rounds them."""
    if input_dtype == "float32" or dtype.itemsize <= 2 or dtype == np.float32:
        return np.float32
    return np.float64


def _cuts_to_compare(cut: npt.NDArray[Any], dtype: np.dtype[Any], input_dtype: str) -> npt.NDArray[Any]:
    """The cuts in the dtype in which values of `dtype` are compared with them."""
    if dtype.kind in "iu" and dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        # Below the lowest value there is no number to compare with, but then no test of whole numbers is needed.
        if not len(cut) or cut.min() >= limits.min:
            return np.minimum(np.floor(cut), limits.max).astype(dtype)
    return rounded_down(cut, comparison_dtype(dtype, input_dtype))


def rounded_down(cut: npt.NDArray[Any], dtype: type[np.floating[Any]]) -> npt.NDArray[Any]:
    """The cuts in `dtype`, never above: for x of that dtype, x > cut and x > rounded cut are the same."""
    if dtype != np.float32:
        return cut.astype(np.float64)
    with np.errstate(over="ignore"):
        near = cut.astype(np.float32)
    return np.where(near > cut, np.nextafter(near, np.float32(-np.inf)), near)
