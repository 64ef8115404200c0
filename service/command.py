"""The `handrail` command: a table of its subcommands. One is imported when it is called, never to list the others."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


@dataclass(frozen=True, slots=True)
class Row:
    """A subcommand: its name, the `module:attribute` that holds it, and what the list of commands says of it."""

    name: str
    where: str
    about: str


# The list is read by people with a job: those who run it, those who edit rules. `about` is the first sentence of the
# command's own help; a test holds the two equal.
COMMANDS: dict[str, tuple[Row, ...]] = {
    "Run it": (
        Row("serve", "service.main:serve", "Run the service: rules, store, HTTP, and a worker beside it."),
        Row("work", "service.main:work", "Run a worker by itself: deadlines, leases, webhooks."),
        Row("keys", "service.cli.keys:keys", "Make, list and revoke API keys."),
        Row("audit", "service.cli.audit:audit", "Read the audit log, and see whether anybody has changed it."),
        Row(
            "demo",
            "service.cli.demo:demo",
            "Watch Handrail at work: the real service, agents, operators, and a scoreboard.",
        ),
    ),
    "People": (
        Row("operators", "service.cli.operators:operators", "Declare who takes handoffs, and see who is there."),
        Row(
            "channels", "service.cli.channels:channels", "Say how people are told: add, list, test and remove channels."
        ),
        Row(
            "drill",
            "service.cli.drill:drill",
            "See whether a person comes in time: drill a queue, now or on a schedule.",
        ),
        Row(
            "chain",
            "service.cli.chain:chain",
            "Show which agents had the work of a conversation, and at whom it broke.",
        ),
        Row(
            "shed",
            "service.cli.shed:shed",
            "List what was shed: decisions that asked people for less, as a queue was over its budget.",
        ),
        Row(
            "calls",
            "service.cli.calls:calls",
            "List calls that customers were promised and that nobody has made, the longest promised first.",
        ),
        Row(
            "floods",
            "service.cli.floods:floods",
            "List floods: the same over and over, for which one handoff stands in the queue.",
        ),
        Row(
            "simulate",
            "service.cli.simulate:simulate_command",
            "See what other people, hours or queues would have made of recorded arrivals.",
        ),
    ),
    "Rule files": (
        Row(
            "init",
            "service.cli.copied_rules:init",
            "Copy the shipped rule files and their tests into a directory of your own.",
        ),
        Row("check", "service.cli.check:check", "Find every problem in rule files."),
        Row(
            "schema",
            "service.cli.schema:schema",
            "Print the JSON Schema of rule files or test files, for an editor that completes and checks as you type.",
        ),
        Row("test", "service.cli.rule_tests:rule_tests", "Run the tests of rule files."),
        Row(
            "try",
            "service.cli.trying:try_rules",
            "Type what a customer writes, and see what the rules decide, and why.",
        ),
        Row(
            "explain",
            "service.cli.explain:explain",
            "Show how a turn is decided: verdict, rules, the checks behind them, and what nearly fired.",
        ),
        Row(
            "describe",
            "service.cli.describe:describe_agent",
            "Print an agent's job description as a page that a manager signs.",
        ),
        Row("replay", "service.cli.replay:replay", "See what rules would have done with recorded conversations."),
    ),
    "Versions of the rules of a service": (
        Row("push", "service.cli.versions:push", "Keep rule files as a new version of a service's rules."),
        Row(
            "history",
            "service.cli.versions:history",
            "List the versions of a service's rules, latest first: which one decides, who pushed it, and why.",
        ),
        Row(
            "stage",
            "service.cli.versions:stage",
            "Try a version: in shadow, or for a share of the conversations.",
        ),
        Row(
            "diff",
            "service.cli.ruleset_diff:diff",
            "Show what differs between two sets of rules: what got stricter, what looser, which thresholds moved.",
        ),
        Row(
            "shadow",
            "service.cli.shadow:shadow",
            "Show what a version in shadow would have decided, and where it differs from the active one.",
        ),
        Row("approve", "service.cli.versions:approve", "Stand behind a version that somebody else has pushed."),
        Row(
            "activate",
            "service.cli.versions:activate",
            "Let a version decide every turn, in every process within a second.",
        ),
        Row("rollback", "service.cli.versions:rollback", "Take back the last step that decides turns."),
    ),
}


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


def run() -> None:
    """Run the `handrail` command."""
    try:
        app()
    finally:
        # Else Python looks through everything once more before it ends: 70 ms after a check.
        gc.freeze()
