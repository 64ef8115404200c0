"""`handrail push | history | stage | approve | activate | rollback`: versions of rules on a running service."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from rules.files.errors import RuleFileInvalid
from service import rule_files
from service.cli.output import EXIT_FINDINGS, JsonFlag, note, refuse, say, say_json, say_table
from service.cli.service_client import (
    DataDirOption,
    KeyOption,
    Service,
    ServiceRefused,
    UrlOption,
    service_at,
)

VERSION = re.compile(r"[1-9][0-9]{0,8}")


def _version(given: str) -> int:
    """Return the number of a version. Raises BadParameter for anything else."""
    if VERSION.fullmatch(given) is None:
        raise typer.BadParameter(f"`{given}` is no version; write its number, as `handrail history` shows it")
    return int(given)


VersionArgument = Annotated[
    int, typer.Argument(parser=_version, metavar="VERSION", help="Its number, as `handrail history` shows it.")
]
HASH_CHARS = 12
PERCENT = re.compile(r"(\d{1,3})\s*%?")
HISTORY_LINES = 20


def push(
    directory: Annotated[Path, typer.Argument(help="Directory of rule files with their tests.", metavar="DIR")],
    message: Annotated[str, typer.Option("--message", "-m", help="What changed, and why, in a sentence.")],
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Keep rule files as a new version of a service's rules.

    Rule files and the tests beside them are sent together. What has errors is refused, with every problem at its place.
    Nothing decides by a new version yet; the same files pushed twice are one version, with its first message. Exit
    code 1 when the files have errors or a test fails.

    \b
    Examples:
      handrail push my-rules -m "refunds above 150 dollars wait for a person"
      handrail push my-rules -m "as before the holidays" --url https://handrail.internal --key $KEY
    """
    if not message.strip():
        refuse("the message is empty", "say what changed, and why: whoever rolls back reads nothing else")
    texts = {**rule_files.read_directory(directory), **rule_files.read_tests(directory)}
    ruleset, problems = rule_files.check(directory)
    if ruleset is None:
        # The same problems as the service finds, but with the path from here.
        note(str(RuleFileInvalid(problems)))
        _end_with_errors(
            "the rule files cannot be used", "correct what is shown above; `handrail check` shows it again"
        )
    for name, text in texts.items():
        if any("\ud800" <= character <= "\udfff" for character in text):
            refuse(f"{directory}: {name} holds bytes that are no text", "save the file as UTF-8 text")
    service = service_at(url, key, data_dir)
    try:
        pushed = service.post("/rulesets", {"files": texts, "message": message})
    except ServiceRefused as refused:
        tell_of(refused)
        if refused.problem_code == "rules_invalid":
            _end_with_errors(refused.detail, refused.hint)
        raise
    failing = pushed["tests"]["failing"]
    if as_json:
        say_json(pushed)
    else:
        _say_pushed(pushed, directory, " ".join(message.split()), service)
    if failing:
        raise typer.Exit(EXIT_FINDINGS)


