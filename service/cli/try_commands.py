"""The commands that can be typed in `handrail try`, as one table, and what each does to the session."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from rules.cases.case_files import TURN_GAP_MS
from rules.compile.budget import percent_of_budget
from rules.evaluation.call_values import read_as
from rules.evaluation.signal_table import CUSTOMER_PREFIX, SIGNALS
from rules.evaluation.wording import unit_of, value_text
from rules.files.grammar import duration_ms, number_of
from rules.files.schema_kinds import LANGUAGE_PATTERN
from rules.model import SignalType
from rules.turn import AgentRef, Customer, Scalar, ToolCall, TopicScore, Value
from service.cli.try_session import Mistake, Session, Told, did_you_mean

LOCALE = re.compile(LANGUAGE_PATTERN)
STATUSES = ("proposed", "ok", "error")
_WORDS: Mapping[str, bool] = {"true": True, "false": False, "yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Done:
    """What a command leaves to be shown: a step that was played, a line, or lines that were asked for."""

    told: Told | None = None
    line: str = ""
    lines: tuple[str, ...] = ()
    leave: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One row: how it is typed, what it does in a sentence, and how it is done."""

    usage: str
    about: str
    act: Callable[[Session, str], Done]


def run(session: Session, line: str) -> Done:
    """Do what the line says: a command after `/`, anything else is a customer's message. Raises Mistake."""
    if not line.startswith("/") or line.startswith("//"):
        return Done(session.say(line.removeprefix("/")))
    name, _, rest = line[1:].partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        did_you_mean(name, COMMANDS, f"there is no command /{name}", "/help shows them; `//` begins a message with `/`")
    return command.act(session, rest.strip())


def _number(session: Session, name: str, given: str) -> float:
    spec = SIGNALS[name]
    number = number_of(given)
    low, high = spec.low or 0.0, spec.high or 1.0
    if number is None or not low <= number <= high:
        raise Mistake(f"{name} is a number from {low:g} to {high:g}", f"as /{name} {(low + high) / 2 + 0.4:g}")
    return float(number)


def _confidence(session: Session, given: str) -> Done:
    session.next.confidence = _number(session, "confidence", given)
    return Done(line=f"the next turn has confidence {given}")


def _sentiment(session: Session, given: str) -> Done:
    session.next.sentiment = _number(session, "sentiment", given)
    return Done(line=f"the next turn has sentiment {given}")


def _reply(session: Session, given: str) -> Done:
    session.next.reply = _needed(given, "what the agent drafts", "/reply Your parcel arrives on Monday.")
    return Done(line="the next turn has this draft")


def _topic(session: Session, given: str) -> Done:
    topics = session.names.topics
    if given not in topics:
        did_you_mean(given, topics, f"the rules know no topic `{given}`", "the topics: " + ", ".join(topics))
    session.next.topics = (*session.next.topics, TopicScore(given))
    return Done(line=f"the next turn has the topic `{given}`, as if the agent's own classifier had found it")


def _source(session: Session, given: str) -> Done:
    source = _needed(given, "what the draft rests on", "/source faq/returns")
    session.next.sources = (*(session.next.sources or ()), source)
    return Done(line=f"the draft of the next turn rests on {len(session.next.sources)} sources")


def _tool(session: Session, given: str) -> Done:
    words = _split(_needed(given, "the name of a tool", "/tool issue_refund amount_usd=300 write=true"))
    call = ToolCall(words[0])
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not equals:
            raise Mistake(f"`{word}` is no `name=value`", "as /tool issue_refund amount_usd=300 order_id=A-1")
        call = _with_field(call, key, value)
    session.next.calls = (*session.next.calls, call)
    return Done(line=f"the next turn has {_count(len(session.next.calls), 'tool call')}: `{call.name}`, {call.status}")


def _with_field(call: ToolCall, key: str, value: str) -> ToolCall:
    """Return the call with one more of its fields, or one more argument."""
    if key in ("amount_usd", "amount"):
        number = number_of(value)
        if number is None or not math.isfinite(number):
            raise Mistake(f"`{key}` is a number of dollars", "as amount_usd=300")
        return replace(call, amount=float(number))
    if key == "write":
        if value not in _WORDS:
            raise Mistake("`write` is true or false", "as write=true")
        return replace(call, write=_WORDS[value])
    if key == "status":
        if value not in STATUSES:
            raise Mistake("a call is proposed, ok or error", "as status=ok")
        return replace(call, status=value)  # type: ignore[arg-type]  # one of STATUSES
    if key == "error":
        return replace(call, error=value, status="error")
    if key == "output":
        return replace(call, output=value, status="ok" if call.status == "proposed" else call.status)
    return replace(call, args={**call.args, key: _plain(value)})


def _signal(session: Session, given: str) -> Done:
    name, _, value = given.partition(" ")
    declared = {name: kind for name, kind in session.names.signals.items() if not _is_customers(name)}
    if name not in declared:
        known = ", ".join(sorted(declared)) or "none"
        did_you_mean(name, declared, f"the rules declare no signal `{name}`", f"declared signals: {known}")
    session.next.signals[name] = _declared(name, declared[name], value.strip())
    return Done(line=f"the next turn has {name} {value.strip()}")


