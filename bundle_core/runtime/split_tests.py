"""The distinct split tests of a forest, answered for all rows at once: one bit plane "the row goes right" a test.

`tests` is a dict of arrays. Comparisons: "column" (U,), the columns of X that are compared; "cut_start" (U+1,) and
"cut" (D,), the cuts of each, rising; "cut_of_test" (K1,), rising, and "flags" (K1,) as in the IR: right if x > cut.
Sets: "set_column", "set_number" and "set_flags" (K2,), "set_start" (G+1,), "set_member", "category_rounding".

A column's values are first replaced by codes: how many of its cuts are below x, so "x > cut number i" is "code > i".
The m binary digits of the codes are bit planes, and the 2**m - 1 planes "code > i" come of them by one operation each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.bits import transpose_planes

NAN_GOES_RIGHT, ZERO_COUNTS_AS_MISSING, SET_GOES_RIGHT = 1, 2, 8
LIGHTGBM_ZERO = float(np.float32(1e-35))
MOST_CUTS_COMPARED = 48
"""Up to here counting the cuts below x by comparing is faster than by sorting the column."""
MOST_CUTS_IN_A_CODE = 255
PLANES_AT_ONCE = 2048
COLUMNS_AT_ONCE = 64


def pack_tests(tests: dict[str, Any], X: npt.NDArray[Any], input_dtype: str) -> npt.NDArray[np.uint64]:
    """X (n, F) -> (1 + K1 + K2, W) bit planes in the order of `bits`; plane 0 is the test that sends all rows left."""
    words = -(-len(X) // 64)
    comparisons = len(tests["flags"])
    planes = np.zeros((1 + comparisons + len(tests["set_flags"]), words), np.uint64)
    _pack_comparisons(tests, X, input_dtype, planes[1 : 1 + comparisons])
    _pack_sets(tests, X, input_dtype, planes[1 + comparisons :])
    return planes


def _pack_comparisons(
    tests: dict[str, Any], X: npt.NDArray[Any], input_dtype: str, planes: npt.NDArray[np.uint64]
) -> None:
    """Fill planes (K1, W), a block of columns with about equally many cuts after the other."""
    starts = tests["cut_start"]
    cuts = _cuts_to_compare(tests["cut"], X.dtype, input_dtype)
    block = 0
    while block < len(tests["column"]):
        end = _end_of_block(starts, block)
        values = _columns(X, tests["column"][block:end], cuts.dtype)
        for first in range(0, int(starts[end] - starts[end - 1]), MOST_CUTS_IN_A_CODE):
            begins = np.minimum(starts[block:end] + first, starts[block + 1 : end + 1])
            ends = np.minimum(begins + MOST_CUTS_IN_A_CODE, starts[block + 1 : end + 1])
            above = _planes_above(values, cuts, begins, ends, planes.shape[1])
            some = slice(*np.searchsorted(tests["cut_of_test"], [begins[0], ends[-1]]))
            _take_tests(tests, some, above, begins, planes)
        _correct_missing(tests, slice(block, end), values, planes)
        block = end


def _end_of_block(starts: npt.NDArray[np.integer[Any]], block: int) -> int:
    """Columns from `block` up to here are coded together: they have few planes in all, or it is one column."""
    end = block + 1
    while end < len(starts) - 1 and end - block < COLUMNS_AT_ONCE:
        most = int(starts[end + 1] - starts[end])
        if (end + 1 - block) << most.bit_length() > PLANES_AT_ONCE:
            break
        end += 1
    return end


def _columns(X: npt.NDArray[Any], columns: npt.NDArray[np.integer[Any]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """(len(columns), n) of `dtype`."""
    return np.ascontiguousarray(X.T[columns], dtype)


def _planes_above(
    values: npt.NDArray[Any],
    cuts: npt.NDArray[Any],
    begins: npt.NDArray[np.integer[Any]],
    ends: npt.NDArray[np.integer[Any]],
    words: int,
) -> npt.NDArray[np.uint64]:
    """values (B, n) -> (2**m - 1, B, W): plane i of column b says where code > i, for cuts begins[b] to ends[b]."""
    columns, rows = values.shape
    most = int((ends - begins).max())
    # Rows stand as 8 segments, which the transpose turns into the bits of the bytes.
    codes = np.zeros((8, columns, 8 * words), np.uint8)
    if most <= MOST_CUTS_COMPARED:
        _count_by_comparing(values, cuts, begins, ends, codes)
    else:
        for b in range(columns):
            code = np.zeros(64 * words, np.uint8)
            code[:rows] = _count_by_sorting(values[b], cuts[begins[b] : ends[b]])
            codes[:, b] = code.reshape(8, -1)
    digits = codes.view(np.uint64).reshape(8, -1)
    transpose_planes(digits, 8, np.empty(digits.size // 2, np.uint64))
    return _thermometer(digits.reshape(8, columns, words)[: most.bit_length()])


def _count_by_comparing(
    values: npt.NDArray[Any],
    cuts: npt.NDArray[Any],
    begins: npt.NDArray[np.integer[Any]],
    ends: npt.NDArray[np.integer[Any]],
    codes: npt.NDArray[np.uint8],
) -> None:
    """Add to codes (8, B, 8W) the number of cuts that are below each value."""
    most = int((ends - begins).max())
    number = begins + np.arange(most)[:, None]
    highest = np.inf if cuts.dtype.kind == "f" else np.iinfo(cuts.dtype).max
    wanted = np.where(number < ends, cuts[np.minimum(number, len(cuts) - 1)], cuts.dtype.type(highest))
    length = codes.shape[2]
    above = np.empty((values.shape[0], length), np.bool_)
    for p in range(8):
        segment = values[:, p * length : (p + 1) * length]
        for cut in wanted:
            is_above = np.greater(segment, cut[:, None], out=above[:, : segment.shape[1]])
            code = codes[p, :, : segment.shape[1]]
            np.add(code, is_above.view(np.uint8), out=code)


def _count_by_sorting(x: npt.NDArray[Any], cuts: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """(n,) How many of the cuts are below each x; none is below NaN."""
    order = np.argsort(x)
    in_order = x[order]
    # From this place on the sorted values are above the cut.
    place = np.searchsorted(in_order, cuts, side="right")
    below = np.cumsum(np.bincount(place, minlength=len(x) + 1)[: len(x)])
    if x.dtype.kind == "f":
        below[np.isnan(in_order)] = 0
    counts = np.empty(len(x), np.intp)
    counts[order] = below
    return counts


def _thermometer(digits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """(m, ...) binary digits, the lowest first -> (2**m - 1, ...): plane i says where the number is above i.

    With one digit d more, of weight v: above i < v is "d or lower part above i"; above v - 1 is d; above v + i is
    "d and lower part above i".
    """
    levels = len(digits)
    above = np.empty(((1 << levels) - 1, *digits.shape[1:]), np.uint64)
    for level in range(levels):
        weight = 1 << level
        lower = above[: weight - 1]
        np.bitwise_and(lower, digits[level], out=above[weight : 2 * weight - 1])
        np.bitwise_or(lower, digits[level], out=lower)
        above[weight - 1] = digits[level]
    return above


def _take_tests(
    tests: dict[str, Any],
    some: slice,
    above: npt.NDArray[np.uint64],
    begins: npt.NDArray[np.integer[Any]],
    planes: npt.NDArray[np.uint64],
) -> None:
    """Copy the planes of the tests `some`, whose columns' cuts begin at `begins`, to their places."""
    cut = tests["cut_of_test"][some].astype(np.intp)
    column = np.searchsorted(begins, cut, side="right") - 1
    which = (cut - begins[column]) * above.shape[1] + column
    np.take(above.reshape(-1, above.shape[2]), which, axis=0, out=planes[some], mode="clip")


