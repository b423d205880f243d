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
