"""What stands under `expect:` in a test file, to what the runner compares with. Nothing is run."""

from __future__ import annotations

from collections.abc import Mapping

from rules.cases.keys import EXPECT_KEYS, HANDOFF_KEYS, MOVE_EXPECT_KEYS, PACKET_KEYS
from rules.cases.turns import TurnReader
from rules.cases.values import Expect, HandoffExpect, PacketExpect
from rules.compile.values import read_bool, read_duration, read_keys, read_word
from rules.files.keys import KeyTable
from rules.files.nodes import ListNode, MapNode, Node, TextNode

_SHORT = ("review", "hold", "escalate")


class ExpectReader(TurnReader):
    """Reads the expectations of one test file against the rule files that it tests."""

    def expect_of_turn(self, node: Node) -> Expect:
        """Return what is expected of a turn: one word is its verdict."""
        return self._expect(node, EXPECT_KEYS)

    def expect_of_move(self, node: Node) -> Expect:
        """Return what is expected of another step: one word is what a missed deadline leads to."""
        return self._expect(node, MOVE_EXPECT_KEYS)

    def _expect(self, node: Node, table: KeyTable) -> Expect:
        source = self.source
        if isinstance(node, TextNode):
            return Expect(source.span(node), verdict=read_word(source, node, table["verdict"]))
        values = read_keys(source, node, table, "`expect`") or {}
        if not values and isinstance(node, MapNode):
            source.refuse("R172", node, "`expect` holds nothing", "write a verdict, or remove it")
        verdict, queue = self._verdict(values, table)
        rule_ids = self.declared.rules
        return Expect(
            span=source.span(node),
            verdict=verdict,
            queue=queue,
            priority=self._word(values, "priority", table),
            must_stop=read_bool(source, values["must_stop"], "`must_stop`") if "must_stop" in values else None,
            say=self.optional_text(values, "say"),
            say_includes=self._parts(values, "say_includes") or (),
            reason_code=self.optional_text(values, "reason_code"),
            rules=frozenset(self.names(values, "rules", rule_ids)) if "rules" in values else None,
            rules_include=frozenset(self.names(values, "rules_include", rule_ids)),
            rules_exclude=frozenset(self.names(values, "rules_exclude", rule_ids)),
            shadow=frozenset(self.names(values, "shadow", rule_ids)) if "shadow" in values else None,
            topics=frozenset(self.names(values, "topics", self.declared.topics, "R102", "topic")),
            on_timeout=self._word(values, "on_timeout", table),
            deadline_ms=read_duration(source, values["deadline"], "`deadline`") if "deadline" in values else None,
            handoff=self._handoff(values["handoff"]) if "handoff" in values else None,
            packet=self._packet(values["packet"]) if "packet" in values else None,
        )

    def _verdict(self, values: Mapping[str, Node], table: KeyTable) -> tuple[str | None, str | None]:
        """Return verdict and queue, which may stand in one key, as `hold: approvals`."""
        verdict = self._word(values, "verdict", table)
        queue = self.known(values, "queue", self.declared.queues, "R103", "queue")
        for short in _SHORT:
            if short in values:
                if verdict is not None or queue is not None:
                    message = f"`{short}` says verdict and queue again"
                    self.source.refuse("R107", values[short], message, "keep one of them")
                verdict, queue = short, self.known(values, short, self.declared.queues, "R103", "queue")
        return verdict, queue

    def _handoff(self, node: Node) -> HandoffExpect:
        span = self.source.span(node)
        if isinstance(node, TextNode) and node.value == "none":
            return HandoffExpect(span, none=True)
        if not isinstance(node, MapNode) or not node.pairs:
            hint = "write `none`, or keys as in `{queue: tier1}`"
            self.source.refuse("R116", node, "`handoff` is neither `none` nor a map of keys", hint)
            return HandoffExpect(span)
        values = read_keys(self.source, node, HANDOFF_KEYS, "`handoff`") or {}
        rule_ids = self.declared.rules
        return HandoffExpect(
            span,
            state=self._word(values, "state", HANDOFF_KEYS),
            kind=self._word(values, "kind", HANDOFF_KEYS),
            queue=self.known(values, "queue", self.declared.queues, "R103", "queue"),
            priority=self._word(values, "priority", HANDOFF_KEYS),
            reasons=frozenset(self.names(values, "reasons", rule_ids)) if "reasons" in values else None,
            reasons_include=frozenset(self.names(values, "reasons_include", rule_ids)),
        )

    def _packet(self, node: Node) -> PacketExpect:
        values = read_keys(self.source, node, PACKET_KEYS, "`packet`") or {}
        if not values and isinstance(node, MapNode):
            self.source.refuse("R172", node, "`packet` holds nothing", "write what should stand in it, or remove it")
        parts = {key: found for key in values if key != "lacks" and (found := self._part(values, key)) is not None}
        return PacketExpect(self.source.span(node), parts, self._parts(values, "lacks") or ())

    def _part(self, values: Mapping[str, Node], key: str) -> tuple[str, ...] | None:
        if key == "why":
            return tuple(self.names(values, key, self.declared.rules))
        if key == "found":
            return tuple(self.names(values, key, self.declared.topics, "R102", "topic"))
        if key == "masks":
            return tuple(self.names(values, key, PACKET_KEYS["masks"].choices, "R109", "kind of personal data"))
        return self._parts(values, key)

    def _parts(self, values: Mapping[str, Node], key: str) -> tuple[str, ...] | None:
        """Return the texts of a list, or the one that stands there alone, white space and all; None without the key."""
        if key not in values:
            return None
        node = values[key]
        items = node.items if isinstance(node, ListNode) else [node]
        texts = []
        for item in items:
            if isinstance(item, TextNode) and item.value.strip():
                texts.append(item.value)
            else:
                hint = "put the text into quotes" if isinstance(item, MapNode) else "write a text, or `[]` for nothing"
                self.source.refuse("R116", item, f"an item of `{key}` is not a text", hint)
        return tuple(texts)

    def _word(self, values: Mapping[str, Node], key: str, table: KeyTable) -> str | None:
        return read_word(self.source, values[key], table[key]) if key in values else None
