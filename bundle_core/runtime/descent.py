"""Below the walked levels of complete trees: every row goes on from its own node, level by level.

By plane, a row looks up its bit among the answers of its node's test; by value, it compares its own value with the
node's cut, so that no test needs an answer for the rows that do not come to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.leaf_sums import fetch, rows_of_numbers
from bundle_core.runtime.split_tests import dtype_to_compare, rounded_down, values_to_compare

Ask = Callable[[int, npt.NDArray[np.intp], npt.NDArray[np.bool_]], None]
"""(level, index, right): `right` becomes the answers of the nodes at `index` of this level of some trees.

index and right are (trees, lanes, length); node j of the t-th of these trees has the index t * 2**depth + j.
"""
AskTrees = Callable[[slice], Ask]
"""The question for some trees."""


def by_plane(
    lowered: dict[str, Any],
    tests: npt.NDArray[np.uint64],
    plane_of_test: npt.NDArray[np.intp],
    shape: tuple[int, ...],
) -> AskTrees:
    """tests (P, W); lowered["below"] (T, 2**depth) are test numbers; `shape` is that of the largest index."""
    _, lanes, length = shape
    lane = np.arange(lanes)
    every_byte = tests.view(np.uint8).reshape(-1)
    byte_of_test = plane_of_test * (8 * tests.shape[1])
    byte_of_row = np.arange(length) * (lanes // 8) + (lane >> 3)[:, None]
    bit_of_row = np.broadcast_to((1 << (lane & 7)).astype(np.uint8)[:, None], (lanes, length)).copy()
    addresses, found = np.empty(shape, np.intp), np.empty(shape, np.uint8)

    def of_trees(trees: slice) -> Ask:
        first_byte = byte_of_test.take(lowered["below"][trees]).reshape(-1)

        def ask(level: int, index: npt.NDArray[np.intp], right: npt.NDArray[np.bool_]) -> None:
            address, byte = addresses[: len(index)], found[: len(index)]
            fetch(first_byte[1 << level :], index, address)
            np.add(address, byte_of_row, out=address)
            fetch(every_byte, address, byte)
            np.bitwise_and(byte, bit_of_row, out=byte)
            np.not_equal(byte, 0, out=right)

        return ask

    return of_trees


def by_value(
    lowered: dict[str, Any], columns: npt.NDArray[Any], positions: npt.NDArray[np.intp], shape: tuple[int, ...]
) -> AskTrees:
    """columns[positions] (F, n) are the features; right if x > "below_cut", or NaN where "below_nan_right" says so.

    lowered["below_feature"] and the others are (T, 2**depth); `shape` is that of the largest index.
    """
    dtype = dtype_to_compare(lowered["below_cut"], columns.dtype, lowered["input_dtype"])
    values, first = values_to_compare(columns, positions, dtype)
    row = rows_of_numbers(shape[1:], columns.shape[1])
    places, found, compared = np.empty(shape, np.intp), np.empty(shape, dtype), np.empty(shape, dtype)
    has_nan = dtype.kind == "f" and bool(lowered["below_nan_right"].any()) and bool(np.isnan(values).any())

    def of_trees(trees: slice) -> Ask:
        first_of_node = first.take(lowered["below_feature"][trees]).reshape(-1)
        cut_of_node = rounded_down(lowered["below_cut"][trees], dtype).reshape(-1)
        nan_right = lowered["below_nan_right"][trees].reshape(-1)

        def ask(level: int, index: npt.NDArray[np.intp], right: npt.NDArray[np.bool_]) -> None:
            place, x, cut = places[: len(index)], found[: len(index)], compared[: len(index)]
            fetch(first_of_node[1 << level :], index, place)
            np.add(place, row, out=place)
            fetch(values, place, x)
            fetch(cut_of_node[1 << level :], index, cut)
            np.greater(x, cut, out=right)
            if has_nan:
                right |= np.isnan(x) & nan_right[1 << level :].take(index)

        return ask

    return of_trees


def descend(ask: Ask, level: int, depth: int, index: npt.NDArray[np.intp]) -> None:
    """index (trees, lanes, length): those of nodes in `level` become those of leaves, in place; they fit two bytes."""
    number, step = index.astype(np.uint16), np.empty(index.shape, np.uint16)
    right = np.empty(index.shape, np.bool_)
    for below in range(level, depth):
        ask(below, index, right)
        np.copyto(step, right)
        np.multiply(step, 1 << below, out=step)
        np.bitwise_or(number, step, out=number)
        np.copyto(index, number)
