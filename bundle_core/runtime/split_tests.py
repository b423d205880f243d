"""The distinct split tests of a forest, answered for all rows at once: one bit plane "the row goes right" a test.

`tests` is a dict of arrays. Comparisons, right if x > cut: "column" (U,), the columns of X that are compared, the most
compared first; "tests_of_column" (U,); "cut" and "flags" (K1,) as in the IR, a column's tests side by side, their cuts
rising. Sets: "set_column", "set_number" and "set_flags" (K2,), "set_start" (G+1,), "set_member", "category_rounding".
Where many tests are equal for whole numbers: "whole", such a dict of those that differ, and "whole_plane"
(1 + K1 + K2,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.bits import bit_planes, packed

NAN_GOES_RIGHT, ZERO_COUNTS_AS_MISSING, SET_GOES_RIGHT = 1, 2, 8
LIGHTGBM_ZERO = float(np.float32(1e-35))
MOST_CUTS_COMPARED = 256
"""Up to here comparing a column with every cut is faster than sorting it."""
MANY_ALIKE = 8
"""So many columns with as many cuts each are compared without others, whose lines of cuts need to be filled up."""
BLOCK_BYTES = 600_000
"""What is compared together, with the answers: it stays in a usual second level cache."""


def number_of_tests(tests: dict[str, Any]) -> int:
    """How many tests these are, comparisons and sets."""
    return len(tests["flags"]) + len(tests["set_flags"])


def pack_tests(
    tests: dict[str, Any], columns: npt.NDArray[Any], positions: npt.NDArray[np.intp], input_dtype: str
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.intp]]:
    """columns[positions] (F, n), the model's features -> (planes, plane_of_test).

    The planes are (P, W); plane_of_test (1 + K1 + K2,) says which answers a test, where test 0 sends all rows left.
    """
    comparisons, sets = len(tests["flags"]), len(tests["set_flags"])
    if "whole" in tests and columns.dtype.kind in "iub":
        planes, _ = pack_tests(tests["whole"], columns, positions, input_dtype)
        return planes, tests["whole_plane"].astype(np.intp)
    planes = np.empty((1 + comparisons + sets, -(-columns.shape[1] // 64)), np.uint64)
    planes[0] = 0
    # With its usual buffer numpy copies rows together before it compares them, which takes several times longer.
    usual = np.setbufsize(16)
    try:
        _pack_comparisons(tests, columns, positions[tests["column"]], input_dtype, planes[1 : 1 + comparisons])
    finally:
        np.setbufsize(usual)
    _pack_sets(tests, columns, positions[tests["set_column"]], input_dtype, planes[1 + comparisons :])
    return planes, np.arange(len(planes))


def _pack_comparisons(
    tests: dict[str, Any],
    columns: npt.NDArray[Any],
    column: npt.NDArray[np.intp],
    input_dtype: str,
    planes: npt.NDArray[np.uint64],
) -> None:
    """Fill planes (K1, W), some columns at a time."""
    cuts = rounded_down(tests["cut"], dtype_to_compare(tests["cut"], columns.dtype, input_dtype))
    flags, count = tests["flags"], tests["tests_of_column"].astype(np.intp)
    rules = _missing_rules(flags, columns.dtype)
    starts = np.concatenate([[0], np.cumsum(count)]).tolist()
    last_alike = np.searchsorted(-count, -count, side="right").tolist()
    padded = 64 * planes.shape[1]
    answers = np.zeros((max(1, BLOCK_BYTES // padded), padded), np.bool_)
    begin = 0
    while begin < len(column):
        most = starts[begin + 1] - starts[begin]
        at_once = 1 if most > MOST_CUTS_COMPARED else max(1, BLOCK_BYTES // (padded * (cuts.itemsize + most)))
        end = min(begin + at_once, len(column) if last_alike[begin] - begin < MANY_ALIKE else last_alike[begin])
        some = slice(starts[begin], starts[end])
        together = columns[column[begin], None] if end - begin == 1 else columns[column[begin:end]]
        values = together.astype(cuts.dtype, copy=False)
        if most > MOST_CUTS_COMPARED:
            _answer_by_sorting(values[0], cuts[some], planes[some])
        else:
            _answer_by_comparing(values, cuts[some], count[begin:end], answers, planes[some])
        for rule, masks in _missing(rules, values, planes.shape[1]):
            _correct(_follow(flags[some], rule), flags[some], masks.repeat(count[begin:end], axis=0), planes[some])
        begin = end


def _answer_by_comparing(
    values: npt.NDArray[Any],
    cuts: npt.NDArray[Any],
    count: npt.NDArray[np.intp],
    answers: npt.NDArray[np.bool_],
    planes: npt.NDArray[np.uint64],
) -> None:
    """Fill planes (K, W): every row i of values (B, n) > its count[i] of the cuts (K,); the first row has the most.

    answers (any, 64 W), to work in, is False where there are no rows.
    """
    has_cut = None
    if count[-1] == count[0]:
        table = cuts.reshape(len(values), -1)
    else:
        has_cut = np.arange(count[0]) < count[:, None]
        table = np.zeros(has_cut.shape, cuts.dtype)
        table[has_cut] = cuts
    # All cuts at once, but for a single column of very many.
    at_once = max(1, len(answers) // len(values))
    for first in range(0, count[0], at_once):
        some = table[:, first : first + at_once]
        found = answers[: some.size]
        np.greater(values[:, None], some[:, :, None], out=found.reshape(*some.shape, -1)[:, :, : values.shape[1]])
        words = packed(found)
        planes[first : first + some.size] = words if has_cut is None else words[has_cut.reshape(-1)]


def _answer_by_sorting(x: npt.NDArray[Any], cuts: npt.NDArray[Any], planes: npt.NDArray[np.uint64]) -> None:
    """Fill planes (k, W): x (n,) > cuts (k,), which rise: the rows above a cut are those above the next, and some."""
    order = np.argsort(x)
    in_order = x[order]
    if x.dtype.kind == "f":
        # None is above a cut: sorting puts NaN last.
        known = len(x) - int(np.count_nonzero(np.isnan(in_order)))
        order, in_order = order[:known], in_order[:known]
    # From this place on the sorted values are above the cut.
    place = np.searchsorted(in_order, cuts, side="right")
    below = np.zeros(len(x), np.intp)
    below[order] = np.cumsum(np.bincount(place, minlength=len(order) + 1)[: len(order)])
    planes[:] = 0
    every_byte = planes.view(np.uint8)
    for bit in range(8):
        # Rows whose bits share a byte are apart by one here, so no byte is written twice.
        above = np.flatnonzero(below[bit::8])
        every_byte[below[bit::8][above] - 1, above] |= 1 << bit
    from_last = planes[::-1]
    np.bitwise_or.accumulate(from_last, axis=0, out=from_last)


def _follow(flags: npt.NDArray[np.uint8], rule: int) -> npt.NDArray[np.bool_]:
    """Which tests take the values for missing that `rule` means: 0 NaN, ZERO_COUNTS_AS_MISSING also zeros."""
    return (flags & ZERO_COUNTS_AS_MISSING == rule) & (flags != 0)


def _missing_rules(flags: npt.NDArray[np.uint8], dtype: np.dtype[Any]) -> list[int]:
    """The rules that some of the tests follow and that values of this dtype can fall under."""
    return [rule for rule in (0, ZERO_COUNTS_AS_MISSING) if (rule or dtype.kind == "f") and _follow(flags, rule).any()]


def _missing(rules: list[int], values: npt.NDArray[Any], words: int) -> list[tuple[int, npt.NDArray[np.uint64]]]:
    """Each rule by which a value is missing here, and the (B, W) planes of the missing ones."""
    found: list[tuple[int, npt.NDArray[np.uint64]]] = []
    for rule in rules:
        missing = is_missing(values, rule != 0)
        if missing.any():
            found.append((rule, bit_planes(missing, words)))
    return found


def _correct(
    chosen: npt.NDArray[np.bool_],
    flags: npt.NDArray[np.uint8],
    masks: npt.NDArray[np.uint64],
    planes: npt.NDArray[np.uint64],
) -> None:
    """In the chosen ones of planes (k, W), send the rows of masks, (k, W) or (W,), where the test's flags say."""
    masks = np.broadcast_to(masks, planes.shape)
    to_right = ((flags & NAN_GOES_RIGHT) != 0) & chosen
    planes[chosen] &= ~masks[chosen]
    planes[to_right] |= masks[to_right]


