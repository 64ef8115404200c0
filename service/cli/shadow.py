"""`handrail shadow`: what a version in shadow would have decided, for the person who is about to let it decide."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rules.replay.scorecards import Rate
from service.cli.output import JsonFlag, say, say_json, say_table
from service.cli.service_client import DataDirOption, KeyOption, UrlOption, service_at
from service.cli.versions import VersionArgument, moment

SAID = {
    "agreed": "as the active version",
    "stricter": "stricter than the active version",
    "looser": "looser than the active version",
    "otherwise": "the same verdict by other rules",
    "errors": "could not be judged",
}


def shadow(
    version: VersionArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many differing turns.")] = 10,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what a version in shadow would have decided, and where it differs from the active one.

    Every share comes with its count and a 95 % interval. Turns are named by the id of their decision:
    GET /decisions/ID says why each was decided as it was.

    \b
    Examples:
      handrail shadow 4
      handrail shadow 4 --limit 100 --json | jq '.differences[].decision_id'
    """
    service = service_at(url, key, data_dir)
    told = service.get(f"/rulesets/{version}/shadow?limit={limit}")
    if as_json:
        say_json(told)
        return
    if not told["judged"]:
        found = service.get(f"/rulesets?limit=1&before={version + 1}")["versions"]
        if any(each["version"] == version and each["mode"] == "shadow" for each in found):
            say(f"version {version} is in shadow and has judged no turn yet: none has come since")
            return
        say(f"version {version} has judged no turn yet")
        say(f"  `handrail stage {version} --shadow` lets it judge every turn from then on")
        return
    since, until = moment(told["since_at_ms"]), moment(told["until_at_ms"])
    say(f"version {version} judged {told['judged']} turns from {since} to {until}")
    for name, words in SAID.items():
        if told[name] or name == "agreed":
            say(f"  {words}: {Rate(told[name], told['judged'])}")
    if told["skipped"]:
        say(f"  {told['skipped']} more came faster than they could be judged")
    _say_rules(told)
    _say_differences(told)
    if told["errors"]:
        say("it must not decide before the faults are mended; the log has where they are")
    else:
        say(f"go on with `handrail stage {version} --rollout 10%`, or `handrail activate {version}`")


def _say_rules(told: dict[str, Any]) -> None:
    if told["error_kinds"]:
        say()
        rows = [
            (each["error"], each["rule_id"] or "in what all rules rest on", each["count"])
            for each in told["error_kinds"]
        ]
        say_table("what was raised", ("error", "rule", "turns"), rows, ("turns",))
    if told["rules"]:
        say()
        rows = [(each["rule_id"], each["more"], each["fewer"]) for each in told["rules"]]
        say_table("rules that fired on other turns", ("rule", "more", "fewer"), rows, ("more", "fewer"))


def _say_differences(told: dict[str, Any]) -> None:
    say()
    if not told["differences"]:
        return
    rows = [
        (
            moment(each["at_ms"]),
            f"{each['verdict']} → {each['would_be']}",
            ", ".join([*(f"+{rule}" for rule in each["more"]), *(f"-{rule}" for rule in each["fewer"])]),
            each["decision_id"],
        )
        for each in told["differences"]
    ]
    say_table("the latest turns that differ", ("when", "verdict", "rules", "decision"), rows)
    say()