def _customer(session: Session, given: str) -> Done:
    declared = {
        name.removeprefix(CUSTOMER_PREFIX): kind for name, kind in session.names.signals.items() if _is_customers(name)
    }
    customer = session.standing.customer
    for word in _split(_needed(given, "`name=value`", "/customer tier=gold")):
        key, _, value = word.partition("=")
        if key == "id":
            customer = replace(customer, id=value)
        elif key == "tier":
            customer = replace(customer, tier=value)
        elif key in declared:
            found = _declared(f"{CUSTOMER_PREFIX}{key}", declared[key], value)
            if isinstance(found, Scalar):
                customer = replace(customer, attributes={**customer.attributes, key: found})
        else:
            known = ["id", "tier", *declared]
            did_you_mean(key, known, f"customers have no `{key}`", "known: " + ", ".join(known))
    session.standing.customer = customer
    return Done(line="the customer from now on: " + _customer_text(customer))


def _agent(session: Session, given: str) -> Done:
    words = _split(_needed(given, "the agent's id", "/agent support-bot 4.2.0"))
    session.standing.agent = AgentRef(words[0], words[1] if len(words) > 1 else None)
    known = session.names.agents
    unknown = f"; the rules describe no agent `{words[0]}`" if known and words[0] not in known else ""
    return Done(line=f"the agent from now on: {' '.join(words[:2])}{unknown}")


def _locale(session: Session, given: str) -> Done:
    if not LOCALE.fullmatch(_needed(given, "a language", "/locale es-MX")):
        raise Mistake(f"`{given}` is no locale", "write the tag of a language, as /locale es or /locale es-MX")
    session.standing.locale = given
    return Done(line=f"the customer's locale from now on: {given}")


def _channel(session: Session, given: str) -> Done:
    session.standing.channel = _needed(given, "a channel", "/channel voice")
    return Done(line=f"the channel from now on: {given}")


def _pressure(session: Session, given: str) -> Done:
    words = given.split()
    budgets = session.names.budgets
    if len(words) != 2:
        raise Mistake("this needs a queue and how full it is", "as /pressure tier1 150%")
    queue, percent = words[0], percent_of_budget(words[1])
    if queue not in budgets:
        known = "queues with a budget: " + (", ".join(budgets) or "none")
        did_you_mean(queue, budgets, f"the rules give no budget to a queue `{queue}`", known)
    if percent is None:
        raise Mistake(f"`{words[1]}` is no share of a budget", "as /pressure tier1 150%")
    session.standing.pressures[queue] = percent
    return Done(line=f"`{queue}` is at {percent}% of its budget from now on")


def _after(session: Session, given: str) -> Done:
    return Done(session.move(None, _span_ms(given)))


def _move(move: str) -> Callable[[Session, str], Done]:
    def act(session: Session, given: str) -> Done:
        return Done(session.move(move, _span_ms(given) if given else TURN_GAP_MS))

    return act


def _transfer(session: Session, given: str) -> Done:
    queues = session.names.queues
    if given not in queues:
        known = "the queues: " + ", ".join(queues)
        did_you_mean(given, queues, f"the rules have no queue `{given}`", known)
    return Done(session.move("transfer", TURN_GAP_MS, {"queue": given}))


def _timeout(session: Session, given: str) -> Done:
    _nothing(given, "timeout")
    return Done(session.move("timeout", 0))


def _at(session: Session, given: str) -> Done:
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(session.names.timezone))
        at_ms = int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Mistake(f"`{given}` is no moment", "as /at 2026-03-02T22:15") from None
    session.begin_at(at_ms)
    return Done(line=f"the conversation begins {moment:%A, %d %B %Y, %H:%M}")


def _undo(session: Session, given: str) -> Done:
    _nothing(given, "undo")
    return Done(line=f"taken back; {_count(session.undo(), 'step')} left")


def _reset(session: Session, given: str) -> Done:
    _nothing(given, "reset")
    session.reset()
    return Done(line="a new conversation")


def _send(session: Session, given: str) -> Done:
    return Done(session.say(given or None))


def _signals(session: Session, given: str) -> Done:
    _nothing(given, "signals")
    found = session.signals()
    if found is None:
        raise Mistake("there is no turn yet", "type what a customer writes first")
    told = {name: frozenset(value) if isinstance(value, list) else value for name, value in found.items()}
    known = (f"{name} = {value_text(value, unit_of(name))}" for name, value in told.items() if value is not None)
    return Done(lines=(*known, "unknown: " + ", ".join(name for name, value in told.items() if value is None)))


def _packet(session: Session, given: str) -> Done:
    _nothing(given, "packet")
    packet = session.packet()
    if packet is None:
        raise Mistake("there was no handoff yet, so nobody reads a packet")
    return Done(lines=tuple(json.dumps(packet, ensure_ascii=False, indent=2).splitlines()))


