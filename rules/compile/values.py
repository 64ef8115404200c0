"""Nodes of a rule file to texts, numbers, durations and words to say; a node of another kind is a problem."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile

from rules.files.grammar import duration_ms, number_of
from rules.files.keys import KeySpec, KeyTable
from rules.files.meant import MEANT_KEYS, span_meant
from rules.files.nodes import ListNode, MapNode, Node, TextNode
from rules.files.source import Source

# Seeking near names is slow beside everything else; past this many in one file the author has another problem.
SUGGESTIONS_MAX = 200
# Comparing with more names than this helps nobody and takes seconds.
SUGGESTED_FROM_MAX = 2_000
# The first of these that is near is told; letters alone may bring others before it.
NEAR_ASKED_MAX = 8
# In shorter words two other letters make another word.
SHORT_CHARACTERS = 3
NAME_CHARACTERS_MAX = 80
# What an agent says at once: some paragraphs.
SAY_CHARACTERS_MAX = 2_000

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
MERGE_KEY = "<<"
_MERGE_HINT = "write the keys out, or name a whole value with `&name` and write `*name` where it stands again"

# How many groups of three digits a number has behind its first comma.
_GROUPS_MAX = 5
_THOUSANDS = re.compile(r"\d{3}")
_BETWEEN_WORDS = re.compile(r"[-_.]")
_NO_NAME = re.compile(r"[^a-z0-9_-]+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_PERCENT = re.compile(r"([+-]?\d{1,9}(?:\.\d{1,9})?)\s*%?")
_TRUE_WORDS: frozenset[str] = frozenset({"true", "True", "TRUE"})
_FALSE_WORDS: frozenset[str] = frozenset({"false", "False", "FALSE"})
_MEANT_BOOLS = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
_TIME_HINT = "write a number with its unit, `90s` `15m` `2h` or `3d`, a year at most"
# As YAML 1.2 and the published schema have it.
_EMPTY_WORDS: frozenset[str] = frozenset({"", "~", "null", "Null", "NULL"})


def did_you_mean(source: Source, given: str, known: Iterable[str]) -> str | None:
    """Return a next step that names the nearest known name, None when none is near."""
    near = nearest(source, given, known)
    return f"did you mean `{near}`?" if near is not None else None


def nearest(source: Source, given: str, known: Iterable[str]) -> str | None:
    """Return the nearest known name, None when none is near, or when the author was helped often enough."""
    source.suggestions += 1
    candidates = list(known)
    if source.suggestions > SUGGESTIONS_MAX or len(candidates) > SUGGESTED_FROM_MAX or len(given) > NAME_CHARACTERS_MAX:
        return None
    word = given.lower()
    near = difflib.get_close_matches(word, candidates, n=NEAR_ASKED_MAX, cutoff=0.55)
    return next((candidate for candidate in near if _is_near(word, candidate)), None)


def _is_near(given: str, known: str) -> bool:
    """Return whether one is most likely meant with the other: a slip of the pen, a word that was left out or added.

    `foo` is no slip of `flood`, and `investment-advice` none of `coverage-advice`, for all the letters they share.
    """
    ours, theirs = set(_BETWEEN_WORDS.split(given)), set(_BETWEEN_WORDS.split(known))
    shared = len(ours & theirs)
    if ours < theirs or shared * 2 > max(len(ours), len(theirs)) or shared == len(theirs):
        return True
    if len(given) >= SHORT_CHARACTERS and (known.startswith(given) or given.startswith(known)):
        return True
    if len(given) >= SHORT_CHARACTERS and sorted(given) == sorted(known):
        # Two letters that changed places, as in `lwo`.
        return True
    ratio = difflib.SequenceMatcher(None, known, given).ratio()
    return ratio >= 0.75 and (len(given) > SHORT_CHARACTERS + 1 or abs(len(given) - len(known)) <= 1)


def one_of(names: Iterable[str]) -> str:
    """Return a next step that lists all that may stand there."""
    return "write one of " + ", ".join(f"`{name}`" for name in names)


def read_keys(source: Source, node: Node, table: KeyTable, what: str) -> dict[str, Node] | None:
    """Return the values under known keys, None when the node has no keys; unknown and missing keys are problems."""
    if not isinstance(node, MapNode):
        source.refuse("R116", node, f"{what} is not a map of keys", _keys_hint(table))
        return None
    values: dict[str, Node] = {}
    for number, (key, value) in enumerate(node.pairs):
        if key.value in table:
            values.setdefault(key.value, value)
        else:
            meant = MEANT_KEYS.get(key.value, "")
            if key.value == MERGE_KEY:
                source.refuse("R105", key, f"YAML's merge key `<<` is not used in {what}", _MERGE_HINT)
                continue
            written = [key if is_empty(value) else value for key, value in node.pairs[: number + _GROUPS_MAX]]
            if is_empty(value) and (whole := cut_number(written, number)) is not None:
                if whole:
                    source.refuse("R105", key, *after_comma(key, whole))
                continue
            near = f"write `{meant}`" if meant in table else did_you_mean(source, key.value, table)
            hint = near or _keys_hint(table)
            source.refuse("R105", key, f"unknown key `{key.value}` in {what}", hint)
    for spec in table.values():
        if spec.required and spec.name not in values and not is_merged(node):
            source.refuse("R106", node, f"{what} has no `{spec.name}`", f"add `{spec.name}:`, {spec.about}")
    return values


def cut_number(nodes: Sequence[Node], at: int) -> str | None:
    """Return the text whose number YAML cut at the comma before `nodes[at]`, all of it; None for no such cut.

    Empty where it is cut a second time, at the comma before `nodes[at - 1]`: there it is told.
    """
    if at == 0 or not _is_thousands(nodes[at]) or nodes[at].line != nodes[at - 1].line:
        return None
    before = nodes[at - 1]
    if not isinstance(before, TextNode) or not before.value[-1:].isdecimal():
        return None
    if cut_number(nodes, at - 1) is not None:
        return ""
    thousands = takewhile(_is_thousands, nodes[at:])
    return before.value + "".join(node.value for node in thousands if isinstance(node, TextNode))


def _is_thousands(node: Node) -> bool:
    return isinstance(node, TextNode) and _THOUSANDS.fullmatch(node.value) is not None


def after_comma(node: TextNode, whole: str) -> tuple[str, str]:
    """Return what is said of the end of a number that YAML cut at the comma between its thousands."""
    return f"`{node.value}` stands alone, for a comma ends what is before it", f"write `{whole}` without the comma"


def is_merged(node: Node) -> bool:
    """Return whether a map has YAML's merge key: what seems to be missing was meant to come with it."""
    return isinstance(node, MapNode) and any(key.value == MERGE_KEY for key, _ in node.pairs)


