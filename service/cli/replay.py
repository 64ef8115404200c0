"""`handrail replay`: recorded conversations through a rule directory, and what would have come of it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from rules.agents.page import target_text
from rules.compile.budget import percent_of_budget
from rules.evaluation.evaluate import Ruleset
from rules.replay.agent_scores import AgentScore
from rules.replay.conversations import Played, RuleScore, Scores, SignalsSeen, play, score
from rules.replay.scorecards import Rate
from rules.replay.transcripts import SYNTHETIC_TURN_MS, TRUTHS, Recorded
from rules.routing.shedding import Pressures
from service import rule_files
from service.cli.conversation_files import files_of
from service.cli.counted_once import Once, files_once
from service.cli.named_rules import Where
from service.cli.output import JsonFlag, note, progress, refuse, say, say_json, say_table
from service.cli.replay_options import (
    AgainstOption,
    AgentKeyOption,
    ConversationsArgument,
    LimitOption,
    ManagerKeyOption,
    Options,
    OverHttpOption,
    PressureOption,
    RulesArgument,
    TruthOption,
    WriteLogOption,
)
from service.cli.replay_over_http import CONCURRENCY_MAX, HttpPlay, play_over_http
from service.cli.service_client import DataDirOption, UrlOption

RATES: tuple[tuple[str, str], ...] = (
    ("precision", "of the stopped conversations, those that needed a person"),
    ("recall", "of those that needed a person, those that were stopped"),
    ("bad_writes_stopped", "of those with a write that was wrong, those stopped at that turn or before"),
    ("load", "of those that needed nobody, those that were stopped all the same"),
)


def replay(
    rules: RulesArgument,
    paths: ConversationsArgument,
    against: AgainstOption = None,
    truth: TruthOption = None,
    limit: LimitOption = None,
    pressure: PressureOption = None,
    over_http: OverHttpOption = None,
    key: AgentKeyOption = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=CONCURRENCY_MAX, help="Conversations at a time, over HTTP.")
    ] = 16,
    write_log: WriteLogOption = None,
    url: UrlOption = None,
    manager_key: ManagerKeyOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonFlag = False,
) -> None:
    """See what rules would have done with recorded conversations.

    Every agent turn goes through the real engine in order, before its result was known, until a turn is answered with
    `hold` or `escalate`. Labels in a file are used for counting only, never shown to a rule. Every rate comes with its
    count and a 95 % interval; what nobody labelled is UNLABELLED, and a rule whose signals never occur in the file is
    NO_MATCHING_DATA, which is not the same as quiet. How full queues were then nobody recorded: `--pressure` assumes it
    and shows what `when_busy` sheds, and without it nothing is shed.

    \b
    Examples:
      handrail replay rules/library conversations.jsonl.gz
      handrail replay my-rules service/cli/samples --json | jq .recall
      handrail replay my-rules calls.jsonl --pressure tier1=150%
      handrail replay my-rules calls.jsonl --over-http http://127.0.0.1:8321 --key $KEY
      handrail replay my-rules conversations.jsonl.gz --against active
      handrail replay 4 turn-log --against 3 --json | jq .new.stretches
    """
    _refuse_together(against, truth, pressure, over_http, write_log)
    if against is not None:
        options = Options(truth, limit, write_log, as_json)
        _against(str(rules), against, paths, options, Where(url, manager_key, data_dir))
        return
    ruleset = rule_files.load(rules)
    pressures = _pressures(pressure or [], ruleset)
    files, once = files_once(files_of(paths)), Once()
    seen = SignalsSeen()
    over: HttpPlay | None = None
    if over_http is None:
        scores, elapsed_s = _score_here(ruleset, _recorded(once, files, limit), seen, truth, pressures)
    else:
        over = _over_http(ruleset, list(_recorded(once, files, limit)), seen, over_http, key, concurrency)
        scores, elapsed_s = score(ruleset, over.played, seen, truth), over.elapsed_s
    if not scores.conversations:
        refuse("the files hold no conversation", "name files with at least one row")
    once.tell()
    if as_json:
        say_json(as_json_of(scores, rules, files, elapsed_s, over) | {"pressure": dict(pressures)})
    else:
        _print(scores, rules, files, elapsed_s, over)
        if ruleset.files.budgets:
            say()
            say(_shed_text(scores, pressures, over))


def _refuse_together(
    against: str | None, truth: str | None, pressure: list[str] | None, over_http: str | None, write_log: Path | None
) -> None:
    if truth is not None and truth not in TRUTHS:
        refuse(f"`--truth` is none of {', '.join(TRUTHS)}", "these are the labels that a row can carry")
    if pressure and (against is not None or over_http is not None):
        hint = "leave `--pressure` out: `--against` sheds nothing, and a service sheds by how full its own queues are"
        refuse("`--pressure` is assumed of one ruleset in this process", hint)
    if against is not None and over_http is not None:
        refuse("`--over-http` asks one ruleset, `--against` compares two", "leave one of them out")
    if against is None and write_log is not None:
        refuse("`--write-log` goes with `--against`", "name the rules whose topics the log should know")


def _pressures(given: list[str], ruleset: Ruleset) -> dict[str, int]:
    """Return how full queues are assumed to be, in percent of their budgets."""
    found: dict[str, int] = {}
    for word in given:
        queue, _, share = word.partition("=")
        percent = percent_of_budget(share)
        if percent is None:
            refuse(f"`--pressure {word}` names no queue and its share of a budget", "as `--pressure tier1=150%`")
        if queue not in ruleset.files.budgets:
            known = ", ".join(sorted(ruleset.files.budgets)) or "none"
            refuse(f"the rules give no budget to a queue `{queue}`", f"queues with a budget: {known}")
        found[queue] = percent
    return found


def _shed_text(scores: Scores, pressures: Pressures, over: HttpPlay | None) -> str:
    """Return under which pressure was judged, and what that shed."""
    if over is not None:
        return "shed: by how full the queues of the service were"
    if not pressures:
        return "shed: nothing, as no queue was taken to be over its budget; `--pressure` assumes one"
    full = ", ".join(f"{queue} at {percent}%" for queue, percent in pressures.items())
    rules = ", ".join(f"{rule.rule_id} on {rule.shed_turns:,}" for rule in scores.rules if rule.shed_turns)
    return f"shed with {full} of its budget: {scores.turns_shed:,} turns" + (f" ({rules})" if rules else "")


def _against(candidate: str, active: str, paths: list[Path], options: Options, where: Where) -> None:
    # The engine for columns is loaded by whoever compares, and by nobody else.
    against = import_module("service.cli.replay_against")
    against.replay_against(candidate, active, paths, options, where)


def _recorded(once: Once, files: list[Path], limit: int | None) -> Iterator[Recorded]:
    return itertools.islice(once.of(files), limit)


def _score_here(
    ruleset: Ruleset, recorded: Iterator[Recorded], seen: SignalsSeen, truth: str | None, pressures: Pressures
) -> tuple[Scores, float]:
    """Play and count one conversation after another, so that a file of any length fits; reading is not timed."""
    elapsed_s = 0.0

    def played() -> Iterator[Played]:
        nonlocal elapsed_s
        for each in recorded:
            started_s = time.perf_counter()
            done = play(ruleset, each, seen, pressures)
            elapsed_s += time.perf_counter() - started_s
            bar.advance(bar.task_ids[0])
            yield done

    with progress("replaying", None) as bar:
        scores = score(ruleset, played(), seen, truth)
    return scores, elapsed_s


def _over_http(
    ruleset: Ruleset, recorded: list[Recorded], seen: SignalsSeen, url: str, key: str | None, concurrency: int
) -> HttpPlay:
    # The service does not tell what was unknown to it; the same turns say so here.
    local = [play(ruleset, each, seen) for each in recorded]
    with progress("replaying over HTTP", len(recorded)) as bar:
        over = asyncio.run(play_over_http(url, key, recorded, concurrency, lambda: bar.advance(bar.task_ids[0])))
    if over.rulesets - {ruleset.hash}:
        note("warning: the service decides by other rule files than RULES; counts are the service's, names are RULES'")
    differing = sum(
        [step.verdict for step in mine.steps] != [step.verdict for step in theirs.steps]
        for mine, theirs in zip(local, over.played, strict=True)
    )
    if differing:
        note(f"warning: {differing} conversations were decided otherwise than in this process; see docs/replay.md")
    return over


def as_json_of(
    scores: Scores, rules: Path, files: list[Path], elapsed_s: float, over: HttpPlay | None
) -> dict[str, object]:
    """Return what `--json` prints."""
    return {
        "rules_path": rules.as_posix(),
        "files": [file.as_posix() for file in files],
        "ruleset": scores.ruleset,
        "over_http": None if over is None else {"url": over.url, "run": over.run},
        "conversations": scores.conversations,
        "turns": scores.turns,
        "turns_recorded": scores.turns_recorded,
        "turns_per_second": round(scores.turns / elapsed_s, 1) if elapsed_s > 0 else None,
        "elapsed_ms": round(elapsed_s * 1000, 1),
        "synthetic_clocks": scores.synthetic_clocks,
        "labels": "LABELLED" if scores.labelled else "UNLABELLED",
        "truth": dict(scores.truths),
        "verdicts": dict(scores.verdicts),
        "turns_shed": scores.turns_shed,
        "stopped": scores.stopped.as_json(),
        **{name: _rate(scores, name).as_json() for name, _ in RATES},
        "rules": [_rule_json(rule) for rule in scores.rules],
        "agents": [_agent_json(agent) for agent in scores.agents],
    }


def _agent_json(agent: AgentScore) -> dict[str, object]:
    return {
        "agent": agent.agent,
        "escalated": agent.escalated.as_json(),
        "held": agent.held,
        "target": agent.target,
        "state": agent.state,
    }


def _rule_json(rule: RuleScore) -> dict[str, object]:
    return {
        "rule_id": rule.rule_id,
        "verdict": rule.verdict,
        "live_percent": rule.live_percent,
        "status": rule.status,
        "turns": rule.turns,
        "conversations": rule.conversations,
        "shadow_turns": rule.shadow_turns,
        "shed_turns": rule.shed_turns,
        "stopped": rule.stopped,
        "needed": rule.needed.as_json(),
    }


def _print(scores: Scores, rules: Path, files: list[Path], elapsed_s: float, over: HttpPlay | None) -> None:
    named = ", ".join(file.name for file in files)
    say(f"{named} against {rules} (ruleset {scores.ruleset[:12]})" + (f", over {over.url}" if over else ""))
    left = scores.turns_recorded - scores.turns
    say(
        f"{scores.turns:,} turns of {scores.conversations:,} conversations; {left:,} more came after a stop; "
        f"{scores.turns / elapsed_s:,.0f} turns a second"
    )
    if scores.synthetic_clocks and over is None:
        say(
            f"no times in {scores.synthetic_clocks:,} conversations: "
            f"a clock of {SYNTHETIC_TURN_MS // 1000} s a turn stands in"
        )
    say()
    shares = (
        (verdict, count, f"{count / scores.turns:.1%}" if scores.turns else "")
        for verdict, count in scores.verdicts.items()
    )
    say_table("decisions", ("verdict", "turns", "share"), shares, numbers=("turns", "share"))
    say()
    say(f"stopped {scores.stopped}")
    if scores.labelled:
        say("labels: " + ", ".join(f"{name} in {count:,} conversations" for name, count in scores.truths.items()))
    else:
        say("labels: UNLABELLED; no conversation says whether a person was needed, so these rates are unknown")
    say_table("rates", ("rate", "value", "what it is"), ((n, _rate(scores, n), about) for n, about in RATES))
    say()
    columns = ("rule", "verdict", "status", "turns", "conversations", "shadow turns", "stopped", "needed")
    say_table("rules", columns, (_rule_row(rule) for rule in scores.rules), numbers=columns[3:7])
    if scores.agents:
        say()
        heads = ("agent", "escalated", "held first", "target", "state")
        say_table("agents", heads, map(_agent_row, scores.agents), numbers=("held first", "target"))


def _agent_row(agent: AgentScore) -> tuple[object, ...]:
    target = "" if agent.target is None else target_text("escalation_rate", agent.target)
    return (agent.agent, agent.escalated, agent.held, target, agent.state or "")


def _rule_row(rule: RuleScore) -> tuple[object, ...]:
    mode = "" if rule.live_percent == 100 else " (shadow)" if rule.live_percent == 0 else f" ({rule.live_percent} %)"
    needed = str(rule.needed) if rule.needed.of else ""
    return (
        rule.rule_id,
        rule.verdict + mode,
        rule.status,
        rule.turns,
        rule.conversations,
        rule.shadow_turns,
        rule.stopped,
        needed,
    )


def _rate(scores: Scores, name: str) -> Rate:
    rate = getattr(scores, name)
    assert isinstance(rate, Rate)  # noqa: S101  (RATES names fields of Scores; a test reads every one)
    return rate
