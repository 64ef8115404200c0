"""The `handrail` command: its subcommands, and how a refusal of any of them is told. A command is a file."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rules.errors import RuleFileInvalid
from service.cli.check import check
from service.cli.conversation_files import ConversationsUnreadable
from service.cli.demo import demo
from service.cli.explain import explain
from service.cli.keys import keys
from service.cli.output import note, refuse, say
from service.cli.replay import replay
from service.cli.rule_tests import rule_tests
from service.errors import Refusal, StoreAway
from service.flows.access import ServerUnavailable
from service.rule_files import RulesUnreadable
from service.settings import SettingsInvalid


class Told(TyperGroup):
    """Tells what a command refuses as one fact and one next step; a traceback is for our own mistakes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except RulesUnreadable as unreadable:
            refuse(f"{unreadable.path}: {unreadable.fact}", unreadable.hint)
        except RuleFileInvalid as invalid:
            note(str(invalid))
            refuse("the rule files cannot be used", "correct what is shown above; `handrail check` shows it again")
        except ConversationsUnreadable as unreadable:
            refuse(str(unreadable), "docs/replay.md shows what a row looks like")
        except SettingsInvalid as invalid:
            refuse("\n       ".join(invalid.facts))
        except StoreAway as away:
            # The hint of the exception is for callers over HTTP; here it is mostly the address that is wrong.
            refuse(away.detail, "does a Redis or Valkey answer at HANDRAIL_REDIS_URL? try again once it does")
        except (Refusal, ServerUnavailable) as refused:
            refuse(refused.detail, refused.hint)
        except BrokenPipeError:
            # `handrail … | head`: the reader has enough. Python would complain again while closing stdout.
            sys.stderr.close()
            raise typer.Exit(0) from None


def say_version(wanted: bool) -> None:
    """Print the version and end, where it is asked for."""
    if wanted:
        say(f"handrail {metadata.version('handrail')}")
        raise typer.Exit


app = typer.Typer(
    cls=Told,
    name="handrail",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
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


app.command("check")(check)
app.command("test")(rule_tests)
app.command("explain")(explain)
app.command("replay")(replay)
app.command("demo")(demo)
app.add_typer(keys, name="keys")
