"""The console script. `serve` is dispatched before anything of the other commands is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the arguments name."""
    if sys.argv[1:2] == ["serve"]:
        from server.serve import main as serve

        raise SystemExit(serve(sys.argv[2:]))
    from server.commands import app

    app()


if __name__ == "__main__":
    main()
