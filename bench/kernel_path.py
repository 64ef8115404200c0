"""What judging a whole turn costs: 200 rules of a rule file, from the turn's text to the sentences that explain it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any as Anything

from rules.compile.rule_files import files_or_raise
from rules.evaluation import explain, signals
from rules.evaluation.evaluate import Ruleset, build, evaluate, find_topics
from rules.evaluation.facts import Facts
from rules.history import remember
from rules.turn import AgentRef, Conversation, Customer, ToolCall, Turn

NOW_MS = 1_790_000_000_000
RULES = 200
# Rounds over all turns; the median of them is what is reported, so that a neighbour's burst does not count.
ROUNDS = 9

_TEXT = """account address amount answer bank bill branch call card charge city claim clerk colour date delivery desk
door email evening family flight friend garden house item kitchen letter market monday morning office order parcel phone
place plan price question quick reason red room shop street table ticket today tomorrow train week year"""
_WORDS = _TEXT.split()
_CHANNELS = ("chat", "voice", "mail", "sms")
_TIERS = ("free", "basic", "gold", "platinum")
_TOOLS = ("issue_refund", "cancel_order", "change_address", "lookup_order", "send_mail")


def rule_file(rules: int = RULES) -> str:
    """Return a rule file: of ten rules six about signals alone, two about the conversation, two about a tool call."""
    rng = random.Random(7)
    topics = [f"topic_{number}" for number in range(40)]
    lines = ["handrail: 1", "timezone: UTC", "topics:"]
    lines += [f"  {topic}: {{phrases: ['{' '.join(rng.sample(_WORDS, 2))}']}}" for topic in topics]
    lines += ["queues:", "  tier1: {answer_within: 15m, on_timeout: {verdict: callback, say: {en: We will call you.}}}"]
    lines.append("rules:")
    for number in range(rules):
        when = ", ".join(_parts(rng, number % 10, topics))
        verdict = rng.choice(("review", "hold", "escalate"))
        lines.append(f"  - {{id: r{number}, why: because, when: {{all: [{when}]}}, then: {{{verdict}: tier1}}}}")
    return "\n".join([*lines, ""])


def _parts(rng: random.Random, kind: int, topics: list[str]) -> list[str]:
    plain = [
        f"confidence < {rng.randint(20, 50) / 100}",
        f"sentiment < {rng.randint(-90, -50) / 100}",
        f"message_length > {rng.randint(260, 400)}",
        f"turn_count >= {rng.randint(8, 30)}",
        f"'channel in [{', '.join(rng.sample(_CHANNELS, 2))}]'",
        f"customer.tier = {rng.choice(_TIERS)}",
        f"topics has {rng.choice(topics)}",
        f"topics has {rng.choice(topics)}",
    ]
    rng.shuffle(plain)
    if kind in (6, 7):
        aggregate = rng.choice(
            (
                f"streak(confidence < {rng.randint(30, 60) / 100}) >= {rng.randint(2, 3)}",
                f"count(topics has {rng.choice(topics)}) over 10 turns >= 2",
                f"avg(sentiment) over 10m < {rng.randint(-80, -50) / 100}",
                f"min(confidence) over {rng.randint(3, 20)} turns < 0.2",
            )
        )
        return [aggregate, *plain[:1]]
    if kind in (8, 9):
        asked = f"name = {rng.choice(_TOOLS)}, amount_usd > {rng.randint(50, 400)}, status = proposed"
        return [f"{{tool_call: {{all: [{asked}]}}}}", *plain[:1]]
    return plain[: rng.choice((2, 3, 3, 4))]


def turn_of(rng: random.Random, number: int) -> Turn:
    """Return a turn with a message and a draft of 40 words each; one in four proposes a tool call."""
    name, amount = rng.choice(_TOOLS), round(rng.lognormvariate(4.5, 1), 2)
    call = ToolCall(name, {"order": "W1", "amount": amount}, True, amount)
    return Turn(
        conversation_id=f"conversation-{number % 10}",
        turn_id=f"turn-{number}",
        agent=AgentRef("shop-agent", "1.4"),
        channel=rng.choice(_CHANNELS),
        locale="en",
        customer=Customer("c1", rng.choice(_TIERS)),
        message=" ".join(rng.choices(_WORDS, k=40)),
        reply=" ".join(rng.choices(_WORDS, k=40)),
        confidence=round(rng.betavariate(5, 2), 3),
        sentiment=round(rng.triangular(-1, 1, 0.2), 3),
        tool_calls=(call,) if rng.random() < 0.25 else (),
        sources=("faq/3", "faq/9"),
    )


def cases(ruleset: Ruleset, turns: int) -> list[tuple[Turn, Conversation, int]]:
    """Return turns with the conversations that came before them, 20 s apart, up to 20 remembered turns each."""
    rng = random.Random(11)
    made: list[tuple[Turn, Conversation, int]] = []
    conversations: dict[str, Conversation] = {}
    for number in range(turns):
        turn, now_ms = turn_of(rng, number), NOW_MS + 2_000 * number
        conversation = conversations.get(turn.conversation_id, Conversation(turn.conversation_id))
        made.append((turn, conversation, now_ms))
        conversations[turn.conversation_id] = remember(
            conversation, evaluate(ruleset, turn, conversation, now_ms).record
        )
    return made


def measure(turns: int = 200) -> dict[str, float]:
    """Return the median cost in µs of each step of judging a turn, and how many rules fire."""
    ruleset = build(files_or_raise({"bench.yaml": rule_file()}))
    prepared = cases(ruleset, turns)
    found = [find_topics(ruleset.matcher, turn) for turn, _, _ in prepared]
    values = [
        signals.read(ruleset.files, turn, conversation, now_ms, evidence)
        for (turn, conversation, now_ms), evidence in zip(prepared, found, strict=True)
    ]
    evaluations = [evaluate(ruleset, turn, conversation, now_ms) for turn, conversation, now_ms in prepared]
    steps: dict[str, Callable[[int], Anything]] = {
        "find_topics": lambda n: find_topics(ruleset.matcher, prepared[n][0]),
        "signals.read": lambda n: signals.read(ruleset.files, *prepared[n], found[n]),
        "index": lambda n: ruleset.index.fired(Facts(values[n], *prepared[n])),
        "evaluate, all of it": lambda n: evaluate(ruleset, *prepared[n]),
        "explain": lambda n: explain.fired(ruleset, evaluations[n]),
    }
    costs = {name: _median_us(step, turns) for name, step in steps.items()}
    fired = [len(evaluation.rules) + len(evaluation.shadow) for evaluation in evaluations]
    return costs | {"rules": float(RULES), "fired_mean": sum(fired) / turns, "turns_with_one_fired": _share(fired)}


def _share(fired: list[int]) -> float:
    return sum(1 for count in fired if count) / len(fired)


def _median_us(step: Callable[[int], Anything], turns: int) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for number in range(turns):
            step(number)
        rounds.append((time.process_time() - started) / turns * 1e6)
    return median(rounds)
