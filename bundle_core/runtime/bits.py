"""Bit planes: rows packed 64 to a machine word, row r in bit r % 64 of word r // 64, and the way back to numbers.

n rows are padded to 64 W. Machines are little-endian: row r is also bit r % 8 of byte r // 8.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_BUTTERFLY_MASKS = {1: 0x5555555555555555, 2: 0x3333333333333333, 4: 0x0F0F0F0F0F0F0F0F, 8: 0x00FF00FF00FF00FF}


def transpose_planes(planes: npt.NDArray[np.uint64], used: int, scratch: npt.NDArray[np.uint64]) -> None:
    """Transpose `lanes` bit planes in place, so that one small number a row comes of one bit a row and plane.

    `planes` is (lanes, words) with lanes 8 or 16; planes from `used` on are zero. Afterwards, seen as (lanes, M) of
    uint8 or uint16, the number of the row at bit l * lanes + p of the planes stands at [p, l]. This is the butterfly:
    for distances 1, 2, 4, 8, swap in pairs of planes the bits that are on the wrong side.
    """
    lanes, words = planes.shape
    occupied = used
    distance = 1
    while distance < lanes:
        pairs = -(-occupied // (2 * distance))
        halves = planes.reshape(lanes // (2 * distance), 2, distance, words)
        low, high = halves[:pairs, 0], halves[:pairs, 1]
        swap = scratch[: pairs * distance * words].reshape(pairs, distance, words)
        shift, mask = np.uint64(distance), np.uint64(_BUTTERFLY_MASKS[distance])
        np.right_shift(low, shift, out=swap)
        np.bitwise_xor(swap, high, out=swap)
        np.bitwise_and(swap, mask, out=swap)
        np.bitwise_xor(high, swap, out=high)
        np.left_shift(swap, shift, out=swap)
        np.bitwise_xor(low, swap, out=low)
        occupied = min(lanes, pairs * 2 * distance)
        distance *= 2


def rows_in_order(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(lanes, M) values as `transpose_planes` leaves them -> (lanes * M,) in the order of the rows."""
    return values.T.reshape(-1)


def packed(truth: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """truth (B, 64 W) -> (B, W) planes."""
    return np.packbits(truth.reshape(-1), bitorder="little").view(np.uint64).reshape(len(truth), -1)


def bit_planes(truth: npt.NDArray[np.bool_], words: int) -> npt.NDArray[np.uint64]:
    """truth (B, n) -> (B, W) planes."""
    padded = np.zeros((len(truth), 64 * words), np.bool_)
    padded[:, : truth.shape[1]] = truth
    return packed(padded)


def by_column(X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(n, F) in any memory order -> (F, n) with each column's values side by side; a view where it can be."""
    if has_columns_in_one_piece(X):
        return X.T
    columns = np.empty((X.shape[1], X.shape[0]), X.dtype)
    # In stripes, as numpy's own transposing copy misses the cache at every value.
    for start in range(0, len(X), 256):
        columns[:, start : start + 256] = X[start : start + 256].T
    return columns


def has_columns_in_one_piece(X: npt.NDArray[Any]) -> bool:
    """Do the values of a column of X (n, F) lie side by side in memory?"""
    return X.strides[0] == X.itemsize
