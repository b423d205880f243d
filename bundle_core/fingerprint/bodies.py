"""What function bodies do, from their bytecode: imports, catching everything, drawing random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bundle_core.fingerprint.bytecode import Code, Instruction, exception_ranges, instructions

_BRANCHES = ("JUMP", "POP_JUMP", "FOR_ITER", "SEND", "SETUP_", "RETURN", "RAISE", "YIELD", "BEFORE_WITH")
_RANDOM = frozenset(
    ["random", "rand", "randn", "uniform", "shuffle", "permutation", "default_rng", "RandomState", "choice"]
)
_EVERYTHING = frozenset(("Exception", "BaseException"))


@dataclass(frozen=True)
class ImportStatement:
    """`import MODULE` or `from MODULE import NAMES`; certain: it runs whenever the body runs to its first branch."""

    module: str
    names: tuple[str, ...]
    certain: bool


def import_statements(code: Code, minor: str) -> Iterator[ImportStatement]:
    """The absolute imports in this body."""
    listing = list(instructions(code, minor))
    guarded = [] if minor == "3.10" else exception_ranges(code)
    first_guard = min((start for start, _, _ in guarded), default=len(code.bytecode))
    straight = True
    for position, instruction in enumerate(listing):
        if instruction.name.startswith(_BRANCHES) or instruction.offset >= first_guard:
            straight = False
        if instruction.name != "IMPORT_NAME" or instruction.argument >= len(code.names):
            continue
        names = tuple(_imported_names(code, listing[position + 1 : position + 60]))
        if _level(code, listing[max(position - 2, 0) : position]) == 0:
            yield ImportStatement(code.names[instruction.argument], names, straight)


def _imported_names(code: Code, following: list[Instruction]) -> Iterator[str]:
    for instruction in following:
        if instruction.name == "IMPORT_FROM" and instruction.argument < len(code.names):
            yield code.names[instruction.argument]
        elif not instruction.name.startswith(("STORE_", "SWAP", "ROT_", "POP_TOP")):
            return


def _level(code: Code, loads: list[Instruction]) -> int:
    """The level of a relative import is the constant loaded before the names: 0 for an absolute one."""
    if len(loads) < 2 or not loads[0].name.startswith("LOAD_"):
        return 0
    if loads[0].name == "LOAD_SMALL_INT":
        return loads[0].argument
    level = code.consts[loads[0].argument] if loads[0].argument < len(code.consts) else 0
    return level if isinstance(level, int) else 0


def catches_everything(code: Code, minor: str) -> bool:
    """A bare `except`, or one for Exception or BaseException."""
    listing = list(instructions(code, minor))
    for position, instruction in enumerate(listing):
        before, after = listing[position - 1], listing[position + 1 : position + 2]
        if instruction.name in ("CHECK_EXC_MATCH", "JUMP_IF_NOT_EXC_MATCH") and before.name == "LOAD_GLOBAL":
            index = before.argument >> (minor != "3.10")
            if index < len(code.names) and code.names[index] in _EVERYTHING:
                return True
        if instruction.name == "PUSH_EXC_INFO" and after and after[0].name == "POP_TOP":
            return True
    handlers = {one.end + 2 * one.argument for one in listing if minor == "3.10" and one.name == "SETUP_FINALLY"}
    # In 3.10 a bare except throws the exception's three parts away at once.
    return any(one.offset in handlers and one.name == "POP_TOP" for one in listing)


def draws_random_numbers(code: Code) -> bool:
    """Names of random generators occur in this body."""
    return not _RANDOM.isdisjoint(code.names)
