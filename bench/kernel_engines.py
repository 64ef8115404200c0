"""The engines of the kernel bench, each used in the best way known for it: compiled once, no text parsed twice.

An engine is a function from rules to a function from a prepared turn to the numbers of the rules that fire, ascending.
A turn is prepared outside the clock in whatever form the engine takes fastest, JSON text included.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any as Anything

import cel
import clips
import datalogic_py
import zen

from rules.evaluation.clauses import without_not
from rules.evaluation.facts import Facts, Probes
from rules.evaluation.index import index_of
from rules.model import All, Any, Compare, Condition, Not
from rules.turn import Conversation, Turn

Judge = Callable[[Anything], list[int]]


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to use one engine: `prepare` makes of a turn's values what its judge takes."""

    name: str
    package: str
    build: Callable[[Sequence[Condition]], Judge]
    prepare: Callable[[dict[str, object]], Anything]


def _handrail(rules: Sequence[Condition]) -> Judge:
    index = index_of([without_not(rule) for rule in rules], Probes())
    turn, conversation = Turn("conversation", "turn"), Conversation("conversation")
    return lambda values: index.fired(Facts(values, turn, conversation, 0))


def _zen(rules: Sequence[Condition]) -> Judge:
    expression = zen.compile_expression(f"[{', '.join(_infix(rule, _ZEN) for rule in rules)}]")
    numbers = range(len(rules))
    return lambda turn: list(compress(numbers, expression.evaluate(turn)))


def _datalogic(rules: Sequence[Condition]) -> Judge:
    engine = datalogic_py.Engine()
    rule = engine.compile([_json_logic(rule) for rule in rules])
    numbers = range(len(rules))
    return lambda turn: list(compress(numbers, rule.evaluate(turn)))


def _datalogic_session(rules: Sequence[Condition]) -> Judge:
    engine = datalogic_py.Engine()
    session = engine.session()
    rule = engine.compile([_json_logic(rule) for rule in rules])
    numbers = range(len(rules))
    return lambda turn: list(compress(numbers, session.evaluate_data(rule, turn)))


def _datalogic_filtered(rules: Sequence[Condition]) -> Judge:
    engine = datalogic_py.Engine()
    session = engine.session()
    rule = engine.compile({"merge": [{"if": [_json_logic(rule), [n], []]} for n, rule in enumerate(rules)]})
    return lambda turn: session.evaluate_data(rule, turn)


def _cel(rules: Sequence[Condition]) -> Judge:
    # One list of all rules is parsed by recursion; pieces of 250 are as fast and never too deep.
    programs = [
        cel.compile(f"[{', '.join(_infix(rule, _CEL) for rule in rules[first : first + 250])}]")
        for first in range(0, len(rules), 250)
    ]
    numbers = range(len(rules))
    return lambda turn: list(compress(numbers, (held for program in programs for held in program.execute(turn))))


def _clips(rules: Sequence[Condition]) -> Judge:
    environment = clips.Environment()
    environment.build(_CLIPS_TEMPLATE)
    for number, rule in enumerate(rules):
        environment.build(f"(defrule r{number} {_clips_pattern(rule)} => )")
    template = environment.find_template("turn")

    def judge(turn: dict[str, Anything]) -> list[int]:
        fact = template.assert_fact(**turn)
        # What stands on the agenda is what fires: reading it costs less than running it.
        fired = sorted({int(activation.name[1:]) for activation in environment.activations()})
        fact.retract()
        return fired

    return judge


def _as_handrail(values: dict[str, object]) -> dict[str, object]:
    return values | {"topics": frozenset(values["topics"])}  # type: ignore[call-overload]  # the engine takes sets


def _as_json(values: dict[str, object]) -> bytes:
    return json.dumps(values).encode()


def _as_clips(values: dict[str, object]) -> dict[str, object]:
    words = {name: clips.Symbol(str(value).upper()) for name, value in values.items() if isinstance(value, bool)}
    words |= {name: clips.Symbol(value) for name, value in values.items() if isinstance(value, str)}
    return values | words | {"topics": [clips.Symbol(topic) for topic in values["topics"]]}  # type: ignore[attr-defined]  # no types come with clips


HANDRAIL = Engine("Handrail", "handrail", _handrail, _as_handrail)
PEERS: tuple[Engine, ...] = (
    Engine("zen-engine, one list, dict", "zen-engine", _zen, dict),
    Engine("zen-engine, one list, JSON", "zen-engine", _zen, _as_json),
    Engine("datalogic-py, one list, dict", "datalogic-py", _datalogic, dict),
    Engine("datalogic-py, one list, parsed before", "datalogic-py", _datalogic_session, datalogic_py.DataHandle),
    Engine("datalogic-py, merge of ids, parsed before", "datalogic-py", _datalogic_filtered, datalogic_py.DataHandle),
    Engine("clipspy, agenda", "clipspy", _clips, _as_clips),
    Engine("common-expression-language, lists of 250", "common-expression-language", _cel, dict),
)

