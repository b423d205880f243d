"""An ASGI app on a socket that is bound first, so that its address is known before the app starts."""

from __future__ import annotations

import socket
from contextlib import nullcontext

import uvicorn

from server.errors import InputError


class WebServer(uvicorn.Server):
    """uvicorn as a part of a program that keeps its signals: set `should_exit` to end it."""

    def capture_signals(self) -> nullcontext[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return nullcontext()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        InputError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(
            f"The address {host}:{port} cannot be used.", evidence=str(error), next_step="Give another host or port."
        ) from None
    # Connections wait in the backlog from here on, so that nobody who reads the address comes too early.
    listener.listen(128)
    return listener


def address(listener: socket.socket, host: str) -> str:
    """`http://HOST:PORT` with the port that the socket got."""
    return f"http://{in_url(host)}:{listener.getsockname()[1]}"


def in_url(host: str) -> str:
    """A host as URLs and Host headers write it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
