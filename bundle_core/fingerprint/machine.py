"""The pickle machine with symbols in place of objects: it follows every opcode and never imports or calls."""

from __future__ import annotations

import pickletools
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bundle_core.fingerprint.stream import RUN, Blob, Opcode

MAX_OPCODES = 2_000_000
"""A few seconds of work; what comes after is not read."""
MAX_KEPT_BYTES = 64 * 1024 * 1024
"""Rough memory of everything remembered; later objects are followed without being remembered."""
MAX_MEMO = 1_000_000
MAX_ITEMS = 4_096
"""Items remembered of one container."""
_NODE_COST, _TEXT_COST = 400, 150


class Limit(Exception):
    """The pickle is larger than what is read of one."""


class Malformed(Exception):
    """The opcodes contradict each other: no unpickler gets past here."""


class _Opaque:
    """A number, or an object that was not remembered."""

    __slots__ = ()


OPAQUE = _Opaque()


@dataclass(eq=False)
class Ref:
    """A class or function named for import."""

    __slots__ = ("module", "name")

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Group:
    """A tuple, list, set or dict (keys and values in turn), its first MAX_ITEMS items."""

    __slots__ = ("items", "kind")

    kind: str
    items: list[Any]


@dataclass(eq=False)
class Made:
    """The result of a call: `func(*args)`, then what BUILD or a state setter put into it."""

    __slots__ = ("args", "func", "size", "state")

    func: Any
    args: Any
    size: int
    state: Any


Symbol = Any
"""None, bool, int, str, bytes, Blob, OPAQUE, Ref, Group or Made."""


@dataclass
class Trace:
    """What was seen on the way through one pickle."""

    top: Symbol = OPAQUE
    protocol: int | None = None
    refs: dict[tuple[str, str], Ref] = field(default_factory=dict[tuple[str, str], Ref])
    calls: list[Made] = field(default_factory=list[Made])
    blobs: int = 0
    forgot: bool = False
    """Memory ran out: some objects were followed without being remembered."""


