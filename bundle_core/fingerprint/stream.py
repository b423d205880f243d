"""A pickle as a stream of opcodes: one pass, payloads of any size, a bounded window of memory."""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

KEPT_PAYLOAD = 256 * 1024
"""Texts and bytes longer than this are skipped; only this much of their beginning is kept."""
WINDOW = 1024 * 1024
RUN = -1
"""Pseudo opcode: MARK, many plain numbers, and the opcode that collects them (its argument)."""

# A pickler writes lists in batches of 1,000; reading those at the speed of `re` is what makes big lists cheap.
_NUMBERS = re.compile(rb"\((?:G.{8}|K.|M..|J.{4}|N|\x88|\x89){8,2000}([etu])", re.DOTALL)
_BATCH = 1000
_LONGEST_RUN = 2 + 2 * _BATCH * 9
_WIDTHS = {ord("G"): 9, ord("J"): 5, ord("M"): 3, ord("K"): 2}


class StreamEnds(Exception):
    """The bytes are no further pickle: truncated, or an opcode that does not exist."""


@dataclass(frozen=True)
class Blob:
    """A text or bytes too long to keep: its length and its first KEPT_PAYLOAD bytes."""

    length: int
    head: bytes
    is_text: bool


Argument = None | int | str | bytes | Blob
Opcode = tuple[int, int, Argument]
"""Offset of the opcode in the file, its number, its argument."""


