"""What the demo shows: live progress on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class Screen:
    """One line a step, its progress below it while it runs."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._number = 0
        self._started = 0.0
        self._last = ""

    def say(self, line: str) -> None:
        """A line of its own."""
        self._console.print(escape(line))

    def step(self, tool: str, arguments: dict[str, Any]) -> None:
        """A tool is called."""
        self._number += 1
        self._started = time.monotonic()
        given = ", ".join(f"{name}={json.dumps(value)}" for name, value in arguments.items())
        self._console.print(f"\n[bold]{self._number:2}. {tool}[/]({escape(given)})")
        if self._console.is_terminal:
            self._status = self._console.status("")
            self._status.start()

    def progress(self, message: str) -> None:
        """It is doing this now."""
        if self._status is not None:
            self._status.update(escape(message))
        elif message.split(" (")[0] != self._last:
            self._last = message.split(" (")[0]
            self._console.print(f"    ... {escape(message)}")

    def asked(self, question: str) -> None:
        """The server asks the user; the demo answers yes."""
        lines = "\n    ".join(escape(question).splitlines())
        self._console.print(f"    [yellow]The server asks the user:[/] {lines}")
        self._console.print("    The demo answers for the user: yes.")

    def done(self, summary: str) -> None:
        """It worked."""
        self._stop()
        self._console.print(f"    [green]ok[/] {time.monotonic() - self._started:.1f} s  {escape(summary)}")

    def failed(self, text: str) -> None:
        """It did not."""
        self._stop()
        self._console.print(f"    [red]error[/] {escape(text)}")

    def end(self, text: str) -> None:
        """The last lines."""
        self._stop()
        self._console.print(f"\n{escape(text)}")

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
