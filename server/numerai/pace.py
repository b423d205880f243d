"""How often and how long Numerai is asked: waits, time limits, and what a repeat is allowed to do."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import anyio

from server.errors import NumeraiUnreachable, OutcomeUnknown

T = TypeVar("T")


@dataclass(frozen=True)
class Waits:
    """Growing waits in seconds: `first`, then times `factor`, at most `longest`, each up to a quarter shorter."""

    first: float
    factor: float = 2.0
    longest: float = 30.0

    def __iter__(self) -> Iterator[float]:
        wait = self.first
        while True:
            yield wait * random.uniform(0.75, 1.0)
            wait = min(wait * self.factor, self.longest)


@dataclass(frozen=True)
class Pace:
    """All times in seconds. The defaults are for Numerai itself; tests use shorter ones."""

    attempts: int = 5
    """Tries of one request whose repeat is safe."""
    retry: Waits = Waits(0.5, longest=20.0)
    looks: int = 4
    """Looks for a change whose answer was lost, before it is taken as not made."""
    look: Waits = Waits(1.0, longest=10.0)
    poll: Waits = Waits(1.0, longest=30.0)
    """Between two looks at a validation: six in the first minute, then two a minute."""
    call_seconds: float = 60.0
    """The whole of one request, its body included."""
    watch_seconds: float = 3600.0
    """One validation: Numerai's ten minutes, and the queue before it."""
    longest_retry_after: float = 120.0


class PassingFault(Exception):
    """One attempt failed in a way that may pass.

    `cause` is free of URLs and headers; `maybe_done` says that Numerai may have carried the request out;
    `retry_after` is the wait in seconds that Numerai asked for.
    """

    def __init__(self, cause: str, *, maybe_done: bool, retry_after: float | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.maybe_done = maybe_done
        self.retry_after = retry_after


async def attempt(
    send: Callable[[], Awaitable[T]], *, what: str, changes: bool, pace: Pace, seconds: float | None = None
) -> T:
    """The result of `send`, tried again after a passing fault where a repeat is safe. `seconds` limits each try.

    A request that `changes` the account is repeated only if it surely did not reach Numerai or was turned away.

    Raises:
        OutcomeUnknown: a change was sent and its answer lost.
        NumeraiUnreachable: all attempts failed; nothing was changed.
    """
    seconds = seconds or pace.call_seconds
    for tried, wait in enumerate(pace.retry, 1):
        try:
            with anyio.fail_after(seconds):
                return await send()
        except TimeoutError:
            fault = PassingFault(f"no answer within {seconds:g} s", maybe_done=True)
        except PassingFault as passing:
            fault = passing
        asked = fault.retry_after or 0.0
        if changes and fault.maybe_done:
            raise OutcomeUnknown(
                f"It is not known whether Numerai carried out {what}.",
                evidence=fault.cause,
                next_step="Call again: what Numerai has is looked at before anything is repeated.",
            )
        if tried == pace.attempts or asked > pace.longest_retry_after:
            later = f"in {asked:.0f} s" if asked else "when the network and Numerai are well"
            raise NumeraiUnreachable(
                f"Numerai gave no usable answer to {what} ({tried} tries). Nothing was changed by it.",
                evidence=fault.cause,
                next_step=f"Call again {later}.",
            )
        await anyio.sleep(max(wait, asked))
    raise AssertionError("the waits have no end")