def history(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many versions.")] = HISTORY_LINES,
    steps: Annotated[bool, typer.Option("--steps", help="Show who did what and when instead.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List the versions of a service's rules, latest first: which one decides, who pushed it, and why.

    \b
    Examples:
      handrail history
      handrail history --steps
    """
    told = service_at(url, key, data_dir).get(f"/rulesets?limit={limit}")
    if as_json:
        say_json(told)
        return
    if steps:
        rows = [(moment(each["at_ms"]), each["actor"], _done(each), each["about"]) for each in told["steps"]]
        say_table("", ("when", "who", "what", "how"), rows)
        return
    if told["versions"]:
        say_table(
            "",
            ("version", "state", "author", "pushed", "rules", "tests", "hash", "message"),
            [_row(each) for each in told["versions"]],
            ("version", "rules"),
        )
    else:
        say('no version yet; `handrail push DIR -m "what changed"` makes one')
    if told["mode"] == "file":
        say("the service takes its rules from a directory: none of these decides")
    elif not told["active"]:
        say("the service's own rules decide: no version is active")


def stage(
    version: VersionArgument,
    shadow: Annotated[bool, typer.Option("--shadow", help="Judge every turn beside the active version.")] = False,
    rollout: Annotated[
        str | None, typer.Option("--rollout", help="Decide this share of the conversations.", metavar="PERCENT")
    ] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Stage it no longer.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Try a version: in shadow, or for a share of the conversations.

    In shadow it judges every turn once the answer is out, and decides none. In a rollout it decides its share of the
    conversations, always the same ones; raising the share only adds to them. Its tests must pass, and a rollout of
    rules with `approvals: 2` needs a second person.

    \b
    Examples:
      handrail stage 4 --shadow
      handrail stage 4 --rollout 10%
      handrail stage 4 --withdraw
    """
    if shadow + (rollout is not None) + withdraw != 1:
        refuse("give one of --shadow, --rollout PERCENT and --withdraw", "as `handrail stage 4 --shadow`")
    body: dict[str, Any] = {"mode": "shadow" if shadow else "withdrawn"}
    if rollout is not None:
        body = {"mode": "rollout", "percent": _percent(rollout)}
    service = service_at(url, key, data_dir)
    staged = _step(service, f"/rulesets/{version}/stage", body)
    if as_json:
        say_json(staged)
    elif shadow:
        say(f"version {version} is in shadow: it judges every turn and decides none")
        say(f"  `handrail shadow {version}` shows where it differs, `handrail stage {version} --rollout 10%` goes on")
    elif rollout is not None:
        say(f"version {version} decides {staged['percent']}% of the conversations, always the same ones")
        say(f"  raise it with --rollout, let it decide all with `handrail activate {version}`, or `handrail rollback`")
    else:
        say(f"version {version} is staged no longer")


def approve(
    version: VersionArgument,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Stand behind a version that somebody else has pushed.

    Rules that say `approvals: 2` need this before they decide any turn, and so does what shall take their place.
    Look at it first: `handrail diff active VERSION`.

    \b
    Example:
      handrail approve 4 --key $BENS_KEY
    """
    approved = service_at(url, key, data_dir).post(f"/rulesets/{version}/approve")
    if as_json:
        say_json(approved)
        return
    names = ", ".join(each["name"] for each in approved["approvals"])
    say(f"version {version} of {approved['author']} is approved by {names}")
    say(f"  `handrail activate {version}` lets it decide")


def activate(
    version: VersionArgument,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Let a version decide every turn, in every process within a second.

    Its tests must pass, and rules with `approvals: 2` need a second person. Turns that were decided keep their
    decisions.

    \b
    Example:
      handrail activate 4
    """
    service = service_at(url, key, data_dir)
    before = service.get("/rulesets?limit=1")["active"]
    active = _step(service, f"/rulesets/{version}/activate", {})
    if as_json:
        say_json(active)
    elif before == version:
        say(f"version {version} decides already")
    else:
        say(f"version {version} decides every turn from now on ({active['hash'][:HASH_CHARS]})")
        say(f"  `handrail rollback` returns to {_named(before)}")


def rollback(
    expect: Annotated[
        int | None, typer.Option("--expect", min=1, help="Only where this is the version to take back.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Take back the last step that decides turns.

    A rollout that is under way ends. Without one, the version that was active before decides again, and another
    rollback leads one further back. Two people at once take back one version, not two.

    \b
    Examples:
      handrail rollback
      handrail rollback --expect 4
    """
    service = service_at(url, key, data_dir)
    back = service.post("/rulesets/rollback", {"expect": expect if expect is not None else _to_take_back(service)})
    if as_json:
        say_json(back)
        return
    now = _named(back["active"])
    if back["was"] == "rollout":
        say(f"version {back['taken_back']} is taken back: its rollout has ended, and {now} decide all")
    else:
        say(f"version {back['taken_back']} is taken back: {now} decide again")


def _step(service: Service, path: str, body: dict[str, Any]) -> Any:
    """Take a step as long as nobody else has taken one since this command began."""
    revision = service.get("/rulesets?limit=1")["revision"]
    try:
        return service.post(path, {**body, "expect_revision": revision})
    except ServiceRefused as refused:
        tell_of(refused)
        raise


def _end_with_errors(fact: str, hint: str) -> NoReturn:
    """End the command as `handrail check` ends for files with errors: something was found, and told above."""
    note(f"error: {fact}\n       {hint}")
    raise typer.Exit(EXIT_FINDINGS)


def tell_of(refused: ServiceRefused) -> None:
    """Show what stands beside a refusal's sentence: problems of rule files, or tests that fail."""
    if refused.body.get("rendered"):
        note(f"{refused.body['rendered']}\n")


def _to_take_back(service: Service) -> int:
    told = service.get("/rulesets?limit=1")
    rolled_out = [each["version"] for each in told["versions"] if each["mode"] == "rollout"]
    return int(rolled_out[0] if rolled_out else told["active"])


def _say_pushed(pushed: dict[str, Any], directory: Path, message: str, service: Service) -> None:
    number, tests, warnings = pushed["version"], pushed["tests"], len(pushed["warnings"])
    if pushed["repeated"]:
        say(f"these files are version {number} already, pushed by {pushed['author']} {moment(pushed['at_ms'])}")
        if pushed["message"] != message:
            say(f"  a version never changes, so it keeps its message: {pushed['message'] or 'none'}")
    else:
        say(f"version {number}: {_count(pushed['rules'], 'rule')}, {pushed['hash'][:HASH_CHARS]}")
    if not tests["cases"]:
        say("  it has no tests: nothing shows that it does what you mean")
    elif tests["failing"]:
        say(f"  {tests['failing']} of {tests['cases']} tests failed, so it can be neither staged nor activated")
        say(f"  `handrail test {directory}` shows them")
        return
    else:
        say(f"  {_count(tests['cases'], 'test')} passed")
    if warnings:
        say(f"  {_count(warnings, 'warning')}: `handrail check {directory}` shows them")
    for line in _standing(pushed, service):
        say(f"  {line}")


def _standing(pushed: dict[str, Any], service: Service) -> tuple[str, ...]:
    """Return what a version does now, and what can be done with it."""
    number, lets_decide = pushed["version"], f"`handrail activate {pushed['version']}` lets it decide"
    if pushed["state"] == "active":
        return ("it is active: it decides every turn",)
    if service.get("/rulesets?limit=1")["mode"] == "file":
        return (
            "it is kept, and decides nothing: this service decides with a directory of rule files (`--rules`)",
            "edit the files there; without `--rules` versions can be staged and activated",
        )
    if pushed["approvals_needed"] > 1 and not pushed["approvals"]:
        lets_decide = f"once a second person ran `handrail approve {number}`, {lets_decide}"
    if pushed["mode"] == "rollout":
        return (f"it decides {pushed['percent']}% of the conversations, and {lets_decide} all of them",)
    if pushed["mode"] == "shadow":
        return (f"it is in shadow: `handrail shadow {number}` shows where it differs, {lets_decide}",)
    before = {
        "superseded": "it decided before, and decides nothing now",
        "rolled_back": "it decided, and was taken back",
    }
    return (
        f"{before.get(pushed['state'], 'it decides nothing yet')}: `handrail diff active {number}` shows what it would"
        " change,",
        f"`handrail stage {number} --shadow` tries it, {lets_decide}",
    )


def _row(version: dict[str, Any]) -> tuple[object, ...]:
    tests = version["tests"]
    passed = f"{tests['failing']} fail" if tests["failing"] else f"{tests['cases']} pass" if tests["cases"] else "none"
    return (
        version["version"],
        state_of(version),
        version["author"],
        moment(version["at_ms"]),
        version["rules"],
        passed,
        version["hash"][:HASH_CHARS],
        # One line, also of those that were pushed when a message could have several.
        " ".join(version["message"].split()),
    )


def state_of(version: dict[str, Any]) -> str:
    """Return what a version is now, in a word or two."""
    state = str(version["mode"] or version["state"]).replace("_", " ")
    if version["mode"] == "rollout":
        state += f" {version['percent']}%"
    if version["approvals"]:
        state += f", approved by {', '.join(each['name'] for each in version['approvals'])}"
    elif version["approvals_needed"] > 1 and version["state"] in ("pushed", "staged"):
        state += ", needs a second person"
    return state


def moment(at_ms: int) -> str:
    """Return a moment to the minute."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _done(step: dict[str, Any]) -> str:
    return f"{step['kind'].replace('_', ' ')} version {step['version']}"


def _named(version: int) -> str:
    return f"the rules of version {version}" if version else "the service's own rules"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _percent(written: str) -> int:
    found = PERCENT.fullmatch(written.strip())
    if found is None or not 1 <= int(found[1]) <= 100:
        refuse("`--rollout` is no share from 1% to 100%", "write it as `--rollout 10%`")
    return int(found[1])
