"""The `handrail` command: a table of its subcommands, and how it is started. None is imported to list the others."""

from __future__ import annotations

import errno
import gc
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

from service.cli.plain_output import EXIT_USAGE, flush, note, print_nowhere


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
            "arrivals",
            "service.cli.arrivals:arrivals",
            "Print who came to the queues of a running service, as `handrail simulate` reads it.",
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


# What a disk says that is full, or a share of it. An error that names its file is for the command to tell.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
MAKE_ROOM = "make room where the output goes, and run the command again"


def run() -> None:
    """Run the `handrail` command."""
    try:
        try:
            words = sys.argv[1:]
            code = _checked(words[1:]) if words[:1] == ["check"] else None
            if code is None:
                import_module("service.command_line").app()
            sys.exit(code)
        finally:
            flush()
    except OSError as unwritten:
        if unwritten.errno not in NO_ROOM or unwritten.filename is not None:
            raise
        print_nowhere()
        # Where notes go, too, there may be no room.
        with suppress(OSError):
            note(f"error: could not write: {os.strerror(unwritten.errno).lower()}\n       {MAKE_ROOM}")
        sys.exit(EXIT_USAGE)
    finally:
        # Else Python looks through everything once more before it ends: 70 ms after a check.
        gc.freeze()


def _checked(words: list[str]) -> int | None:
    """Return the exit code of a check that was asked for plainly, None where the words are left to the command line.

    Editors and hooks check at every save, and what reads a command line takes as long to load as the rules to check.
    """
    # Nothing is left behind for a collector to find, and looking takes a tenth of the time.
    gc.disable()
    try:
        code: int | None = import_module("service.cli.checking").checked_plainly(words)
    except KeyboardInterrupt:
        return 130
    if code is None:
        gc.enable()
    return code
