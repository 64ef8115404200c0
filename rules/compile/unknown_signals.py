"""A name that is no signal where it stands: what its author most likely meant, and how that is said or declared."""

from __future__ import annotations

from typing import NoReturn

from rules.compile.names import SIGNALS_PREFIX
from rules.compile.operands import Misfit
from rules.compile.place import Place, Told
from rules.compile.values import did_you_mean, legal_name, nearest, one_of
from rules.evaluation.call_values import ARGS_PREFIX, SignalType
from rules.evaluation.signal_table import CALL_SIGNALS, CUSTOMER_PREFIX, SignalSpec
from rules.files.grammar import Comparison, Name

PRESENCE: tuple[str, ...] = ("is known", "is unknown")

# The texts of a turn, which an author may want to search -> how that is said.
TEXTS: dict[str, str] = {
    "message": "declare a topic with the words as its `phrases:` and write `topics has NAME`",
    "reply": "declare a topic with `phrases:` and `inside: [reply]` and write `reply_topics has NAME`",
}


def text_message(name: str) -> str:
    """Return that a text of the turn was taken for a signal."""
    return f"`{name}` is a text and no signal"


def refuse_signal(place: Place, name: Name, known: dict[str, SignalSpec], parsed: Comparison) -> NoReturn:
    """Refuse a name that is no signal where it stands. Raises Misfit, or Told where the problem is noted already."""
    message = f"unknown signal `{name.text}`"
    if place.in_call and name.text in place.names.signals:
        message = f"`{name.text}` is no signal of a tool call"
        hint: str | None = "write it beside `tool_call`, both as parts of an `all`"
    elif place.in_call:
        hint = did_you_mean(place.source, name.text, known) or one_of([*known, "args.NAME"])
    elif name.text in CALL_SIGNALS or name.text.startswith(ARGS_PREFIX):
        message = f"`{name.text}` is a signal of a tool call"
        hint = f"write `tool_call: {{all: [name = …, {place.node.value.strip()}]}}`"
        if "(" in place.node.value:
            hint = "aggregate what a turn records of its calls, as `amount_usd_max` or `tools_failed`"
    elif name.text in TEXTS:
        message, hint = text_message(name.text), TEXTS[name.text]
    elif name.text.startswith(CUSTOMER_PREFIX):
        hint = _declare_attribute(place, name.text.removeprefix(CUSTOMER_PREFIX), known, _type_meant(parsed))
    elif name.text.removeprefix(SIGNALS_PREFIX) in known:
        hint = f"write `{name.text.removeprefix(SIGNALS_PREFIX)}`"
    else:
        place.names.refuse_unknown(
            "signal", name.text, known, place.source, place.node, name.start, name.end, type_=_type_meant(parsed)
        )
        raise Told
    raise Misfit("R101", name.start, name.end, message, hint)


def _declare_attribute(place: Place, attribute: str, known: dict[str, SignalSpec], type_: SignalType) -> str:
    # Without what all of them begin with, which makes any two of them look near.
    near = nearest(place.source, attribute, _attributes(known))
    if near is not None:
        place.names.use("signal", f"{CUSTOMER_PREFIX}{near}")
        return f"did you mean `{CUSTOMER_PREFIX}{near}`?"
    if place.names.torn:
        raise Told
    name = legal_name(attribute)
    if name is None:
        return "declare it under `customer:`, with a name of letters, digits, `-` and `_`, a letter first"
    here = f" and write `{CUSTOMER_PREFIX}{name}` here" if name != attribute else ""
    return f"declare it under `customer:` as `{name}: {{type: {type_}}}`{here}"


def _type_meant(parsed: Comparison) -> SignalType:
    """Return the type to declare for a signal that nobody has, so that this comparison can be made."""
    return "text" if parsed.operator in PRESENCE else argument_type(parsed)


def _attributes(known: dict[str, SignalSpec]) -> list[str]:
    """Return the names of the customer's attributes, without what they begin with."""
    return [name.removeprefix("customer.") for name in known if name.startswith("customer.")]


def argument_type(parsed: Comparison) -> SignalType:
    """Return the type that an argument must have for the comparison to say anything of it."""
    if parsed.operator in ("has", "lacks", "within", "not within"):
        return "set"
    operand = parsed.operand
    if operand is not None and operand.kind == "list" and operand.items:
        operand = operand.items[0]
    if operand is None or parsed.operator in ("<", "<=", ">", ">="):
        return "number"
    if operand.kind in ("number", "threshold", "percent", "duration"):
        return "number"
    return "bool" if operand.kind == "bool" else "text"
