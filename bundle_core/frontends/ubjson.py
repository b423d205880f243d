"""A reader of UBJSON (ubjson.org, Draft 12) as far as XGBoost writes it: arrays of one type come as numpy arrays."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

_NUMBERS: dict[bytes, str] = {
    b"i": ">i1",
    b"U": ">u1",
    b"I": ">i2",
    b"l": ">i4",
    b"L": ">i8",
    b"d": ">f4",
    b"D": ">f8",
}
_CONSTANTS: dict[bytes, Any] = {b"Z": None, b"T": True, b"F": False}


def loads(data: bytes) -> Any:
    """The value that `data` holds. Raises ValueError if it is cut off, has a rest, or a type that is not read here."""
    reader = _Reader(data)
    try:
        value = reader.value(reader.take(1))
    except (struct.error, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"UBJSON is damaged at byte {reader.position}: {error}") from error
    if reader.position != len(data):
        raise ValueError(f"UBJSON ends at byte {reader.position} of {len(data)}")
    return value


class _Reader:
    """A position in the data, moved on by what is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        taken = self.data[self.position : self.position + count]
        if count < 0 or len(taken) != count:
            raise ValueError(f"UBJSON is cut off at byte {self.position}")
        self.position += count
        return taken

    def value(self, marker: bytes) -> Any:
        """The value whose type marker has just been read."""
        if marker in _NUMBERS:
            return self.numbers(marker, 1)[0].item()
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker == b"S":
            return self.text()
        if marker == b"C":
            return self.take(1).decode("ascii")
        if marker == b"[":
            return self.array()
        if marker == b"{":
            return self.object()
        raise ValueError(f"UBJSON has an unknown type {marker!r} at byte {self.position - 1}")

    def numbers(self, marker: bytes, count: int) -> np.ndarray[Any, Any]:
        """(count,) in this machine's byte order."""
        dtype = np.dtype(_NUMBERS[marker])
        return np.frombuffer(self.take(count * dtype.itemsize), dtype).astype(dtype.newbyteorder("="))

    def count(self) -> int:
        marker = self.take(1)
        if marker not in (b"i", b"U", b"I", b"l", b"L"):
            raise ValueError(f"UBJSON has no length at byte {self.position - 1}")
        return int(self.numbers(marker, 1)[0])

    def text(self) -> str:
        return self.take(self.count()).decode()

    def array(self) -> Any:
        """[...], [#count..., or [$type#count... of which only the last becomes a numpy array."""
        marker = self.take(1)
        if marker == b"$":
            kind = self.take(1)
            if kind not in _NUMBERS or self.take(1) != b"#":
                raise ValueError(f"UBJSON has an array of the unknown type {kind!r} at byte {self.position}")
            return self.numbers(kind, self.count())
        if marker == b"#":
            return [self.value(self.take(1)) for _ in range(self.count())]
        items: list[Any] = []
        while marker != b"]":
            items.append(self.value(marker))
            marker = self.take(1)
        return items

    def object(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while self.data[self.position : self.position + 1] != b"}":
            name = self.text()
            fields[name] = self.value(self.take(1))
        self.position += 1
        return fields