class _Window:
    """Forward reading of a file with at most a window of it in memory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._base = 0
        self.data = b""
        self.at = 0

    @property
    def offset(self) -> int:
        return self._base + self.at

    def ahead(self, count: int) -> bool:
        """Have `count` bytes after the position in the window, or as many as the file still has."""
        if len(self.data) - self.at >= count or self._base + len(self.data) >= self._size:
            return len(self.data) - self.at >= count
        self._base += self.at
        self._file.seek(self._base)
        self.data = self._file.read(max(WINDOW, count))
        self.at = 0
        return len(self.data) >= count

    def take(self, count: int) -> bytes:
        if not self.ahead(count):
            raise StreamEnds("The file ends in the middle of the pickle: it is truncated.")
        self.at += count
        return self.data[self.at - count : self.at]

    def line(self) -> bytes:
        """Up to the next newline, which is left out."""
        self.ahead(KEPT_PAYLOAD)
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise StreamEnds("A text line of the pickle does not end: the file is truncated or no pickle.")
        return self.take(end + 1 - self.at)[:-1]

    def payload(self, length: int, *, is_text: bool) -> str | bytes | Blob:
        if length < 0 or length > self._size - self.offset:
            raise StreamEnds("The file ends in the middle of the pickle: it is truncated.")
        if length > KEPT_PAYLOAD:
            head = self.take(KEPT_PAYLOAD)
            self._base, self.at, self.data = self.offset + length - KEPT_PAYLOAD, 0, b""
            return Blob(length, head, is_text)
        taken = self.take(length)
        return taken.decode("utf-8", "replace") if is_text else taken


def _number(size: int, *, signed: bool = False) -> Callable[[_Window], int]:
    return lambda window: int.from_bytes(window.take(size), "little", signed=signed)


def _counted(size: int, *, is_text: bool, signed: bool = False) -> Callable[[_Window], Argument]:
    length = _number(size, signed=signed)
    return lambda window: window.payload(length(window), is_text=is_text)


def _text_line(window: _Window) -> str:
    return window.line().decode("utf-8", "replace")


def _escaped_line(window: _Window) -> str:
    return window.line().decode("raw-unicode-escape", "replace")


def _two_lines(window: _Window) -> str:
    return f"{_text_line(window)} {_text_line(window)}"


def _decimal(window: _Window) -> int | None:
    line = window.line().rstrip(b"L")
    return int(line) if len(line) <= 20 and line.lstrip(b"-").isdigit() else None


def _long(size: int) -> Callable[[_Window], int | None]:
    length = _number(size)

    def read(window: _Window) -> int | None:
        payload = window.payload(length(window), is_text=False)
        return (
            int.from_bytes(payload, "little", signed=True) if isinstance(payload, bytes) and len(payload) < 9 else None
        )

    return read


def _quoted_line(window: _Window) -> str:
    return _text_line(window).strip().strip("'\"")


def _memo_line(window: _Window) -> int:
    line = window.line().strip()
    if not line.isdigit() or len(line) > 10:
        raise StreamEnds("A memo number of the pickle is no number: the file is no pickle.")
    return int(line)


def _float(window: _Window) -> None:
    window.take(8)


def _float_line(window: _Window) -> None:
    window.line()


_READERS: dict[str, Callable[[_Window], Argument]] = {
    "uint1": _number(1),
    "uint2": _number(2),
    "uint4": _number(4),
    "uint8": _number(8),
    "int4": _number(4, signed=True),
    "float8": _float,
    "floatnl": _float_line,
    "decimalnl_short": _decimal,
    "decimalnl_long": _decimal,
    "long1": _long(1),
    "long4": _long(4),
    "string1": _counted(1, is_text=True),
    "string4": _counted(4, is_text=True, signed=True),
    "stringnl": _quoted_line,
    "stringnl_noescape": _text_line,
    "stringnl_noescape_pair": _two_lines,
    "unicodestringnl": _escaped_line,
    "unicodestring1": _counted(1, is_text=True),
    "unicodestring4": _counted(4, is_text=True),
    "unicodestring8": _counted(8, is_text=True),
    "bytes1": _counted(1, is_text=False),
    "bytes4": _counted(4, is_text=False),
    "bytes8": _counted(8, is_text=False),
    "bytearray8": _counted(8, is_text=False),
}
_ARGUMENTS: dict[int, Callable[[_Window], Argument]] = {
    ord(opcode.code): _memo_line if opcode.name in ("GET", "PUT") else _READERS[opcode.arg.name]
    for opcode in pickletools.opcodes
    if opcode.arg is not None
}
_KNOWN = frozenset(ord(opcode.code) for opcode in pickletools.opcodes)


def _run_end(data: bytes, at: int) -> int:
    """Where the run of numbers that begins at the MARK `at` ends, its collecting opcode included; 0 if none begins."""
    number = data[at + 1 : at + 2]
    width = _WIDTHS.get(number[0], 0) if number else 0
    if width:
        # Numbers of one kind are of one width: a slice with that stride must show nothing but their opcode.
        kinds = data[at + 1 : at + 1 + width * _BATCH : width]
        count = len(kinds) - len(kinds.lstrip(number))
        end = at + 1 + width * count
        if count >= 8 and data[end : end + 1] in (b"e", b"t"):
            return end + 1
    run = _NUMBERS.match(data, at)
    return run.end() if run else 0


def read_opcodes(file: BinaryIO, size: int) -> Iterator[Opcode]:
    """The opcodes of the pickle that begins at the start of `file` (`size` bytes), up to its STOP.

    Raises:
        StreamEnds: before a STOP the bytes end or are no opcode.
        OSError: the file cannot be read.
    """
    window = _Window(file, size)
    while True:
        if not window.ahead(_LONGEST_RUN) and window.at >= len(window.data):
            raise StreamEnds("The file ends before the pickle does: it is truncated.")
        offset, code = window.offset, window.data[window.at]
        if code == 0x28 and (end := _run_end(window.data, window.at)):
            window.at = end
            yield offset, RUN, window.data[end - 1]
            continue
        if code not in _KNOWN:
            raise StreamEnds(f"Byte {code:#04x} at offset {offset} is no pickle opcode.")
        window.at += 1
        reader = _ARGUMENTS.get(code)
        yield offset, code, reader(window) if reader else None
        if code == 0x2E:
            return
