"""What stands under the keys of a turn in a test file, to the Turn that a caller would have sent. Nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from rules.cases.keys import AGENT_KEYS, CALL_KEYS, PARENT_KEYS
from rules.compile.budget import read_percent_of_budget
from rules.compile.names import Declared
from rules.compile.values import (
    did_you_mean,
    is_empty,
    one_of,
    read_bool,
    read_keys,
    read_list,
    read_map,
    read_number,
    read_text,
    read_word,
)
from rules.files.errors import PROBLEMS
from rules.files.grammar import number_of
from rules.files.keys import KeyTable
from rules.files.nodes import ListNode, MapNode, Node, TextNode
from rules.files.source import Source
from rules.turn import AgentRef, Customer, Parent, Scalar, ToolCall, TopicScore, Turn, Value

# Fewer names than these are listed where none of them is near.
NAMED_MAX = 8
# Words that Handrail has itself, whatever the rule files say.
_ALWAYS_KNOWN = frozenset({"R109"})


class TurnReader:
    """Reads the turns of one test file against the rule files that it tests."""

    def __init__(self, source: Source, declared: Declared) -> None:
        self.source = source
        self.declared = declared

    def turn(self, node: Node, values: Mapping[str, Node], conversation: str, number: int) -> Turn:
        """Return the turn that stands under these keys; `number` counts the turns of its conversation from 1."""
        source = self.source
        customer = self._customer(values["customer"]) if "customer" in values else Customer()
        agent = AgentRef(**self._texts_of(values, "agent", AGENT_KEYS))
        parent = self._texts_of(values, "parent", PARENT_KEYS)
        turn = Turn(
            conversation_id=conversation,
            turn_id=f"turn-{number}",
            agent=agent,
            channel=self.optional_text(values, "channel"),
            locale=self.optional_text(values, "locale"),
            customer=customer,
            message=self._words(values, "message"),
            reply=self._words(values, "reply"),
            confidence=self._between(values, "confidence", 0),
            topics=self._sent_topics(values),
            sentiment=self._between(values, "sentiment", -1),
            tool_calls=self._calls(values),
            sources=tuple(self.names(values, "sources", None)) if "sources" in values else None,
            signals=self._signals(values),
            parent=Parent(**parent) if parent else None,
        )
        if turn.message is None and turn.reply is None and not turn.tool_calls:
            source.refuse("R106", node, "the turn has neither `message`, `reply` nor `tool_calls`", "add one of them")
        return turn

    def _calls(self, values: Mapping[str, Node]) -> tuple[ToolCall, ...]:
        source = self.source
        calls: list[ToolCall] = []
        for node in read_list(source, values["tool_calls"], "`tool_calls`") if "tool_calls" in values else ():
            given = read_keys(source, node, CALL_KEYS, "a tool call") or {}
            status = read_word(source, given["status"], CALL_KEYS["status"]) if "status" in given else None
            args = self.plain_map(given["args"], "args") if "args" in given else {}
            calls.append(
                ToolCall(
                    name=(read_text(source, given["name"], "`name`") if "name" in given else None) or "",
                    args=args,
                    write=read_bool(source, given["write"], "`write`") if "write" in given else None,
                    amount=self._number(given, "amount"),
                    status=status or "proposed",  # type: ignore[arg-type]  # read as one of its choices
                    error=self._words(given, "error"),
                    output=self._words(given, "output"),
                )
            )
        return tuple(calls)

    def _signals(self, values: Mapping[str, Node]) -> dict[str, Value]:
        """Return the declared signals of a turn; one that no rule file declares is a problem."""
        if "signals" not in values:
            return {}
        declared = [name for name in self.declared.signals if not name.startswith("customer.")]
        return {key: _value(given) for key, given in self._declared(values["signals"], declared, "signals").items()}

    def _customer(self, node: Node) -> Customer:
        declared = [name[9:] for name in self.declared.signals if name.startswith("customer.")]
        given = self._declared(node, ["id", "tier", *declared], "customer")
        known = {name: given.pop(name) for name in ("id", "tier") if name in given}
        texts = {name: str(_plain(value)) for name, value in known.items()}
        attributes = {name: value for name, node in given.items() if isinstance(value := _value(node), Scalar)}
        return Customer(id=texts.get("id"), tier=texts.get("tier"), attributes=attributes)

    def _declared(self, node: Node, known: Iterable[str], key: str) -> dict[str, Node]:
        names = list(known)
        if not isinstance(node, MapNode):
            self.source.refuse("R116", node, f"`{key}` is not a map", f"write `{key}: {{name: value}}`")
            return {}
        for name, _ in node.pairs:
            if name.value not in names:
                hint = f"declare it under `{key}:` of a rule file"
                self._refuse_undeclared("R101", name, f"no rule file declares `{name.value}`", names, hint)
        return {name.value: value for name, value in node.pairs if name.value in names}

    def plain_map(self, node: Node, key: str) -> dict[str, object]:
        """Return a map as JSON would hold it."""
        plain = _plain(node)
        if not isinstance(plain, dict):
            self.source.refuse("R116", node, f"`{key}` is not a map", f"write `{key}: {{name: value}}`")
            return {}
        return plain

    def pressures(self, node: Node) -> dict[str, int]:
        """Return how full queues are assumed to be, in percent; only a queue with a budget can be."""
        found = {}
        for key, value in read_map(self.source, node, "`pressure`"):
            self._check_known(key, self.declared.budgets, "R103", "queue with a budget")
            percent = read_percent_of_budget(self.source, value, f"the pressure of `{key.value}`")
            if percent is not None:
                found[key.value] = percent
        return found

    def _texts_of(self, values: Mapping[str, Node], key: str, table: KeyTable) -> dict[str, str | None]:
        if key not in values:
            return {}
        given = read_keys(self.source, values[key], table, f"`{key}`") or {}
        return {name: self.optional_text(given, name) for name in given}

    def names(
        self,
        values: Mapping[str, Node],
        key: str,
        known: Collection[str] | None,
        code: str = "R170",
        noun: str = "rule",
    ) -> list[str]:
        """Return the texts of a list, or the one text that stands there alone; an unknown name is a problem."""
        if key not in values or is_empty(values[key]):
            return []
        node = values[key]
        items = node.items if isinstance(node, ListNode) else [node]
        names = [name for item in items if (name := read_text(self.source, item, f"an item of `{key}`")) is not None]
        if known is not None:
            for item in items:
                self._check_known(item, known, code, noun)
        return names

    def _sent_topics(self, values: Mapping[str, Node]) -> tuple[TopicScore, ...]:
        """Return the topics that the caller found itself; one that nearly is a topic of the rule files is told.

        Agents may have classifiers of their own, and what else these find is no slip of the pen.
        """
        return tuple(map(TopicScore, self.names(values, "topics", self.declared.topics, "W231", "topic")))

    def known(self, values: Mapping[str, Node], key: str, known: Collection[str], code: str, noun: str) -> str | None:
        """Return a name that must be one of the known ones."""
        if key not in values:
            return None
        name = read_text(self.source, values[key], f"`{key}`")
        self._check_known(values[key], known, code, noun)
        return name

    def _check_known(self, node: Node, known: Collection[str], code: str, noun: str) -> None:
        if not isinstance(node, TextNode) or not (name := node.value.strip()) or name in known:
            return
        message, otherwise = f"unknown {noun} `{name}`", one_of(known) if 0 < len(known) < NAMED_MAX else None
        if code in _ALWAYS_KNOWN:
            self.source.refuse(code, node, message, did_you_mean(self.source, name, known) or otherwise)
        else:
            self._refuse_undeclared(code, node, message, known, otherwise)

    def _refuse_undeclared(
        self, code: str, node: TextNode, message: str, known: Collection[str], otherwise: str | None
    ) -> None:
        """Note a name that no rule file declares; say nothing where mistakes in them may be the reason."""
        if self.declared.torn:
            return
        near = did_you_mean(self.source, node.value.strip(), known)
        if near is not None or not (self.declared.mistakes or PROBLEMS[code].severity == "warning"):
            self.source.refuse(code, node, message, near or otherwise)

    def _number(self, values: Mapping[str, Node], key: str) -> float | int | None:
        if key not in values or is_empty(values[key]):
            return None
        return read_number(self.source, values[key], f"`{key}`")

    def _between(self, values: Mapping[str, Node], key: str, least: int) -> float | int | None:
        """Return a number from `least` to 1: the service takes no other from a caller."""
        number = self._number(values, key)
        if number is None or least <= number <= 1:
            return number
        hint = f"write `{number / 100:g}`" if least <= number / 100 <= 1 else f"write a number from {least} to 1"
        self.source.refuse("R123", values[key], f"`{key}` is {number:g}, outside of {least} to 1", hint)
        return None

    def optional_text(self, values: Mapping[str, Node], key: str) -> str | None:
        """Return a text that may be left out."""
        return read_text(self.source, values[key], f"`{key}`") if key in values else None

    def _words(self, values: Mapping[str, Node], key: str) -> str | None:
        """Return a customer's or an agent's words as they stand: white space and all."""
        node = values.get(key)
        if node is None:
            return None
        if isinstance(node, TextNode):
            return node.value
        hint = "put the text into quotes, it holds `: `" if isinstance(node, MapNode) else "write one text here"
        self.source.refuse("R116", node, f"`{key}` is not a text", hint)
        return None


def _value(node: Node) -> Value:
    """Return what a caller would send for it: a list of texts is a set."""
    plain = _plain(node)
    if isinstance(plain, list):
        return frozenset(str(item) for item in plain)
    return plain if isinstance(plain, str | bool | int | float) else None


_WORDS: Mapping[str, Callable[[], bool | None]] = {
    "true": lambda: True,
    "false": lambda: False,
    "null": lambda: None,
    "~": lambda: None,
}


def _plain(node: Node) -> object:
    """Return a node as JSON would hold it: unquoted numbers, true, false and null are what they look like."""
    if isinstance(node, ListNode):
        return [_plain(item) for item in node.items]
    if isinstance(node, MapNode):
        return {key.value: _plain(value) for key, value in node.pairs}
    if node.style is not None:
        return node.value
    if node.value.lower() in _WORDS:
        return _WORDS[node.value.lower()]()
    number = number_of(node.value)
    return node.value if number is None else number