def is_missing(x: npt.NDArray[Any], zero_too: bool) -> npt.NDArray[np.bool_]:
    """Of x's shape: NaN, and if `zero_too` what LightGBM takes for zero."""
    if x.dtype.kind != "f":
        return (x == 0) if zero_too else np.zeros(x.shape, np.bool_)
    return np.isnan(x) | (np.abs(x) <= LIGHTGBM_ZERO) if zero_too else np.isnan(x)


def _pack_sets(
    tests: dict[str, Any],
    columns: npt.NDArray[Any],
    column: npt.NDArray[np.intp],
    input_dtype: str,
    planes: npt.NDArray[np.uint64],
) -> None:
    """Fill planes (K2, W): membership in sets of categories."""
    dtype = np.dtype(comparison_dtype(columns.dtype, input_dtype))
    for i in range(len(planes)):
        x = columns[column[i]].astype(dtype)
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


def values_to_compare(
    columns: npt.NDArray[Any], positions: npt.NDArray[np.intp], dtype: npt.DTypeLike
) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """(values (any, n), first (F,)): columns[positions] in `dtype`, each from its values.flat[first] on.

    They are looked at where they are if that can be.
    """
    if columns.dtype != dtype or not columns.flags.c_contiguous:
        columns, positions = columns[positions].astype(dtype, copy=False), np.arange(len(positions))
    return columns, positions * columns.shape[1]


def dtype_to_compare(cut: npt.NDArray[Any], dtype: np.dtype[Any], input_dtype: str) -> np.dtype[Any]:
    """The dtype in which values of `dtype` are compared with these cuts: single bytes as they are."""
    # A cut below the lowest value has no number to compare with, but then no test of whole numbers is needed.
    if dtype.kind in "iu" and dtype.itemsize == 1 and cut.min(initial=0) >= np.iinfo(dtype).min:
        return dtype
    return np.dtype(comparison_dtype(dtype, input_dtype))


def rounded_down(cut: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The cuts in `dtype`, never above: for x of that dtype, x > cut and x > rounded cut are the same."""
    dtype = np.dtype(dtype)
    if cut.dtype == dtype:
        return cut
    if dtype.kind in "iu":
        return np.minimum(np.floor(cut), np.iinfo(dtype).max).astype(dtype)
    if dtype != np.float32:
        return cut.astype(np.float64)
    with np.errstate(over="ignore"):
        near = cut.astype(np.float32)
    above = np.flatnonzero(near > cut)
    near.reshape(-1)[above] = np.nextafter(near.reshape(-1)[above], np.float32(-np.inf))
    return near