def _correct_missing(
    tests: dict[str, Any], block: slice, values: npt.NDArray[Any], planes: npt.NDArray[np.uint64]
) -> None:
    """Where a value is missing the comparison does not hold: codes sent it left, or it is 0 and was compared."""
    starts = tests["cut_start"]
    first, last = np.searchsorted(tests["cut_of_test"], [starts[block.start], starts[block.stop]])
    flags = tests["flags"][first:last]
    if not flags.any():
        return
    column = np.searchsorted(starts[block], tests["cut_of_test"][first:last], side="right") - 1
    words = planes.shape[1]
    zero_is_missing = (flags & ZERO_COUNTS_AS_MISSING) != 0
    for zero in (False, True):
        chosen = np.flatnonzero((zero_is_missing == zero) & (flags != 0))
        if not len(chosen):
            continue
        columns, place = np.unique(column[chosen], return_inverse=True)
        missing = is_missing(values[columns], zero)
        if not missing.any():
            continue
        masks = bit_planes(missing, words)[place]
        corrected = planes[first + chosen] & ~masks
        to_right = (flags[chosen] & NAN_GOES_RIGHT) != 0
        corrected[to_right] |= masks[to_right]
        planes[first + chosen] = corrected


def is_missing(x: npt.NDArray[Any], zero_too: bool) -> npt.NDArray[np.bool_]:
    """Of x's shape: NaN, and if `zero_too` what LightGBM takes for zero."""
    if x.dtype.kind != "f":
        return (x == 0) if zero_too else np.zeros(x.shape, np.bool_)
    return np.isnan(x) | (np.abs(x) <= LIGHTGBM_ZERO) if zero_too else np.isnan(x)


def bit_planes(truth: npt.NDArray[np.bool_], words: int) -> npt.NDArray[np.uint64]:
    """(k, n) -> (k, W) in the order of the bits."""
    padded = np.zeros((len(truth), 64 * words), np.bool_)
    padded[:, : truth.shape[1]] = truth
    in_bit_order = np.ascontiguousarray(padded.reshape(len(truth), 8, -1).transpose(0, 2, 1))
    return np.packbits(in_bit_order.reshape(len(truth), -1), axis=1, bitorder="little").view(np.uint64)


def _pack_sets(tests: dict[str, Any], X: npt.NDArray[Any], input_dtype: str, planes: npt.NDArray[np.uint64]) -> None:
    """Fill planes (K2, W): membership in sets of categories."""
    dtype = np.dtype(comparison_dtype(X.dtype, input_dtype))
    for i in range(len(planes)):
        x = X[:, tests["set_column"][i]].astype(dtype)
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
