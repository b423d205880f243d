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
    in_bit_order = values.T.reshape(-1, 8)
    return np.ascontiguousarray(in_bit_order.T).reshape(-1)


def binary_digits(small: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint64]]:
    """(n, F) numbers 0 to 7, in either memory order -> their three binary digits as planes, each (F, W), low first."""
    rows, features = small.shape
    words = -(-rows // 64)
    if small.strides[1] == 1 or features == 1:
        planes = _digits_of_segments(_row_segments(small, 8 * words), step=16384)
        return [
            np.ascontiguousarray(plane.view(np.uint8).reshape(8 * words, features).T).view(np.uint64)
            for plane in planes
        ]
    by_feature = np.zeros((features, 64 * words), np.uint8)
    by_feature[:, :rows] = small.T
    wide = by_feature.view(np.uint64)
    segments = [wide[:, p * words : (p + 1) * words] for p in range(8)]
    return _digits_of_segments(segments, step=max(1, 16384 // words))


def _row_segments(small: npt.NDArray[np.uint8], length: int) -> list[npt.NDArray[np.uint64]]:
    """(n, F) row-major -> 8 runs of `length` rows (the last ones padded with zeros), each flat as words."""
    segments: list[npt.NDArray[np.uint64]] = []
    for p in range(8):
        segment = small[p * length : (p + 1) * length]
        if len(segment) < length or not segment.flags.c_contiguous:
            padded = np.zeros((length, small.shape[1]), np.uint8)
            padded[: len(segment)] = segment
            segment = padded
        segments.append(segment.reshape(-1).view(np.uint64))
    return segments


def _digits_of_segments(segments: list[npt.NDArray[np.uint64]], step: int) -> list[npt.NDArray[np.uint64]]:
    """8 arrays of equal shape holding numbers 0 to 7 in their bytes -> 3 planes; bit p of a byte is segment p's.

    Two segments share a byte as its nibbles, then 4 x 4 bit transposes inside the nibbles. `step` leading entries
    are done at a time, so that the intermediates stay in cache.
    """
    shape = segments[0].shape
    planes = [np.empty(shape, np.uint64) for _ in range(3)]
    work = np.empty((5, min(step, shape[0]), *shape[1:]), np.uint64)
    odd, pairs = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
    one, two, four = np.uint64(1), np.uint64(2), np.uint64(4)
    for start in range(0, shape[0], step):
        stop = min(shape[0], start + step)
        y0, y1, y2, y3, swap = work[:, : stop - start]
        for p, y in enumerate((y0, y1, y2, y3)):
            np.left_shift(segments[p + 4][start:stop], four, out=y)
            np.bitwise_or(y, segments[p][start:stop], out=y)
        for low, high, shift, mask in ((y0, y1, one, odd), (y2, y3, one, odd), (y0, y2, two, pairs)):
            np.right_shift(low, shift, out=swap)
            np.bitwise_xor(swap, high, out=swap)
            np.bitwise_and(swap, mask, out=swap)
            np.bitwise_xor(high, swap, out=high)
            np.left_shift(swap, shift, out=swap)
            np.bitwise_xor(low, swap, out=low)
        # The fourth pair's swap, of which only digit 1 is needed: digit 3 of a number up to 7 is zero.
        np.bitwise_and(y3, pairs, out=y3)
        np.left_shift(y3, two, out=y3)
        np.bitwise_and(y1, pairs, out=y1)
        np.bitwise_or(y1, y3, out=y1)
        for plane, y in zip(planes, (y0, y1, y2), strict=True):
            plane[start:stop] = y
    return planes