class Machine:
    """Runs opcodes over symbols. `trace` is valid at any time, also after an exception."""

    def __init__(self, on_text: Callable[[str | bytes | Blob], None]) -> None:
        self.trace = Trace()
        self._on_text = on_text
        self._stack: list[Symbol] = []
        self._starts = array("Q")
        self._marks: list[int] = []
        self._memo: dict[int, Symbol] = {}
        self._room = MAX_KEPT_BYTES
        self._offset = 0
        self._steps: dict[int, Callable[[Any], None]] = {
            ord(opcode.code): getattr(self, f"_{opcode.name.lower()}") for opcode in pickletools.opcodes
        }
        self._steps[RUN] = self._run

    def run(self, opcodes: Iterable[Opcode]) -> None:
        """Follow the opcodes to the STOP.

        Raises:
            StreamEnds: from the stream.
            Malformed: a stack underflow, an unknown memo entry, a call of what is no callable.
            Limit: more than MAX_OPCODES.
        """
        steps = self._steps
        try:
            for count, (offset, code, argument) in enumerate(opcodes):
                if count > MAX_OPCODES:
                    raise Limit(f"Only the first {MAX_OPCODES:,} operations of the pickle were read.")
                self._offset = offset
                steps[code](argument)
        except IndexError:
            raise Malformed(f"The pickle takes more from its stack than is there (offset {self._offset}).") from None

    # Stack.

    def _push(self, symbol: Symbol, start: int | None = None) -> None:
        self._stack.append(symbol)
        self._starts.append(self._offset if start is None else start)

    def _take(self) -> Symbol:
        if self._marks and len(self._stack) <= self._marks[-1]:
            raise Malformed(f"The pickle takes a mark for an object (offset {self._offset}).")
        self._starts.pop()
        return self._stack.pop()

    def _pop_to_mark(self) -> tuple[list[Symbol], int]:
        """The symbols above the last mark (at most MAX_ITEMS), and where the first began."""
        mark = self._marks.pop()
        items = self._stack[mark : mark + MAX_ITEMS]
        start = self._starts[mark] if len(self._starts) > mark else self._offset
        del self._stack[mark:], self._starts[mark:]
        return items, start

    def _afford(self, cost: int) -> bool:
        self._room -= cost
        if self._room < 0:
            self.trace.forgot = True
        return self._room >= 0

    def _push_group(self, kind: str, items: list[Symbol], start: int | None = None) -> None:
        self._push(Group(kind, items) if self._afford(_NODE_COST + 8 * len(items)) else OPAQUE, start)

    def _add(self, group: Symbol, items: list[Symbol]) -> None:
        if isinstance(group, Group) and len(group.items) < MAX_ITEMS and self._afford(8 * len(items)):
            group.items.extend(items[: MAX_ITEMS - len(group.items)])

    def _make(self, func: Symbol, args: Symbol, start: int) -> None:
        if func is None or isinstance(func, (bool, int, str, bytes, Blob, Group)):
            raise Malformed(f"The pickle calls what can not be called (offset {self._offset}).")
        if isinstance(func, Ref) and func.name.endswith(("_function_setstate", "_class_setstate")):
            self._set_state(args)
        if not self._afford(_NODE_COST):
            self._push(OPAQUE, start)
            return
        made = Made(func, args, self._offset + 1 - start, None)
        self.trace.calls.append(made)
        self._push(made, start)

    def _set_state(self, args: Symbol) -> None:
        """cloudpickle's state setters are called with (object, state)."""
        if isinstance(args, Group) and len(args.items) == 2 and isinstance(args.items[0], Made):
            args.items[0].state = args.items[1]

    def _name(self, module: Symbol, name: Symbol, start: int) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            if module is OPAQUE or name is OPAQUE:
                self._push(OPAQUE, start)
                return
            raise Malformed("STACK_GLOBAL requires str: the pickle names an import by something that is no text.")
        refs = self.trace.refs
        if (module, name) not in refs and self._afford(_NODE_COST + len(module) + len(name)):
            refs[module, name] = Ref(module, name)
        self._push(refs.get((module, name), OPAQUE), start)

    # Opcodes, by pickletools' names.

    def _proto(self, version: int) -> None:
        self.trace.protocol = max(version, self.trace.protocol or 0)

    def _frame(self, _: int) -> None:
        """Frames only group bytes."""

    def _stop(self, _: None) -> None:
        self.trace.top = self._take()

    def _mark(self, _: None) -> None:
        self._marks.append(len(self._stack))

    def _run(self, collector: int) -> None:
        self._marks.append(len(self._stack))
        self._steps[collector](None)

    def _push_small(self, value: int | None) -> None:
        self._push(OPAQUE if value is None else value)

    _int = _binint = _binint1 = _binint2 = _long = _long1 = _long4 = _push_small

    def _none(self, _: None) -> None:
        self._push(None)

    def _newtrue(self, _: None) -> None:
        self._push(True)

    def _newfalse(self, _: None) -> None:
        self._push(False)

    def _push_number(self, _: None) -> None:
        self._push(OPAQUE)

    _float = _binfloat = _push_number

    def _push_text(self, text: str | bytes | Blob) -> None:
        self._on_text(text)
        if isinstance(text, Blob):
            self.trace.blobs += text.length
        cost = len(text.head) if isinstance(text, Blob) else len(text)
        self._push(text if self._afford(_TEXT_COST + cost) else OPAQUE)

    _string = _binstring = _short_binstring = _unicode = _short_binunicode = _binunicode = _binunicode8 = _push_text
    _binbytes = _short_binbytes = _binbytes8 = _bytearray8 = _push_text

    def _next_buffer(self, _: None) -> None:
        raise Malformed("The pickle's arrays lie in other buffers (protocol 5, out of band), not in this file.")

    def _readonly_buffer(self, _: None) -> None:
        """Changes no symbol."""

    def _persid(self, _: str) -> None:
        raise Malformed("The pickle refers to objects outside of itself (persistent ids), as torch.save files do.")

    def _binpersid(self, _: None) -> None:
        self._persid("")

    def _empty_list(self, _: None) -> None:
        self._push_group("list", [])

    def _empty_dict(self, _: None) -> None:
        self._push_group("dict", [])

    def _empty_set(self, _: None) -> None:
        self._push_group("set", [])

    def _empty_tuple(self, _: None) -> None:
        self._push_group("tuple", [])

    def _collect(self, kind: str) -> None:
        items, start = self._pop_to_mark()
        self._push_group(kind, items, start)

    def _tuple(self, _: None) -> None:
        self._collect("tuple")

    def _list(self, _: None) -> None:
        self._collect("list")

    def _dict(self, _: None) -> None:
        self._collect("dict")

    def _frozenset(self, _: None) -> None:
        self._collect("frozenset")

    def _tuple_of(self, count: int) -> None:
        start = self._starts[-count]
        items = [self._take() for _ in range(count)]
        self._push_group("tuple", items[::-1], start)

    def _tuple1(self, _: None) -> None:
        self._tuple_of(1)

    def _tuple2(self, _: None) -> None:
        self._tuple_of(2)

    def _tuple3(self, _: None) -> None:
        self._tuple_of(3)

    def _append(self, _: None) -> None:
        item = self._take()
        self._add(self._stack[-1], [item])

    def _appends(self, _: None) -> None:
        items, _start = self._pop_to_mark()
        self._add(self._stack[-1], items)

    _setitems = _additems = _appends

    def _setitem(self, _: None) -> None:
        value, key = self._take(), self._take()
        self._add(self._stack[-1], [key, value])

    def _pop(self, _: None) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._take()

    def _dup(self, _: None) -> None:
        self._push(self._stack[-1])

    def _pop_mark(self, _: None) -> None:
        self._pop_to_mark()

    def _get_memo(self, index: int) -> None:
        if index not in self._memo:
            raise Malformed(f"The pickle asks for an object that it never stored (offset {self._offset}).")
        self._push(self._memo[index])

    _get = _binget = _long_binget = _get_memo

    def _put_memo(self, index: int) -> None:
        if len(self._memo) >= MAX_MEMO:
            raise Limit(f"Only the first {MAX_MEMO:,} stored objects of the pickle were read.")
        self._memo[index] = self._stack[-1]

    _put = _binput = _long_binput = _put_memo

    def _memoize(self, _: None) -> None:
        self._put_memo(len(self._memo))

    def _extension(self, _: int) -> None:
        self._push(OPAQUE)

    _ext1 = _ext2 = _ext4 = _extension

    def _global(self, pair: str) -> None:
        module, _, name = pair.partition(" ")
        self._name(module, name, self._offset)

    def _stack_global(self, _: None) -> None:
        name, start = self._take(), self._starts[-1]
        self._name(self._take(), name, start)

    def _reduce(self, _: None) -> None:
        args, start = self._take(), self._starts[-1]
        self._make(self._take(), args, start)

    _newobj = _reduce

    def _newobj_ex(self, _: None) -> None:
        self._take()
        self._reduce(None)

    def _inst(self, pair: str) -> None:
        items, start = self._pop_to_mark()
        self._global(pair)
        self._make(self._take(), Group("tuple", items), start)

    def _obj(self, _: None) -> None:
        items, start = self._pop_to_mark()
        if not items:
            raise Malformed(f"The pickle makes an object of no class (offset {self._offset}).")
        self._make(items[0], Group("tuple", items[1:]), start)

    def _build(self, _: None) -> None:
        start = self._starts[-1]
        state = self._take()
        target = self._stack[-1]
        if isinstance(target, Made):
            target.state = state
            target.size += self._offset + 1 - start
