"""Bit planes: rows packed 64 to a machine word, and the transposes that lead into this form and out of it.

The bit order used everywhere: n rows are padded to 64 W. Byte j (of 8 W) of a plane holds in its bit p row p * 8W + j.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_BUTTERFLY_MASKS = {1: 0x5555555555555555, 2: 0x3333333333333333, 4: 0x0F0F0F0F0F0F0F0F, 8: 0x00FF00FF00FF00FF}


def transpose_planes(planes: npt.NDArray[np.uint64], used: int, scratch: npt.NDArray[np.uint64]) -> None:
    """Transpose `lanes` bit planes in place, so that one small number a row comes of one bit a row and plane.

    `planes` is (lanes, words) with lanes 4, 8 or 16; planes from `used` on are zero. Afterwards, seen as (lanes, M) of
    uint8 or uint16, the number of the row at bit l * lanes + p of the planes stands at [p, l]. This is the butterfly:
    for distances 1, 2, 4, 8, swap in pairs of planes the bits that are on the wrong side. It is its own inverse.
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
    in_bit_order = values.T.reshape(-1, 8)
    return np.ascontiguousarray(in_bit_order.T).reshape(-1)


def binary_digits(codes: npt.NDArray[np.uint8], digits: int) -> npt.NDArray[np.uint64]:
    """codes (B, 64 W), one a row in the rows' order -> (digits, B, W): their binary digits as planes, low first."""
    columns, rows = codes.shape
    segments = codes.view(np.uint64).reshape(columns, 8, rows // 64).transpose(1, 0, 2)
    if digits <= 4:
        # Two segments share a byte as its nibbles: half the work.
        planes = np.left_shift(segments[4:], np.uint64(4))
        np.bitwise_or(planes, segments[:4], out=planes)
    else:
        planes = np.ascontiguousarray(segments)
    flat = planes.reshape(len(planes), -1)
    transpose_planes(flat, len(planes), np.empty(flat.size // 2, np.uint64))
    return flat.reshape(-1, columns, rows // 64)[:digits]


def bit_planes(truth: npt.NDArray[np.bool_], words: int) -> npt.NDArray[np.uint64]:
    """truth (B, n) -> (B, W) planes."""
    codes = np.zeros((len(truth), 64 * words), np.uint8)
    codes[:, : truth.shape[1]] = truth
    return binary_digits(codes, 1)[0]


def by_column(X: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(n, F) in any memory order -> (F, n) C-contiguous; a view where it can be."""
    if X.T.flags.c_contiguous:
        return X.T
    columns = np.empty((X.shape[1], X.shape[0]), X.dtype)
    # In stripes, as numpy's own transposing copy misses the cache at every value.
    for start in range(0, len(X), 256):
        columns[:, start : start + 256] = X[start : start + 256].T
    return columns