def read_map(source: Source, node: Node, what: str) -> list[tuple[TextNode, Node]]:
    """Return the entries of a map whose keys are names that the author chose; bad names are left out."""
    if is_empty(node):
        return []
    if not isinstance(node, MapNode):
        source.refuse("R116", node, f"{what} is not a map", f"write `{what.strip('`')}:` and below it `name: …`")
        return []
    return [(key, value) for key, value in node.pairs if is_name(source, key)]


def read_declared(source: Source, node: Node, what: str) -> list[tuple[TextNode, Node]]:
    """Return the entries of a map that declares names; one under a name that cannot be used is told and kept.

    What stands below it is read as well, and whoever names it is not told that nobody declares it.
    """
    entries = node.pairs if isinstance(node, MapNode) else read_map(source, node, what)
    for key, _ in entries:
        is_name(source, key, elsewhere=", here and where it is named")
    # What is said of what stands below a name repeats it.
    return [(key, value) for key, value in entries if len(key.value) <= NAME_CHARACTERS_MAX]


def read_list(source: Source, node: Node, what: str) -> list[Node]:
    """Return the items of a list; nothing at all is an empty list."""
    if is_empty(node):
        return []
    if not isinstance(node, ListNode):
        source.refuse("R116", node, f"{what} is not a list", "write each item on a line of its own after `- `")
        return []
    return node.items


def is_empty(node: Node) -> bool:
    """Return whether nothing is written there."""
    return isinstance(node, TextNode) and node.style is None and node.value in _EMPTY_WORDS


def is_name(source: Source, node: TextNode, joint: str = "_", elsewhere: str = "") -> bool:
    """Return whether the text can be used as a name, and note it when not.

    `joint` joins the words of the advice, and `elsewhere` says where else it is to be followed.
    """
    if len(node.value) > NAME_CHARACTERS_MAX:
        message = f"the name has {len(node.value)} characters, the limit is {NAME_CHARACTERS_MAX}"
        source.refuse("R108", node, message, "write a shorter name")
        return False
    if _NAME.fullmatch(node.value) is None:
        legal = legal_name(node.value, joint)
        source.refuse("R108", node, f"`{node.value}` cannot be a name", legal and f"write `{legal}`{elsewhere}")
        return False
    return True


def legal_name(text: str, joint: str = "_") -> str | None:
    """Return the text as a name: itself where it is one, else as `tier_1` of `Tier 1`; None when no name is near."""
    if text in _EMPTY_WORDS:
        return None
    if _NAME.fullmatch(text) and len(text) <= NAME_CHARACTERS_MAX:
        return text
    # `crédito` is written `credito`: an accent is the one thing of a letter that a name cannot have.
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    name = _NO_NAME.sub(joint, plain).strip("_-")
    usable = _NAME.fullmatch(name) and len(name) <= NAME_CHARACTERS_MAX and name not in _EMPTY_WORDS
    return name if usable else None


