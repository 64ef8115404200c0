"""One comparison's parts held against the signals and the declared names: to a Compare, or to problems at its words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias, cast

from rules.compile.names import Names
from rules.compile.operands import Misfit, Wanted, read_operand, short_time
from rules.compile.place import Place, Told
from rules.compile.units import note_units
from rules.compile.unknown_signals import PRESENCE, TEXTS, argument_type, refuse_signal, text_message
from rules.compile.values import did_you_mean, nearest, one_of
from rules.evaluation.call_values import ARGS_PREFIX, SignalType
from rules.evaluation.signal_table import CALL_SIGNALS, MEANINGS, TOPIC_SETS, SignalSpec, Unit
from rules.files.grammar import (
    COUNTING,
    FUNCTIONS,
    Call,
    Comparison,
    Lookback,
    Name,
    Operand,
    Unparsed,
    number_of,
    parse,
)
from rules.files.meant import line_meant
from rules.files.nodes import TextNode
from rules.files.source import Source
from rules.history import TURNS_READ_MAX
from rules.model import Aggregate, Compare, Window
from rules.turn import Scalar

# type of a signal -> the operators that ask something of it, as an author may write them.
OPERATORS: dict[SignalType, tuple[str, ...]] = {
    "number": ("<", "<=", ">", ">=", "=", "!=", "in", "not in"),
    "text": ("=", "!=", "in", "not in"),
    "bool": ("=", "!="),
    "set": ("has", "lacks", "within", "not within"),
}

AggregateFunction: TypeAlias = Literal["count", "streak", "min", "max", "avg", "last"]

_TYPE_NAMES: dict[SignalType, str] = {
    "number": "a number",
    "text": "a text",
    "bool": "true or false",
    "set": "a set of words",
}
# What follows a signal of the type in an example, and a number of the unit.
_SAMPLES: dict[SignalType, str] = {"number": "< 0.5", "text": "= chat", "bool": "= true", "set": "has NAME"}
_UNIT_SAMPLES: dict[Unit | None, str] = {
    "score": "< -0.5",
    "characters": "> 500",
    "count": ">= 2",
    "usd": "> 100",
    "ms": "> 10m",
    "hour": ">= 18",
    "minutes": ">= 18:00",
    "day": "= 2026-12-24",
}
_TOPIC_MEANT = re.compile(r"write `topics has ([\w-]+)`")
_SIGNAL_MEANT = re.compile(r"write `(?:a(?:ll|ny): \[)?([\w.]+) [<>=!ihlw]")
_WORDS = re.compile(r"[A-Za-z][\w-]*(?:\.[\w-]+)*")


def read_comparison(source: Source, node: TextNode, names: Names, in_call: bool) -> Compare | None:
    """Return the comparison that the text is, None when it is none; every name in it counts as used either way."""
    place = Place(source, node, names, in_call)
    try:
        return _compare(place, parse(node.value))
    except Unparsed as error:
        first = _WORDS.search(node.value)
        if first is not None and first[0] in TEXTS and not (in_call or names.is_declared("signal", first[0])):
            source.refuse("R101", node, text_message(first[0]), TEXTS[first[0]], first.start(), first.end())
        else:
            meant = line_meant(node.value)
            hint = error.hint if meant is None else _with_near_names(place, meant)
            alone = (CALL_SIGNALS if in_call else names.signals).get(node.value.strip())
            if alone is not None:
                hint = f"write an operator and an operand after it, as in `{alone.name} {sample(alone)}`"
            source.refuse("R120", node, error.message, hint, error.start, error.end)
    except Misfit as misfit:
        for each in (misfit, *misfit.others):
            source.refuse(each.code, node, each.message, each.hint, each.start, each.end)
    except Told:
        pass
    use_all(node.value, names)
    return None


def _with_near_names(place: Place, meant: str) -> str:
    """Return advice with the nearest names in place of those that nobody declares, or the word that there is none."""
    for pattern, kind in ((_TOPIC_MEANT, "topic"), (_SIGNAL_MEANT, "signal")):
        found = pattern.match(meant)
        if found is None or (kind == "signal" and place.in_call):
            continue
        known = place.names.signals if kind == "signal" else place.names.declared.get("topic", set())
        if found[1] in known:
            continue
        near = nearest(place.source, found[1], known)
        if near is None:
            return f"{meant}; but no {kind} is called `{found[1]}`"
        return f"{meant[: found.start(1)]}{near}{meant[found.end(1) :]}"
    return meant


def sample(spec: SignalSpec) -> str:
    """Return an operator and an operand that fit the signal."""
    if spec.values:
        return f"{'has' if spec.type == 'set' else '='} {spec.values[0]}"
    if spec.name == "language":
        return "= es"
    return _UNIT_SAMPLES.get(spec.unit, _SAMPLES[spec.type])


def _compare(place: Place, parsed: Comparison) -> Compare:
    operand_known = _use_thresholds(place, parsed.operand)
    if isinstance(parsed.left, Call):
        left: Aggregate | str
        left, spec = _aggregate(place, parsed.left)
    else:
        left, spec = parsed.left.text, _signal(place, parsed.left, parsed)
    _check_operator(parsed, spec, place.text(parsed.left))
    if not operand_known:
        raise Told
    value: Scalar | tuple[Scalar, ...] | None = None
    threshold = None
    if parsed.operand is not None:
        wanted = Wanted(spec, place.text(parsed.left), place.names)
        value, threshold = read_operand(parsed.operand, parsed.operator, wanted)
        if isinstance(left, str) and left in TOPIC_SETS:
            _use_topics(place, parsed.operand.items or (parsed.operand,), left)
        note_units(place.source, place.node, parsed.operand, wanted)
        _warn(place, parsed, value, wanted)
        _tell_unfed(place, parsed, spec)
    span = place.source.span(place.node, parsed.start, parsed.end)
    return Compare(left, parsed.operator, value, place.text(parsed), span, threshold)


def _signal(place: Place, name: Name, parsed: Comparison) -> SignalSpec:
    """Return the row of the signal that a name means here."""
    known = CALL_SIGNALS if place.in_call else place.names.signals
    if place.in_call and name.text.startswith(ARGS_PREFIX) and len(name.text) > len(ARGS_PREFIX):
        return SignalSpec(name.text, argument_type(parsed), None, "call", "an argument of the call")
    spec = known.get(name.text)
    if spec is not None:
        if not place.in_call:
            place.names.use("signal", name.text)
        return spec
    # A declaration with a mistake in it was told where it stands.
    if not place.in_call and place.names.is_declared("signal", name.text):
        raise Told
    refuse_signal(place, name, known, parsed)


def _aggregate(place: Place, call: Call) -> tuple[Aggregate, SignalSpec]:
    """Return the aggregate and what kind of number comes out of it."""
    if call.function not in FUNCTIONS:
        hint = did_you_mean(place.source, call.function, FUNCTIONS) or one_of(FUNCTIONS)
        raise Misfit("R124", call.start, call.start + len(call.function), f"unknown aggregate `{call.function}`", hint)
    if place.in_call:
        hint = "write it beside `tool_call`, both as parts of an `all`"
        raise Misfit("R124", call.start, call.end, "an aggregate looks at turns, not at one tool call", hint)
    function = cast(AggregateFunction, call.function)
    window = _window(call.over)
    if function in COUNTING:
        return _counting(place, call, function, window)
    return _measuring(place, call, function, window)


def _counting(place: Place, call: Call, function: AggregateFunction, window: Window) -> tuple[Aggregate, SignalSpec]:
    """Return a count or a streak, which look at whether a comparison held."""
    if isinstance(call.of, Name):
        spec = _recorded(place, call.of, None)
        hint = f"write `{function}({call.of.text} {sample(spec)})`"
        message = f"`{function}` needs a comparison, not a signal"
        raise Misfit("R124", call.of.start, call.of.end, message, hint)
    assert isinstance(call.of.left, Name)  # noqa: S101 - the grammar reads no aggregate inside an aggregate
    _recorded(place, call.of.left, call.of)
    high = window.turns or TURNS_READ_MAX
    counted = SignalSpec(function, "number", "count", "aggregate", "turns", low=0, high=high)
    return Aggregate(function, _compare(place, call.of), window), counted


def _measuring(place: Place, call: Call, function: AggregateFunction, window: Window) -> tuple[Aggregate, SignalSpec]:
    """Return a min, max, avg or last, which look at a number."""
    if isinstance(call.of, Comparison):
        name = place.text(call.of.left)
        hint = f"write `{function}({name})` and compare the result, or use `count(...)`"
        raise Misfit("R124", call.of.start, call.of.end, f"`{function}` needs a signal, not a comparison", hint)
    spec = _recorded(place, call.of, None)
    if spec.type != "number":
        hint = f"count the turns instead: `count({call.of.text} {sample(spec)}) over 10 turns >= 2`"
        message = f"`{call.of.text}` is no number, so it has no {function}"
        raise Misfit("R124", call.of.start, call.of.end, message, hint)
    return Aggregate(function, call.of.text, window), spec


def _recorded(place: Place, name: Name, parsed: Comparison | None) -> SignalSpec:
    """Return the row of a signal that earlier turns are known by."""
    spec = _signal(place, name, parsed or Comparison(name, "is known", None, 0, 0, name.start, name.end))
    if not spec.recorded:
        message = f"`{name.text}` is not recorded, so nothing can look back at it"
        hint = f"compare `{name.text}` itself, or aggregate a signal that docs/rules.md calls recorded"
        raise Misfit("R124", name.start, name.end, message, hint)
    return spec


def _window(over: Lookback | None) -> Window:
    if over is None:
        return Window()
    if over.turns is not None and not 1 <= over.turns <= TURNS_READ_MAX:
        message = f"a window of {over.turns} turns; {TURNS_READ_MAX} turns are remembered"
        raise Misfit("R125", over.start, over.end, message, f"write `over 1 turn` to `over {TURNS_READ_MAX} turns`")
    if over.span_ms is not None and over.span_ms <= 0:
        raise Misfit("R125", over.start, over.end, "a window of no time", "write `over 10m`")
    return Window(over.turns, over.span_ms, over.earlier)


def _check_operator(parsed: Comparison, spec: SignalSpec, left: str) -> None:
    if parsed.operator in OPERATORS[spec.type] or parsed.operator in PRESENCE:
        return
    if spec.type == "set" and parsed.operand is not None and parsed.operator in ("=", "!=", "in", "not in"):
        word = parsed.operand.items[0].text if parsed.operand.items else parsed.operand.text
        hint = f"write `{left} {'has' if parsed.operator in ('=', 'in') else 'lacks'} {word}`"
    elif spec.type == "bool":
        hint = f"write `{left} = true` or `{left} = false`"
    else:
        hint = "write one of " + ", ".join(f"`{operator}`" for operator in (*OPERATORS[spec.type], *PRESENCE))
    message = f"`{left}` is {_TYPE_NAMES[spec.type]}, which `{parsed.operator}` does not compare"
    raise Misfit("R121", parsed.operator_start, parsed.operator_end, message, hint)


def _use_thresholds(place: Place, operand: Operand | None) -> bool:
    """Note the thresholds that an operand names as used; return whether all of them can be."""
    if operand is None:
        return True
    known = True
    for part in operand.items or (operand,):
        if part.kind != "threshold":
            continue
        name = str(part.value)
        place.names.use("threshold", name)
        if name in place.names.thresholds:
            continue
        known = False
        if not place.names.is_declared("threshold", name):
            plain = name.replace("_", "")
            if number_of(plain) is not None:
                message = f"`{part.text}` is no threshold's name"
                place.source.refuse("R104", place.node, message, f"write `{plain}`", part.start, part.end)
            else:
                everything = place.names.declared.get("threshold", ())
                place.names.refuse_unknown(
                    "threshold", name, everything, place.source, place.node, part.start, part.end
                )
    return known


def _use_topics(place: Place, operands: Iterable[Operand], signal: str) -> None:
    """Note the topics as used. Raises Misfit or Told where one of them cannot be asked for, once all were looked at."""
    misfits: list[Misfit] = []
    told = False
    for operand in operands:
        try:
            _use_topic(place, operand, str(operand.value), signal)
        except Misfit as misfit:
            misfits.append(misfit)
        except Told:
            told = True
    if misfits:
        misfits[0].others += misfits[1:]
        raise misfits[0]
    if told:
        raise Told


def _use_topic(place: Place, operand: Operand, topic: str, signal: str) -> None:
    place.names.use("topic", topic)
    found = place.names.topics.get(topic)
    # A topic that is not looked for in messages may still be sent by the caller.
    if signal != "topics" and found is not None and TOPIC_SETS[signal] not in found.inside:
        where = "replies" if signal == "reply_topics" else "what tools give back"
        message = f"the topic `{topic}` is not looked for in {where}, so `{signal}` never has it"
        hint = f"add `inside: [message, {TOPIC_SETS[signal]}]` to the topic `{topic}`"
        raise Misfit("R131", operand.start, operand.end, message, hint)
    if not place.names.is_declared("topic", topic):
        everything = place.names.declared.get("topic", ())
        place.names.refuse_unknown("topic", topic, everything, place.source, place.node, operand.start, operand.end)
        raise Told


def _warn(place: Place, parsed: Comparison, value: object, wanted: Wanted) -> None:
    """Note a comparison that can be computed and yet says nothing, or never holds."""
    operand, spec = parsed.operand, wanted.spec
    assert operand is not None  # noqa: S101 - the caller looked
    if short_time(operand, value, wanted):
        message = f"`{operand.text}` means {operand.text} ms"
        place.source.refuse("W211", place.node, message, f"write `{operand.text}s`", operand.start, operand.end)
    if spec.type != "number":
        return
    text = place.text(parsed)
    if (parsed.operator == "<" and value == spec.low) or (parsed.operator == ">" and value == spec.high):
        edge = f"`{wanted.left}` is never {'below' if parsed.operator == '<' else 'above'} {operand.text}"
        raise Misfit("R131", parsed.start, parsed.end, f"`{text}` can never hold: {edge}", "correct the number")
    if (parsed.operator == ">=" and value == spec.low) or (parsed.operator == "<=" and value == spec.high):
        hint = f"write `{wanted.left} is known` where that is meant" if spec.group != "aggregate" else None
        message = f"`{text}` holds whatever the value is"
        place.source.refuse("W205", place.node, message, hint, parsed.start, parsed.end)


def _tell_unfed(place: Place, parsed: Comparison, spec: SignalSpec) -> None:
    """Note once that no topic means what a signal says, so whoever asks for it waits for what never comes."""
    names, name = place.names, spec.name
    if place.in_call or name not in MEANINGS or name in names.meanings | names.unfed or names.torn:
        return
    names.unfed.add(name)
    # A customer who was not heard asking did not ask; one whose yes nobody can tell neither agreed nor did not.
    so = "never known" if name == "confirmed" else "never true"
    hint = f"write `means: {name}` at a topic with the words for it"
    place.source.refuse("W216", place.node, f"no topic means `{name}`, so it is {so}", hint, parsed.start, parsed.end)


def use_all(text: str, names: Names) -> None:
    """Count every word of a refused comparison as used, so that one mistake is not told twice."""
    for word in _WORDS.findall(text):
        for kind in ("threshold", "topic", "signal"):
            names.use(kind, word)