def _save(session: Session, given: str) -> Done:
    words = _split(_needed(given, "a file", '/save refunds.tests.yaml "a big refund waits"'))
    path = session.save(words[0], " ".join(words[1:]) or f"tried: {_count(len(session.case.steps), 'step')}")
    saved, root = f"saved as a test that passes: {path}", session.rules.root
    if path.resolve().is_relative_to(root.resolve()):
        return Done(line=saved)
    return Done(lines=(saved, f"it lies outside {root}, so `handrail test {root}` does not run it"))


def _help(session: Session, given: str) -> Done:
    del session
    name = given.removeprefix("/")
    if name:
        command = COMMANDS.get(name)
        if command is None:
            did_you_mean(name, COMMANDS, f"there is no command /{name}", "/help shows them")
        return Done(lines=(f"  {command.usage}", f"  {command.about}"))
    width = max(len(command.usage) for command in COMMANDS.values())
    lines = [f"  {command.usage:<{width}}  {command.about}" for command in COMMANDS.values()]
    return Done(lines=("Type what a customer writes, and see what is decided. Or:", *lines))


def _quit(session: Session, given: str) -> Done:
    del session
    _nothing(given, "quit")
    return Done(leave=True)


COMMANDS: dict[str, Command] = {
    "confidence": Command("/confidence 0.4", "how sure the agent is of the next turn", _confidence),
    "sentiment": Command("/sentiment -0.7", "how the customer feels in the next turn, -1 to 1", _sentiment),
    "reply": Command("/reply TEXT", "what the agent drafts in the next turn", _reply),
    "tool": Command("/tool issue_refund amount_usd=300", "a call of the next turn; also write= status= output=", _tool),
    "topic": Command("/topic NAME", "a topic that the agent's own classifier found", _topic),
    "source": Command("/source NAME", "a source that the draft rests on", _source),
    "signal": Command("/signal NAME VALUE", "a signal that the rule files declare, in the next turn", _signal),
    "send": Command("/send", "play a turn without a message: a draft or a tool call alone", _send),
    "agent": Command("/agent ID [VERSION]", "which agent speaks from now on", _agent),
    "customer": Command("/customer tier=gold", "who the customer is from now on", _customer),
    "locale": Command("/locale es-MX", "the customer's locale from now on", _locale),
    "channel": Command("/channel voice", "the channel from now on", _channel),
    "pressure": Command("/pressure QUEUE 150%", "how full a queue with a budget is from now on", _pressure),
    "at": Command("/at 2026-03-02T22:15", "when the conversation begins", _at),
    "after": Command("/after 10m", "let time go by; a turn comes 30 s after the one before", _after),
    "claim": Command("/claim", "an operator takes the handoff", _move("claim")),
    "release": Command("/release", "the operator puts it back into its queue", _move("release")),
    "transfer": Command("/transfer QUEUE", "the operator sends it on to another queue", _transfer),
    "lapse": Command("/lapse", "the operator goes silent, and it waits again", _move("lapse")),
    "hand-back": Command("/hand-back", "the operator gives the conversation back to the agent", _move("hand_back")),
    "resolve": Command("/resolve", "the operator answers and ends the handoff", _move("resolve")),
    "timeout": Command("/timeout", "nobody comes until the deadline", _timeout),
    "signals": Command("/signals", "all that is known of the last turn", _signals),
    "packet": Command("/packet", "what an operator reads who takes the handoff now", _packet),
    "undo": Command("/undo", "take back the last step", _undo),
    "reset": Command("/reset", "begin a new conversation", _reset),
    "save": Command('/save FILE.tests.yaml "NAME"', "write the conversation down as a test, beside the rules", _save),
    "help": Command("/help [COMMAND]", "show this", _help),
    "quit": Command("/quit", "leave; Ctrl-D does too", _quit),
}


def _needed(given: str, what: str, example: str) -> str:
    if not given:
        raise Mistake(f"this needs {what}", f"as {example}")
    return given


def _nothing(given: str, name: str) -> None:
    if given:
        raise Mistake(f"/{name} stands alone", f"type /{name}")


def _split(given: str) -> list[str]:
    try:
        return shlex.split(given)
    except ValueError:
        raise Mistake("a quote is opened and not closed", 'as /tool pay note="two words"') from None


def _span_ms(given: str) -> int:
    span_ms = duration_ms(given.replace(" ", ""))
    if not span_ms or span_ms < 0:
        raise Mistake(f"`{given}` is no span of time", "as 90s, 10m, 2h or 3d")
    return span_ms


def _declared(name: str, kind: SignalType, value: str) -> Value:
    """Return what was typed as a value of the declared type; raises Mistake."""
    given: object = value
    if kind == "number":
        given = number_of(value)
    elif kind == "bool":
        given = _WORDS.get(value.lower())
    elif kind == "set":
        given = frozenset(part.strip() for part in value.split(",") if part.strip())
    found = read_as(given, kind)
    if found is None:
        raise Mistake(f"`{name}` is declared as {kind}", f"type a {kind}, not `{value}`")
    return found


def _is_customers(name: str) -> bool:
    return name.startswith(CUSTOMER_PREFIX)


def _plain(value: str) -> object:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    number = number_of(value)
    return value if number is None else number


def _customer_text(customer: Customer) -> str:
    values = {"id": customer.id, "tier": customer.tier, **customer.attributes}
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
