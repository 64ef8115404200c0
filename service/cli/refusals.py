"""How what a command refuses is told: one fact, one next step, exit code 2."""

from __future__ import annotations

from rules.files.errors import RuleFileInvalid
from rules.replay.turn_rows import LogUnreadable
from service.cli.arrival_files import ArrivalsUnreadable
from service.cli.conversation_files import ConversationsUnreadable
from service.cli.output import note, refuse
from service.errors import Refusal, StoreAway
from service.flows.access import ServerUnavailable
from service.rule_files import TESTS_ENDINGS, RulesUnreadable
from service.settings import SettingsInvalid


def broken(invalid: RuleFileInvalid) -> str:
    """Return which files have the errors: rule, test, or both."""
    of_tests = {each.span.file.endswith(TESTS_ENDINGS) for each in invalid.problems if each.severity == "error"}
    return {True: "test", False: "rule"}[of_tests.pop()] if len(of_tests) == 1 else "rule and test"


def tell(error: Exception) -> None:
    """End the command with what the error states; return when it is none that a user can do something about."""
    match error:
        case RulesUnreadable():
            refuse(f"{error.path}: {error.fact}", error.hint)
        case RuleFileInvalid():
            note(str(error))
            refuse(
                f"the {broken(error)} files cannot be used",
                "correct what is shown above; `handrail check` shows it again",
            )
        case ConversationsUnreadable():
            refuse(str(error), "docs/replay.md shows what a row looks like")
        case ArrivalsUnreadable():
            refuse(str(error), "docs/simulate.md shows what a row of arrivals looks like")
        case LogUnreadable():
            refuse(str(error), "docs/replay.md says how a turn log is made")
        case SettingsInvalid():
            refuse("\n       ".join(error.facts))
        case StoreAway():
            # The hint of the exception is for callers over HTTP; here it is mostly the address that is wrong.
            refuse(error.detail, "does a Redis or Valkey answer at HANDRAIL_REDIS_URL? try again once it does")
        case Refusal() | ServerUnavailable():
            refuse(error.detail, error.hint)
        case _:
            return
