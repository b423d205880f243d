"""The commands beside `serve`. Each hands over to the module that does the work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from server.install.clients import CLIENTS

app = typer.Typer(
    help="Takes a trained model to a validated Numerai model upload, as an MCP server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Project = Annotated[Path, typer.Option(help="The project's folder, which becomes the server's workspace.")]


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def serve(context: typer.Context) -> None:
    """Serve MCP on stdio or HTTP; `serve --help` shows its options."""
    from server.serve import main

    raise typer.Exit(main(context.args))


@app.command()
def demo(
    folder: Annotated[Path | None, typer.Option(help="Where to work; a new temporary folder by default.")] = None,
) -> None:
    """The whole way, from a LightGBM model to an assigned pickle, against the embedded Numerai."""
    from server.demo.run import main

    raise typer.Exit(main(folder))


@app.command()
def local_numerai(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 0,
    state: Annotated[
        Path | None, typer.Option(help="Keeps the account over restarts; a fresh one each time by default.")
    ] = None,
) -> None:
    """An embedded Numerai to try everything against; prints the variables that lead to it."""
    from server.local_numerai.command import main

    main(host, port, state)


@app.command()
def doctor(project: Project = Path()) -> None:
    """What is installed, reachable and configured, and how to mend what is not."""
    import anyio
    from rich.console import Console

    from server.doctor import show

    anyio.run(show, os.environ, project.resolve(), Console(highlight=False))


@app.command()
def install(
    client: Annotated[str, typer.Option(help=f"One of {', '.join(CLIENTS)}.")],
    project: Project = Path(),
    write: Annotated[bool, typer.Option("--write", help="Make the change that is shown.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the server out again.")] = False,
) -> None:
    """Show how a client's configuration changes to start this server; `--write` changes it."""
    from server.install.change import change_configuration

    change_configuration(client, project, write=write, undo=undo, show=typer.echo)


@app.command()
def explain(
    logfile: Annotated[Path, typer.Argument(help="A log of a run or a trigger.", exists=True, dir_okay=False)],
) -> None:
    """Why a pickle failed, from its log."""
    from server.diagnosis import explain_log

    typer.echo(explain_log(logfile.read_text(encoding="utf-8", errors="replace")), nl=False)
