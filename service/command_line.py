"""The `handrail` command line as typer reads it. Subcommands are listed by the table, and loaded when called."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from service.command import COMMANDS, Row


class Commands(TyperGroup):
    """Loads a subcommand when it is called, and tells what it refuses as one fact and one next step.

    A traceback is for our own mistakes.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for row in (row for rows in COMMANDS.values() for row in rows):
            self.add_command(TyperCommand(name=row.name, help=row.about))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the subcommand itself, imported; None for an unknown name."""
        del ctx
        row = next((row for rows in COMMANDS.values() for row in rows if row.name == cmd_name), None)
        return None if row is None else load(row)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the subcommands by whom they are for."""
        del ctx
        width = max(map(len, self.commands))
        for title, rows in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(row.name.ljust(width), row.about) for row in rows])

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # `handrail … | head`: the reader has enough. Python would complain again while closing stdout.
            sys.stderr.close()
            raise typer.Exit(0) from None
        except Exception as error:
            # What can be refused is known to modules that a command that refuses nothing need not load.
            import_module("service.cli.refusals").tell(error)
            raise


def load(row: Row) -> Any:
    """Return the command of a row as typer's own object, under the name of the row."""
    module, attribute = row.where.split(":")
    # What is loaded stays: to look through it again and again for what may go takes a fifth of the loading.
    gc.disable()
    found = getattr(import_module(module), attribute)
    gc.freeze()
    gc.enable()
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=CONTEXT)
        single.command(row.name)(found)
        found = single
    command = get_command(found)
    command.name = row.name
    return command


def say_version(wanted: bool) -> None:
    """Print the version and end, where it is asked for."""
    if wanted:
        # It reads e-mail headers and zip files, 20 ms that every other command would wait for.
        typer.echo(f"handrail {import_module('importlib.metadata').version('handrail')}")
        raise typer.Exit


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

app = typer.Typer(
    cls=Commands,
    name="handrail",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
    help="""Decide, on every turn of an AI agent, whether a person should take over, and get that person there in time.

    \b
    Start here:
      handrail serve                                   run the service with the shipped rules
      handrail demo                                    watch agents and operators use it
      handrail check my-rules                          find what is wrong with rule files
      handrail replay my-rules conversations.jsonl     see what rules would have done

    Every command takes --help, which shows examples, and --json where it prints a result.
    Exit codes: 0 fine, 1 findings, 2 the command could not be run as given.
    """,
)


@app.callback()
def handrail(
    version: Annotated[
        bool, typer.Option("--version", callback=say_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take what comes before the command's name."""
