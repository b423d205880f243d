"""Columns of a live frame by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bundle_core.runtime.columns import select

FRAME = pd.DataFrame(
    {
        "era": ["1", "1"],
        "b": np.array([3, 4], np.int8),
        "a": np.array([1, 2], np.int8),
        "u": np.array([7, 8], np.uint8),
        "f": np.array([0.5, np.nan]),
        "n": pd.array([1, None], dtype="Int8"),
    }
)


def test_columns_come_in_the_asked_order_and_int8_stays_int8() -> None:
    values = select(FRAME, ["a", "b"])
    assert values.dtype == np.int8
    assert values.tolist() == [[1, 3], [2, 4]]


def test_mixed_columns_come_in_the_dtype_that_holds_them_all() -> None:
    assert select(FRAME, ["a", "u"]).dtype == np.int16
    assert select(FRAME, ["a", "f"]).dtype == np.float64


def test_a_nullable_columns_missing_value_is_nan() -> None:
    assert np.array_equal(select(FRAME, ["n", "a"]), [[1, 1], [np.nan, 2]], equal_nan=True)


def test_columns_that_are_not_there_are_named() -> None:
    with pytest.raises(KeyError, match="'x', 'y'"):
        select(FRAME, ["a", "x", "y"])


def test_the_frame_is_not_written_to() -> None:
    before = FRAME.copy()
    select(FRAME, ["a", "n"])
    pd.testing.assert_frame_equal(FRAME, before)
