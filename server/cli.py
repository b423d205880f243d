"""The console script. `serve` is dispatched before anything of the other commands is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the arguments name."""
    if sys.argv[1:2] == ["serve"]:
        from server.serve import main as serve

        raise SystemExit(serve(sys.argv[2:]))
    from server.commands import app
    from server.errors import PickleMcpError

    try:
        app()
    except PickleMcpError as failure:
        print(failure, file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
