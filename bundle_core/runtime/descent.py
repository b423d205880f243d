"""Below the walked levels of complete trees: every row goes on from its own node, level by level.

By plane, a row looks up its bit among the answers of its node's test; by value, it compares its own value with the
node's cut, so that no test needs an answer for the rows that do not come to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle_core.runtime.split_tests import comparison_dtype, rounded_down

Ask = Callable[[slice, npt.NDArray[np.intp], npt.NDArray[np.bool_]], None]
"""(nodes, index, right): right becomes the answer of the nodes' test number `index`, both (trees, lanes, length)."""
AskTrees = Callable[[slice], Ask]
"""The question for some of the trees."""


def by_plane(
    lowered: dict[str, Any],
    tests: npt.NDArray[np.uint64],
    plane_of_test: npt.NDArray[np.intp],
    shape: tuple[int, ...],
) -> AskTrees:
    """tests (P, W); lowered["below"] (T, nodes) are test numbers; `shape` is that of the largest index."""
    _, lanes, length = shape
    lane = np.arange(lanes)
    every_byte = tests.view(np.uint8).reshape(-1)
    byte_of_test = plane_of_test * (8 * tests.shape[1])
    byte_of_row = np.arange(length) * (lanes // 8) + (lane >> 3)[:, None]
    bit_of_row = np.broadcast_to((1 << (lane & 7)).astype(np.uint8)[:, None], (lanes, length)).copy()
    addresses, found = np.empty(shape, np.intp), np.empty(shape, np.uint8)

    def of_trees(trees: slice) -> Ask:
        first_byte = byte_of_test.take(lowered["below"][trees])

        def ask(nodes: slice, index: npt.NDArray[np.intp], right: npt.NDArray[np.bool_]) -> None:
            address, byte = addresses[: len(index)], found[: len(index)]
            _fetch(first_byte[:, nodes], index, address)
            np.add(address, byte_of_row, out=address)
            every_byte.take(address, out=byte, mode="wrap")
            np.bitwise_and(byte, bit_of_row, out=byte)
            np.not_equal(byte, 0, out=right)

        return ask

    return of_trees


def by_value(
    lowered: dict[str, Any], columns: npt.NDArray[Any], positions: npt.NDArray[np.intp], shape: tuple[int, ...]
) -> AskTrees:
    """columns[positions] (F, n) are the features; right if x > "below_cut", or NaN where "below_nan_right" says so.

    lowered["below_feature"] and the others are (T, nodes); `shape` is that of the largest index.
    """
    _, lanes, length = shape
    rows = columns.shape[1]
    dtype = comparison_dtype(columns.dtype, lowered["input_dtype"])
    if columns.dtype != dtype or not columns.flags.c_contiguous:
        columns, positions = columns[positions].astype(dtype), np.arange(len(positions))
    values, first = columns.reshape(-1), positions * rows
    # The rows that fill up the last word go the way of the last row.
    row = np.minimum(np.arange(length) * lanes + np.arange(lanes)[:, None], rows - 1)
    places, found, compared = np.empty(shape, np.intp), np.empty(shape, dtype), np.empty(shape, dtype)
    nan_right = lowered["below_nan_right"] if np.isnan(values).any() else np.zeros(0, np.bool_)

    def of_trees(trees: slice) -> Ask:
        first_of_node = first.take(lowered["below_feature"][trees])
        cut_of_node = rounded_down(lowered["below_cut"][trees], dtype)

        def ask(nodes: slice, index: npt.NDArray[np.intp], right: npt.NDArray[np.bool_]) -> None:
            place, x, cut = places[: len(index)], found[: len(index)], compared[: len(index)]
            _fetch(first_of_node[:, nodes], index, place)
            np.add(place, row, out=place)
            values.take(place, out=x, mode="wrap")
            _fetch(cut_of_node[:, nodes], index, cut)
            np.greater(x, cut, out=right)
            if nan_right.size:
                to_right = np.empty(right.shape, np.bool_)
                _fetch(nan_right[trees, nodes], index, to_right)
                np.logical_or(right, to_right & np.isnan(x), out=right)

        return ask

    return of_trees


def descend(ask: Ask, level: int, depth: int, index: npt.NDArray[np.intp]) -> None:
    """index (trees, lanes, length): the numbers of nodes in `level` become those of leaves, in place."""
    number, step = np.empty(index.shape, np.uint16), np.empty(index.shape, np.uint16)
    right = np.empty(index.shape, np.bool_)
    np.copyto(number, index, casting="unsafe")
    for below in range(level, depth):
        first = (1 << below) - (1 << level)
        ask(np.s_[first : first + (1 << below)], index, right)
        np.copyto(step, right)
        np.left_shift(step, below, out=step)
        np.bitwise_or(number, step, out=number)
        np.copyto(index, number)


def _fetch(of_trees: npt.NDArray[Any], index: npt.NDArray[np.intp], out: npt.NDArray[Any]) -> None:
    """out[t] = of_trees[t][index[t]]"""
    for of_tree, at, place in zip(of_trees, index, out, strict=True):
        # mode="wrap" spares numpy a check of the indices, which are in range.
        of_tree.take(at, out=place, mode="wrap")