# model's operator -> how `{left}` and `{right}` are written.
_ZEN = {
    **{operator: f"{{left}} {operator} {{right}}" for operator in ("<", "<=", ">", ">=", "!=", "in")},
    **{"=": "{left} == {right}", "has": "{right} in {left}", "lacks": "{right} not in {left}"},
    **{"and": " and ", "or": " or ", "not": "not"},
}
_CEL = _ZEN | {"lacks": "!({right} in {left})", "and": " && ", "or": " || ", "not": "!"}


def _infix(condition: Condition, words: dict[str, str]) -> str:
    if isinstance(condition, Compare):
        return words[condition.operator].format(left=condition.left, right=json.dumps(condition.operand))
    if isinstance(condition, Not):
        return f"{words['not']}({_infix(condition.part, words)})"
    assert isinstance(condition, All | Any)
    word = words["and" if isinstance(condition, All) else "or"]
    return f"({word.join(_infix(part, words) for part in condition.parts)})"


def _json_logic(condition: Condition) -> dict[str, Anything]:
    if isinstance(condition, Not):
        return {"!": [_json_logic(condition.part)]}
    if isinstance(condition, All | Any):
        return {"and" if isinstance(condition, All) else "or": [_json_logic(part) for part in condition.parts]}
    assert isinstance(condition, Compare)
    left, operand = {"var": condition.left}, condition.operand
    if condition.operator in ("has", "lacks"):
        found = {"in": [operand, left]}
        return found if condition.operator == "has" else {"!": [found]}
    operator = {"=": "===", "!=": "!=="}.get(condition.operator, condition.operator)
    return {operator: [left, list(operand) if isinstance(operand, tuple) else operand]}


_CLIPS_TEMPLATE = """(deftemplate turn (slot confidence) (slot sentiment) (slot amount) (slot message_length)
    (slot turn_count) (slot elapsed_ms) (slot tool_errors) (slot channel) (slot language) (slot tier) (slot agent)
    (slot asks_for_person) (slot draft_present) (multislot topics))"""


def _clips_pattern(rule: Condition) -> str:
    """Return a rule's left side: constraints of slots, which CLIPS shares between rules, and a test for what is nested.

    A slot that a test asks for is bound to a variable of its name; the others are met by constants where they can be.
    """
    assert isinstance(rule, All)
    slots: dict[str, list[Compare]] = {}
    for part in rule.parts:
        if isinstance(part, Compare):
            slots.setdefault(str(part.left), []).append(part)
    nested = [part for part in rule.parts if not isinstance(part, Compare)]
    bound = {name for part in nested for name in _names(part)}
    patterns = [
        _clips_slot(name, slots.get(name, []), bound=name in bound) for name in {**slots, **dict.fromkeys(bound)}
    ]
    return " ".join([f"(turn {' '.join(patterns)})", *(f"(test {_clips_test(part)})" for part in nested)])


def _clips_slot(name: str, compares: list[Compare], *, bound: bool) -> str:
    alone = len(compares) == 1 and not bound and name != "topics"
    if alone and compares[0].operator in ("=", "!=", "in"):
        operand = compares[0].operand
        constants = "|".join(map(_clips_word, operand if isinstance(operand, tuple) else (operand,)))
        return f"({name} {'~' if compares[0].operator == '!=' else ''}{constants})"
    variable = f"$?{name}" if name == "topics" else f"?{name}"
    return f"({name} {'&'.join([variable, *(f':{_clips_test(compare)}' for compare in compares)])})"


def _clips_test(condition: Condition) -> str:
    if isinstance(condition, Not):
        return f"(not {_clips_test(condition.part)})"
    if isinstance(condition, All | Any):
        word = "and" if isinstance(condition, All) else "or"
        return f"({word} {' '.join(map(_clips_test, condition.parts))})"
    assert isinstance(condition, Compare)
    name, operator, operand = condition.left, condition.operator, condition.operand
    if operator in ("has", "lacks"):
        found = f"(member$ {operand} $?{name})"
        return found if operator == "has" else f"(not {found})"
    if operator in ("=", "in"):
        return f"(or {' '.join(f'(eq ?{name} {_clips_word(one)})' for one in _many(operand))} FALSE)"
    if operator == "!=":
        return f"(neq ?{name} {_clips_word(operand)})"
    return f"({operator} ?{name} {operand})"


def _clips_word(operand: object) -> str:
    return str(operand).upper() if isinstance(operand, bool) else str(operand)


def _many(operand: object) -> tuple[object, ...]:
    return operand if isinstance(operand, tuple) else (operand,)


def _names(condition: Condition) -> list[str]:
    if isinstance(condition, Compare):
        return [str(condition.left)]
    assert isinstance(condition, All | Any | Not)
    parts = (condition.part,) if isinstance(condition, Not) else condition.parts
    return [name for part in parts for name in _names(part)]
