"""Columns of a live frame by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bundle_core.runtime.columns import located, select

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


def test_columns_of_one_dtype_that_lie_together_are_looked_at_in_the_frame() -> None:
    frame = pd.DataFrame(np.arange(60, dtype=np.int8).reshape(3, 20), columns=[f"c{i}" for i in range(20)])
    frame.insert(0, "era", "1")
    names = [f"c{i}" for i in range(18, 3, -1)]

    X, positions = located(frame, names)

    assert np.shares_memory(X, frame["c5"].to_numpy())
    assert np.array_equal(X[:, positions], frame[names].to_numpy())


def test_columns_of_another_dtype_between_those_asked_for_do_not_change_theirs() -> None:
    values = np.arange(9).reshape(3, 3)
    frame = pd.DataFrame({"a": values[:, 0].astype(np.int8), "f": values[:, 1] / 7, "b": values[:, 2].astype(np.int8)})
    frame["m"] = pd.array([1, 2, None], dtype="Int8")
    frame["l"] = values[:, 2].astype(np.int8)

    assert select(frame, ["a", "b"]).dtype == np.int8
    assert np.array_equal(select(frame, ["l", "b"]), values[:, [2, 2]])
    assert np.array_equal(select(frame, ["m", "l"]), [[1, 2], [2, 5], [np.nan, 8]], equal_nan=True)


def test_a_few_columns_of_a_wide_frame_are_copied() -> None:
    frame = pd.DataFrame(np.arange(60, dtype=np.int8).reshape(3, 20), columns=[f"c{i}" for i in range(20)])

    X, positions = located(frame, ["c19", "c0"])

    assert X.shape == (3, 2)
    assert X[:, positions].tolist() == [[19, 0], [39, 20], [59, 40]]


def test_a_column_that_is_there_twice_is_refused_when_it_is_asked_for() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"])
    assert select(frame, ["b"]).tolist() == [[2]]
    with pytest.raises(ValueError, match="more than one column 'a'"):
        select(frame, ["b", "a"])
