"""`handrail demo`: a whole Handrail for half a minute, with agents that ask it and operators who answer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from handrail_client import AsyncHandrail, HandrailError
from rules.model import STOPPING
from rules.replay.conversations import Played, SignalsSeen, Step, play, score
from rules.replay.transcripts import Recorded
from service import rule_files
from service.cli.conversation_files import SAMPLES, conversations, files_of
from service.cli.demo_people import BUDGET_MS, Ledger, agent, operator
from service.cli.demo_scoreboard import Scoreboard
from service.cli.demo_service import DemoService, demo_service
from service.cli.output import EXIT_FINDINGS, JsonFlag, first_of, note, progress, refuse, say_json
from service.cli.replay_over_http import known_verdict

OPERATORS = ("mia", "tom", "ana", "raj", "eva", "leo", "ida", "sam")
AGENTS_MAX = 64
REST_WAIT_S_MAX = 45.0  # for operators to end what is still open once the agents are done


def demo(
    agents: Annotated[int, typer.Option("--agents", min=1, max=AGENTS_MAX, help="Agents at a time.")] = 8,
    operators: Annotated[int, typer.Option("--operators", min=1, max=len(OPERATORS), help="Operators at a time.")] = 3,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="Directory of rule files.  [default: the library]")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option("--conversations", help="Conversations to hold.  [default: the shipped samples]")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Keep the data here.  [default: a directory that is removed]")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Watch Handrail at work: the real service, agents, operators, and a scoreboard.

    Starts a service of its own with its worker and its server, lets several agents hold the sample conversations,
    lets operators claim, answer, resolve and hand back, and counts what came of it. Nothing of an existing
    installation is touched. Exit code 1 when anything was lost.

    \b
    Examples:
      handrail demo
      handrail demo --agents 32 --operators 1
      handrail demo --json | jq .lost
    """
    ruleset = rule_files.load(rules or rule_files.LIBRARY)
    recorded = [each for file in files_of([samples or SAMPLES]) for each in conversations(file)]
    note(f"starting a service for {len(recorded)} conversations …")
    started_s = time.perf_counter()
    names = OPERATORS[:operators]
    try:
        ledger, still_open = asyncio.run(_run(recorded, agents, names, rules, data_dir))
    except (asyncio.CancelledError, HandrailError, BaseExceptionGroup) as ended:
        first = first_of(ended) if isinstance(ended, BaseExceptionGroup) else ended
        if isinstance(first, asyncio.CancelledError):
            refuse("the demo was told to stop", "nothing of it is left behind")
        if isinstance(first, HandrailError):
            refuse(f"the demo's own service refused or did not answer: {first}", "`--data-dir` keeps its serve.log")
        raise
    elapsed_ms = round((time.perf_counter() - started_s) * 1000)
    seen = SignalsSeen()
    for each in recorded:
        play(ruleset, each, seen)
    scores = score(ruleset, [_played(each, ledger) for each in recorded], seen)
    board = Scoreboard(ledger, scores, len(recorded), still_open, elapsed_ms, agents, operators)
    if as_json:
        say_json(board.as_json())
    else:
        board.print()
    if any(board.lost.values()):
        raise typer.Exit(EXIT_FINDINGS)


async def _run(
    recorded: list[Recorded], agents: int, names: tuple[str, ...], rules: Path | None, data_dir: Path | None
) -> tuple[Ledger, tuple[str, ...]]:
    task = asyncio.current_task()
    with contextlib.suppress(NotImplementedError):  # not on Windows
        # Told to stop, the demo must not leave its service behind.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: task.cancel() if task else None)
    async with demo_service(data_dir, rules, names) as service:
        ledger = Ledger({})
        await _people(service, recorded, agents, ledger)
        return ledger, await _still_open(service, ledger)


async def _people(service: DemoService, recorded: list[Recorded], agents: int, ledger: Ledger) -> None:
    # A run of its own: in a directory that is kept, the same conversation is held again under another id.
    run = f"demo-{secrets.token_hex(4)}"
    agents_done = asyncio.Event()
    waiting = iter(recorded)
    with progress("conversations", len(recorded)) as bar:
        async with asyncio.TaskGroup() as people:
            for number, (name, key) in enumerate(service.operator_keys.items()):
                people.create_task(_operate(service.url, key, name, ledger, agents_done, random.Random(number)))
            client = AsyncHandrail(service.url, service.agent_key, budget_ms=BUDGET_MS)
            async with client as handrail, asyncio.TaskGroup() as talking:
                for _ in range(agents):
                    talking.create_task(agent(handrail, run, waiting, ledger, lambda: bar.advance(bar.task_ids[0])))
            agents_done.set()


async def _operate(
    url: str, key: str, name: str, ledger: Ledger, agents_done: asyncio.Event, chance: random.Random
) -> None:
    async with AsyncHandrail(url, key, budget_ms=BUDGET_MS) as handrail:
        working = asyncio.create_task(operator(handrail, name, ledger, agents_done, chance))
        await agents_done.wait()
        await asyncio.wait({working}, timeout=REST_WAIT_S_MAX)
        if not working.done():
            working.cancel()
            ledger.failures.append(f"{name}: still at work {REST_WAIT_S_MAX:.0f} s after the agents")
        else:
            working.result()


async def _still_open(service: DemoService, ledger: Ledger) -> tuple[str, ...]:
    """Ask the service itself which of the handoffs that anybody saw have not ended."""
    async with AsyncHandrail(service.url, service.agent_key) as handrail:
        seen = [await handrail.handoff(handoff_id) for handoff_id in ledger.handoffs]
    return tuple(handoff.id for handoff in seen if not handoff.ended)


def _played(recorded: Recorded, ledger: Ledger) -> Played:
    """Return the conversation up to its first stop: that is what the labels speak of."""
    steps: list[Step] = []
    for decision in ledger.decisions.get(recorded.conversation_id, []):
        steps.append(Step(known_verdict(decision.verdict), tuple(rule.id for rule in decision.rules)))
        if steps[-1].verdict in STOPPING:
            break
    return Played(recorded, tuple(steps))