def read_text(source: Source, node: Node, what: str) -> str | None:
    """Return a text that is not empty."""
    if not isinstance(node, TextNode):
        source.refuse("R116", node, f"{what} is not a text", "write one text here")
        return None
    if is_empty(node) or not node.value.strip():
        source.refuse("R116", node, f"{what} is empty", "write a text or remove the key")
        return None
    return node.value.strip()


def read_texts(source: Source, node: Node, what: str) -> list[tuple[TextNode, str]]:
    """Return the texts of a list with their nodes."""
    texts = []
    for item in read_list(source, node, what):
        if is_empty(item):
            source.refuse("R116", item, f"an item of {what} is empty", "remove the item, or write the word in quotes")
        elif isinstance(item, TextNode):
            texts.append((item, item.value))
        else:
            hint = "put the text into quotes" if isinstance(item, MapNode) else "write one text an item"
            source.refuse("R116", item, f"an item of {what} is not a text", hint)
    return texts


def read_number(source: Source, node: Node, what: str) -> float | int | None:
    """Return a finite number."""
    number = number_of(node.value) if isinstance(node, TextNode) and node.style is None else None
    if number is None:
        source.refuse("R116", node, f"{what} is not a number", _number_meant(node))
    return number


def _number_meant(node: Node) -> str:
    written = node.value.strip() if isinstance(node, TextNode) else ""
    amount = number_of(written.removeprefix("$").removesuffix("$").strip())
    share = number_of(written.removesuffix("%").strip()) if written.endswith("%") else None
    if amount is None and share is None:
        return "write a number without quotes, as `0.55` or `200`"
    quoted = " without quotes" if isinstance(node, TextNode) and node.style is not None else ""
    return f"write `{written.strip('$ ') if amount is not None else f'{(share or 0) / 100:g}'}`{quoted}"


def read_duration(source: Source, node: Node, what: str) -> int | None:
    """Return the milliseconds of a duration above zero."""
    if not isinstance(node, TextNode):
        source.refuse("R116", node, f"{what} is not a time", "write a number with its unit, as `15m`")
        return None
    written = node.value.strip()
    span_ms = duration_ms(written)
    if span_ms is None and number_of(written) is not None:
        with_unit = f"write `{written}m` or `{written}s`" if duration_ms(f"{written}m") else _TIME_HINT
        source.refuse("R123", node, f"{what} is {written} without a unit", with_unit)
    elif span_ms is None:
        meant = span_meant(written)
        hint = f"write `{meant}`" if meant else _TIME_HINT
        source.refuse("R123", node, f"{what} is `{written}`, which is no time", hint)
    elif span_ms <= 0:
        source.refuse("R123", node, f"{what} is `{written}`, which is no time at all", "write at least `1s`")
        return None
    return span_ms


def read_bool(source: Source, node: Node, what: str) -> bool | None:
    """Return true or false; YAML's other words for them are refused, since `no` is also a language."""
    word = node.value if isinstance(node, TextNode) and node.style is None else None
    if word in _TRUE_WORDS or word in _FALSE_WORDS:
        return word in _TRUE_WORDS
    meant = _MEANT_BOOLS.get(word.lower()) if word else None
    hint = f"write `{meant}`" if meant else "write `true` or `false`"
    source.refuse("R116", node, f"{what} is neither `true` nor `false`", hint)
    return None


def read_word(source: Source, node: Node, spec: KeySpec) -> str | None:
    """Return one of the words that the key knows."""
    word = node.value if isinstance(node, TextNode) else None
    if word in spec.choices:
        return word
    if word is None:
        source.refuse("R116", node, f"`{spec.name}` is not a word", one_of(spec.choices))
    else:
        hint = did_you_mean(source, word, spec.choices) or one_of(spec.choices)
        source.refuse("R109", node, f"`{word}` is no `{spec.name}`", hint)
    return None


def is_language(tag: str) -> bool:
    """Return whether the text is a language tag as `en` or `es-MX`."""
    return _LANGUAGE.fullmatch(tag) is not None


def read_percent(source: Source, node: Node) -> int | None:
    """Return a whole percentage from 0 to 100."""
    written = node.value.strip() if isinstance(node, TextNode) else ""
    found = _PERCENT.fullmatch(written)
    if found is None:
        source.refuse("R160", node, "`rollout` is no percentage", "write it as `10%`")
        return None
    percent = float(found[1])
    if 0 < percent < 1 and not written.endswith("%"):
        source.refuse("R160", node, f"a rollout of {written} has no `%`", f"write `{round(percent * 100)}%`")
        return None
    if not 0 <= percent <= 100:
        source.refuse("R160", node, f"a rollout of {found[1]}% is outside of 0% to 100%")
        return None
    if percent != int(percent):
        source.refuse("R160", node, f"a rollout of {found[1]}% is not a whole number", f"write `{round(percent)}%`")
        return None
    return int(percent)


def _keys_hint(table: KeyTable) -> str:
    return "known here: " + ", ".join(f"`{name}`" for name in table)
