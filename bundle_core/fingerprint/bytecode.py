"""CPython bytecode as data: which minor compiled it, and what it imports, catches and draws."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from bundle_core.fingerprint.linetable import LineEntry, LinetableDamaged, Location, line_entries
from bundle_core.fingerprint.report import PYTHON_MINORS

_BRANCHES = ("JUMP", "POP_JUMP", "FOR_ITER", "SEND", "SETUP_", "END_ASYNC_FOR")
_EXITS = frozenset(("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE")) | frozenset(
    ("JUMP_FORWARD", "JUMP_ABSOLUTE", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT")
)


@dataclass(frozen=True)
class Code:
    """The parts of a code object that a pickle holds."""

    fields: int
    """Arguments of `types.CodeType`: 16 for 3.10, 18 from 3.11 on."""
    argcount: int
    kwonly: int
    flags: int
    bytecode: bytes
    consts: tuple[Any, ...]
    names: tuple[str, ...]
    varnames: tuple[str, ...]
    name: str
    linetable: bytes
    exceptions: bytes

    @property
    def parameters(self) -> tuple[str, ...]:
        """As `inspect.signature` lists them, stars before `*args` and `**kwargs`."""
        plain, at = self.varnames[: self.argcount], self.argcount + self.kwonly
        kwonly = self.varnames[self.argcount : at]
        star = tuple(f"*{name}" for name in self.varnames[at : at + 1]) if self.flags & 0x04 else ()
        at += len(star)
        stars = tuple(f"**{name}" for name in self.varnames[at : at + 1]) if self.flags & 0x08 else ()
        return plain + star + kwonly + stars


@dataclass(frozen=True)
class Instruction:
    """`offset` is that of its first EXTENDED_ARG; `end` is behind its caches; both in bytes."""

    offset: int
    end: int
    name: str
    argument: int


@dataclass(frozen=True)
class _Minor:
    names: dict[int, str]
    caches: dict[str, int]


@cache
def _minors() -> dict[str, _Minor]:
    tables = json.loads(files("bundle_core.fingerprint").joinpath("opcodes.json").read_text())
    return {
        minor: _Minor({number: name for name, number in table["opcodes"].items()}, table["caches"])
        for minor, table in tables.items()
    }


_LAMBDA_RETURN: Location = (0, 0, 1, 1)
"""Where lambdas place their return: the first line, column 0."""
Located = tuple[Instruction, Location]


class _Misfit(Exception):
    """The bytes are not what this minor compiles."""


def minors_of(code: Code) -> tuple[str, ...]:
    """The Python minors of PYTHON_MINORS whose compiler can have written this code object; empty where none can."""
    minors = tuple(minor for minor in PYTHON_MINORS if _fits(code, minor))
    if minors == ("3.11", "3.12"):
        # Bytes can be valid for both and still differ in where they place the values of f-strings.
        habits = set(_format_habits(code))
        return (habits.pop(),) if len(habits) == 1 else minors
    return minors


def instructions(code: Code, minor: str) -> Iterator[Instruction]:
    """The instructions of `code` read with the tables of `minor`.

    Raises:
        _Misfit: an opcode that this minor does not have, or caches that are not empty.
    """
    table, bytecode = _minors()[minor], code.bytecode
    at, offset, argument = 0, 0, 0
    while at + 1 < len(bytecode):
        name = table.names.get(bytecode[at])
        if name is None:
            raise _Misfit
        argument = argument << 8 | bytecode[at + 1]
        at += 2
        if name == "EXTENDED_ARG":
            argument &= 0xFFFFFF
            continue
        end = at + 2 * table.caches.get(name, 0)
        if end > len(bytecode) or any(bytecode[at:end]):
            raise _Misfit
        yield Instruction(offset, end, name, argument)
        at = offset = end
        argument = 0
    if at != len(bytecode) or offset != at:
        raise _Misfit


def runs_on(code: Code, minor: str) -> bool:
    """Whether this minor could execute the bytes, whoever wrote them: known opcodes, jumps that land."""
    return _listing(code, minor) is not None


def _listing(code: Code, minor: str) -> list[Instruction] | None:
    if (code.fields == 16) != (minor == "3.10"):
        return None
    try:
        listing = list(instructions(code, minor))
    except _Misfit:
        return None
    starts = {instruction.offset for instruction in listing}
    if not listing or listing[-1].name not in _EXITS:
        return None
    if not all(_operand_fits(code, minor, instruction, starts) for instruction in listing):
        return None
    resumes = minor == "3.10" or any(instruction.name == "RESUME" for instruction in listing)
    return listing if resumes else None


def _fits(code: Code, minor: str) -> bool:
    listing = _listing(code, minor)
    if listing is None or minor == "3.10":
        return listing is not None
    if not _exceptions_fit(code, {instruction.offset for instruction in listing}):
        return False
    try:
        lines = list(line_entries(code.linetable))
    except LinetableDamaged:
        return False
    if not _lines_fit(code, minor, listing, lines):
        return False
    return minor == "3.11" or _newer_than_3_11(code, minor, _locate(listing, lines))


def _locate(listing: list[Instruction], lines: list[LineEntry]) -> list[Located]:
    places = [line.location for line in lines for _ in range(line.units)]
    return [(instruction, places[instruction.offset // 2]) for instruction in listing]


def _format_habits(code: Code) -> Iterator[str]:
    """3.11 places the formatting of a value at its whole f-string, 3.12 at its braces."""
    located = _locate(list(instructions(code, "3.12")), list(line_entries(code.linetable)))
    for (_, value), (instruction, place) in pairwise(located):
        if instruction.name == "FORMAT_VALUE" and len(place) == len(value) == 4 and place[0] == value[0]:
            has_specification = bool(instruction.argument & 4)
            at_whole_string = value == place if has_specification else value[2] - place[2] >= len("f'{")
            yield "3.11" if at_whole_string else "3.12"


def _operand_fits(code: Code, minor: str, instruction: Instruction, starts: set[int]) -> bool:
    name, argument = instruction.name, instruction.argument
    if name in ("LOAD_CONST", "RETURN_CONST", "KW_NAMES"):
        return argument < len(code.consts)
    if name in ("LOAD_GLOBAL", "IMPORT_NAME", "IMPORT_FROM", "LOAD_METHOD", "LOAD_ATTR", "STORE_ATTR"):
        shifting_from = {"LOAD_GLOBAL": "3.11", "LOAD_ATTR": "3.12"}.get(name, "9")
        return argument >> (minor >= shifting_from) < len(code.names)
    target = _jump_target(minor, instruction)
    return target is None or target in starts


def _jump_target(minor: str, instruction: Instruction) -> int | None:
    name, step = instruction.name, 2 * instruction.argument
    if not name.startswith(_BRANCHES) or (name == "END_ASYNC_FOR" and minor != "3.14"):
        return None
    if minor == "3.10":
        return instruction.end + step if name.startswith(("FOR_ITER", "SETUP_", "JUMP_FORWARD")) else step
    backward = "BACKWARD" in name or name == "END_ASYNC_FOR"
    return instruction.end - step if backward else instruction.end + step


def _exception_varint(data: bytes, at: int) -> tuple[int, int]:
    """A varint of the exception table: six bits a byte, high ones first, 0x40 says that more follow."""
    value, more = 0, True
    while more:
        if at >= len(data) or value > 1 << 32:
            raise _Misfit
        value, more = value << 6 | data[at] & 0x3F, bool(data[at] & 0x40)
        at += 1
    return value, at


def exception_ranges(code: Code) -> list[tuple[int, int, int]]:
    """(start, end, handler) in bytes, for code of 3.11 and newer.

    Raises:
        _Misfit: the table is damaged.
    """
    ranges: list[tuple[int, int, int]] = []
    at = 0
    while at < len(code.exceptions):
        start, at = _exception_varint(code.exceptions, at)
        length, at = _exception_varint(code.exceptions, at)
        handler, at = _exception_varint(code.exceptions, at)
        _, at = _exception_varint(code.exceptions, at)
        ranges.append((2 * start, 2 * (start + length), 2 * handler))
    return ranges


def _exceptions_fit(code: Code, starts: set[int]) -> bool:
    try:
        ranges = exception_ranges(code)
    except _Misfit:
        return False
    boundaries = starts | {len(code.bytecode)}
    return all({start, end} <= boundaries and handler in starts for start, end, handler in ranges)


def _lines_fit(code: Code, minor: str, listing: list[Instruction], lines: list[LineEntry]) -> bool:
    """3.11 writes one entry an instruction (eight units at most); newer ones put equal neighbours together."""
    if sum(line.units for line in lines) * 2 != len(code.bytecode):
        return False
    if minor != "3.11":
        return all(a.location != b.location or a.units == 8 for a, b in pairwise(lines))
    expected: list[int] = []
    for instruction in listing:
        units = (instruction.end - instruction.offset) // 2
        expected += [8] * ((units - 1) // 8) + [(units - 1) % 8 + 1]
    return [line.units for line in lines] == expected


def _newer_than_3_11(code: Code, minor: str, located: list[Located]) -> bool:
    """Two habits of the compilers after 3.11, on bytecode that 3.11 could have written as well.

    Generators (not lambdas) guard their whole body with an exception table; 3.12 and 3.13 write RETURN_CONST instead
    of LOAD_CONST and RETURN_VALUE, but for one that is jumped to, stands in several copies, or returns a folded
    expression.
    """
    generator = any(instruction.name == "RETURN_GENERATOR" for instruction, _ in located)
    if generator and not code.exceptions and code.name != "<lambda>":
        return False
    if minor == "3.14":
        return True
    returns = Counter(place for instruction, place in located if instruction.name == "RETURN_VALUE")
    targets = {_jump_target(minor, instruction) for instruction, _ in located}
    return not any(
        load.name == "LOAD_CONST"
        and back.name == "RETURN_VALUE"
        and back.offset not in targets
        and returns[place] == 1
        and (value[1::2] == place[1::2] or place == _LAMBDA_RETURN)
        for (load, value), (back, place) in pairwise(located)
    )
