"""The distinct split tests of a forest, answered for all rows at once: one bit plane "the row goes right" a test.

`tests` is a dict of arrays. Comparisons, right if x > cut: "column" (U,), the columns of X that are compared, the most
compared first; "tests_of_column" (U,); "cut" and "flags" (K1,) as in the IR. A column with more than FEW_TESTS has its
tests one after the other, cuts rising; of the others the first test of each column comes first, then the second ones.
So either way the tests answered together are neighbours. Sets: "set_column", "set_number" and "set_flags" (K2,),
"set_start" (G+1,), "set_member", "category_rounding". Where many tests are equal for whole numbers: "whole", such a
dict of those that differ, and "whole_plane" (1 + K1 + K2,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.bits import bit_planes, packed

NAN_GOES_RIGHT, ZERO_COUNTS_AS_MISSING, SET_GOES_RIGHT = 1, 2, 8
LIGHTGBM_ZERO = float(np.float32(1e-35))
FEW_TESTS = 8
"""Up to here a block of columns is compared with one cut each at a time, above a column with many of its cuts."""
MOST_CUTS_COMPARED = 256
"""Up to here comparing a column with every cut is faster than sorting it."""
BLOCK_BYTES = 600_000
"""What is compared together, with the answers: it stays in a usual second level cache."""


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
    cuts = _cuts_to_compare(tests["cut"], columns.dtype, input_dtype)
    flags, count = tests["flags"], tests["tests_of_column"]
    rules = _missing_rules(flags, columns.dtype)
    many = int(np.count_nonzero(count > FEW_TESTS))
    # The columns that have a test of this rank are the first ones.
    sizes = [int(np.count_nonzero(count[many:] > rank)) for rank in range(int(count[many:].max(initial=0)))]
    starts = np.cumsum([0, *count[:many].tolist(), *sizes]).tolist()
    at_once = max(1, min(len(column), BLOCK_BYTES // max(1, columns.shape[1] * (cuts.itemsize + 1))))
    answers = np.zeros((max(at_once, min(64, int(count.max(initial=0)))), 64 * planes.shape[1]), np.bool_)
    for begin in range(0, many, at_once):
        values = columns[column[begin : min(many, begin + at_once)]].astype(cuts.dtype, copy=False)
        missing = _missing(rules, values, planes.shape[1])
        for i, x in enumerate(values, begin):
            some = np.s_[starts[i] : starts[i + 1]]
            _answer_column(x, cuts[some], answers, planes[some])
            for rule, masks in missing:
                _correct(_follow(flags[some], rule), flags[some], masks[i - begin], planes[some])
    for begin in range(0, len(column) - many, at_once):
        values = columns[column[many + begin : many + begin + at_once]].astype(cuts.dtype, copy=False)
        missing = _missing(rules, values, planes.shape[1])
        for start, size in zip(starts[many:-1], sizes, strict=True):
            compared = min(size - begin, at_once)
            if compared <= 0:
                break
            some = np.s_[start + begin : start + begin + compared]
            np.greater(values[:compared], cuts[some, None], out=answers[:compared, : values.shape[1]])
            planes[some] = packed(answers[:compared])
            for rule, masks in missing:
                _correct(_follow(flags[some], rule), flags[some], masks[:compared], planes[some])


def _answer_column(
    x: npt.NDArray[Any], cuts: npt.NDArray[Any], answers: npt.NDArray[np.bool_], planes: npt.NDArray[np.uint64]
) -> None:
    """Fill planes (k, W): x (n,) > cuts (k,), which rise; answers (any, 64 W) is False where there are no rows."""
    if len(cuts) > MOST_CUTS_COMPARED:
        _answer_by_sorting(x, cuts, planes)
        return
    for first in range(0, len(cuts), len(answers)):
        some = cuts[first : first + len(answers), None]
        np.greater(x, some, out=answers[: len(some), : len(x)])
        planes[first : first + len(some)] = packed(answers[: len(some)])


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
