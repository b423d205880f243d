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
    straight = True
    for position, instruction in enumerate(listing):
        if instruction.name.startswith(_BRANCHES):
            straight = False
        if instruction.name != "IMPORT_NAME" or instruction.argument >= len(code.names):
            continue
        names: list[str] = []
        for following in listing[position + 1 :]:
            if following.name == "IMPORT_FROM" and following.argument < len(code.names):
                names.append(code.names[following.argument])
            elif not following.name.startswith(("STORE_", "SWAP", "ROT_", "POP_TOP")):
                break
        in_try = any(start <= instruction.offset < end for start, end, _ in guarded)
        if _level(code, listing[:position]) == 0:
            yield ImportStatement(code.names[instruction.argument], tuple(names), straight and not in_try)


def _level(code: Code, before: list[Instruction]) -> int:
    """The level of a relative import is the constant loaded before the names: 0 for an absolute one."""
    if len(before) < 2:
        return 0
    load = before[-2]
    level = code.consts[load.argument] if load.name == "LOAD_CONST" and load.argument < len(code.consts) else 0
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
