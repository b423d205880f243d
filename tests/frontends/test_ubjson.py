"""The UBJSON reader: every type that XGBoost writes, and nothing that is cut off or goes on."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle_core.frontends import ubjson

INTEGERS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q"}
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def length(number: int) -> bytes:
    return b"L" + struct.pack(">q", number)


def written(value: Any, *, counted: bool) -> bytes:
    """UBJSON of a JSON value; lists with their count, as XGBoost writes them, or with an end."""
    if value is None or isinstance(value, bool):
        return {None: b"Z", True: b"T", False: b"F"}[value]
    if isinstance(value, int):
        return length(value)
    if isinstance(value, float):
        return b"D" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"S" + length(len(value.encode())) + value.encode()
    if isinstance(value, dict):
        fields = (written(name, counted=counted)[1:] + written(item, counted=counted) for name, item in value.items())
        return b"{" + b"".join(fields) + b"}"
    items = b"".join(written(item, counted=counted) for item in value)
    return b"[#" + length(len(value)) + items if counted else b"[" + items + b"]"


@given(value=VALUES, counted=st.booleans())
def test_what_is_written_is_read(value: Any, counted: bool) -> None:
    assert ubjson.loads(written(value, counted=counted)) == value


@pytest.mark.parametrize("marker", INTEGERS)
def test_integers_of_every_width_are_read(marker: bytes) -> None:
    assert ubjson.loads(marker + struct.pack(f">{INTEGERS[marker]}", 100)) == 100


def test_an_array_of_one_type_is_a_numpy_array_in_native_order() -> None:
    floats = np.array([0.1, -2.5, np.inf], np.float32)

    read = ubjson.loads(b"[$d#" + length(3) + floats.astype(">f4").tobytes())

    assert read.dtype == np.float32
    assert read.dtype.isnative
    assert np.array_equal(read, floats)


@given(value=VALUES, data=st.data())
def test_data_that_is_cut_off_or_goes_on_is_refused(value: Any, data: Any) -> None:
    whole = written(value, counted=True)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for wrong in (whole[:cut], whole + b"Z"):
        with pytest.raises(ValueError, match="UBJSON"):
            ubjson.loads(wrong)


@pytest.mark.parametrize("data", [b"", b"X", b"[$S#L", b"[$d", b"{Q", b"S" + length(-1), b"[" * 100_000])
def test_what_is_no_ubjson_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="UBJSON"):
        ubjson.loads(data)
