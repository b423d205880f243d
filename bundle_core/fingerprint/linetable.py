"""The line tables of code objects from Python 3.11 on (CPython's Objects/locations.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_NO_LOCATION, _LONG, _NO_COLUMNS, _ONE_LINE = 15, 14, 13, 10
Location = tuple[int, ...]
"""Line relative to the function's first, then end line and columns as far as the table has them."""


class LinetableDamaged(Exception):
    """The bytes are no line table."""


@dataclass(frozen=True)
class LineEntry:
    """`units` code units (two bytes each) that belong to one place of the source."""

    units: int
    location: Location


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise LinetableDamaged
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        """Six bits a byte, low ones first, 0x40 says that more follow."""
        byte = self.byte()
        value, shift = byte & 0x3F, 6
        while byte & 0x40 and shift < 36:
            byte = self.byte()
            value |= (byte & 0x3F) << shift
            shift += 6
        return value

    def signed(self) -> int:
        value = self.varint()
        return -(value >> 1) if value & 1 else value >> 1


def line_entries(table: bytes) -> Iterator[LineEntry]:
    """The entries of a `co_linetable`.

    Raises:
        LinetableDamaged: it is none.
    """
    data, line = _Bytes(table), 0
    while data.at < len(table):
        head = data.byte()
        if not head & 0x80:
            raise LinetableDamaged
        form, units = head >> 3 & 15, (head & 7) + 1
        if form == _NO_LOCATION:
            location: Location = ()
        elif form == _LONG:
            line += data.signed()
            location = (line, line + data.varint(), data.varint(), data.varint())
        elif form == _NO_COLUMNS:
            line += data.signed()
            location = (line,)
        elif form >= _ONE_LINE:
            line += form - _ONE_LINE
            location = (line, line, data.byte() + 1, data.byte() + 1)
        else:
            second = data.byte()
            column = form << 3 | second >> 4
            location = (line, line, column + 1, column + (second & 15) + 1)
        yield LineEntry(units, location)
