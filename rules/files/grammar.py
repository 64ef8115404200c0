"""One line of a condition to its parts, each with its place. What the names in it mean is not known here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple, NoReturn, TypeAlias

# Longer than any comparison that a person can read; lists of words take most of it.
COMPARISON_CHARACTERS_MAX = 4_000

FUNCTIONS: tuple[str, ...] = ("count", "streak", "min", "max", "avg", "last")
# These two look at whether a comparison held on each turn, the others at a number.
COUNTING: frozenset[str] = frozenset({"count", "streak"})

DURATION_UNITS_MS: dict[str, int] = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
# A year: nothing that waits for a person, and no conversation, is longer.
DURATION_MS_MAX = 365 * 86_400_000

OperandKind: TypeAlias = Literal[
    "number", "percent", "duration", "time", "date", "word", "text", "bool", "threshold", "list"
]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<date>\d{4}-\d{2}-\d{2}(?![\w.]))
    | (?P<time>\d{1,2}:\d{2}(?![\w:]))
    | (?P<duration>(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+(?![\w.]))
    | (?P<percent>[+-]?(?:\d+(?:\.\d+)?|\.\d+)%)
    | (?P<number>[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3})?(?![\w.-]))
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<threshold>\$\w[\w-]*)
    | (?P<word>\w[\w.\-]*)
    | (?P<operator><=|>=|!==|!=|===|==|=<|=>|<>|<|>|=|&&|\|\||≤|≥|≠)
    | (?P<mark>[()\[\],])
    | (?P<other>\S)
    )""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_SYMBOLS: frozenset[str] = frozenset({"<", "<=", ">", ">=", "=", "!="})
_WORD_OPERATORS: frozenset[str] = frozenset({"in", "not", "has", "lacks", "within", "is"})
# What other languages write -> the operator here.
MEANT_OPERATORS = {
    "==": "=",
    "===": "=",
    "!==": "!=",
    "=<": "<=",
    "=>": ">=",
    "<>": "!=",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "contains": "has",
    "includes": "has",
    "equals": "=",
    "eq": "=",
    "gt": ">",
    "lt": "<",
}
_JOINED = re.compile(r"\s(?:and|or|&&|\|\|)\s", re.IGNORECASE)
_JOINING = {"and": "all", "&&": "all", "or": "any", "||": "any"}


class Token(NamedTuple):
    """A piece of a line; `start` and `end` are offsets into it."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Operand:
    """What stands on the right: `value` is ms for a duration, minutes for a time, an ordinal for a date.

    `value` is None for a time or date that does not exist, for a number that no float holds, and for a list.
    """

    kind: OperandKind
    value: float | int | str | bool | None
    text: str
    start: int
    end: int
    items: tuple[Operand, ...] = ()


@dataclass(frozen=True, slots=True)
class Name:
    """A signal's name, as it is written."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lookback:
    """`over 10 turns` or `over 10m`: one of the two is set. `over 3 earlier turns` leaves the present turn out."""

    turns: int | None
    span_ms: int | None
    start: int
    end: int
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """An aggregate, `function(of) over …`."""

    function: str
    of: Comparison | Name
    over: Lookback | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator operand`; the operand is None after `is known` and `is unknown`."""

    left: Name | Call
    operator: str
    operand: Operand | None
    operator_start: int
    operator_end: int
    start: int
    end: int


class Unparsed(Exception):
    """The line is no comparison: the first place that does not fit, the fact and the next step."""

    def __init__(self, start: int, end: int, message: str, hint: str | None = None) -> None:
        self.start, self.end, self.message, self.hint = start, end, message, hint
        super().__init__(message)


def parse(text: str) -> Comparison:
    """Return the parts of one comparison. Raises Unparsed, and nothing else whatever the text."""
    if len(text) > COMPARISON_CHARACTERS_MAX:
        message = f"the comparison has {len(text)} characters, the limit is {COMPARISON_CHARACTERS_MAX}"
        raise Unparsed(0, len(text), message, "write it as several rules, or declare a signal for it")
    line = _Line(text)
    comparison = line.comparison(inside=False)
    line.refuse_rest(comparison)
    return comparison


def duration_ms(text: str) -> int | None:
    """Return the milliseconds of `90s`, `1h30m` or `3d`, None when it is no duration or longer than DURATION_MS_MAX."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    total = sum(float(number) * DURATION_UNITS_MS[unit] for number, unit in parts)
    return round(total) if total <= DURATION_MS_MAX else None


def number_of(text: str) -> float | int | None:
    """Return the number that the text is, an int where it is written as one; None when it is none or infinite."""
    if "_" in text:
        return None
    try:
        number = int(text) if text.lstrip("+-").isdecimal() and len(text) < 20 else float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


class _Line:
    """The tokens of one line and how far they have been read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[Token] = []
        for found in _TOKEN.finditer(text):
            kind = found.lastgroup
            assert kind is not None  # noqa: S101 - every alternative of _TOKEN has a name
            self._tokens.append(Token(kind, found[kind], found.start(kind), found.end(kind)))
        self._at = 0

    def comparison(self, inside: bool) -> Comparison:
        """Read one comparison; `inside` an aggregate it ends at `)`, and aggregates are not looked for."""
        start = self._start()
        left = self._left()
        return self._compared(left, start, inside)

    def refuse_rest(self, comparison: Comparison) -> None:
        """Refuse whatever stands after a whole comparison."""
        if self._at == len(self._tokens):
            return
        token = self._tokens[self._at]
        hint = None
        if token.text.lower() in _JOINING:
            hint = f"write `{_JOINING[token.text.lower()]}: [...]` with whole comparisons"
        elif token.text == "over":
            hint = "write `over …` right after the closing bracket, before the operator"
        elif token.text == "(" and comparison.operand is not None and comparison.operand.text in FUNCTIONS:
            hint = "write the aggregate on the left side, and a number on the right"
        elif token.text == "," and comparison.operand is not None and comparison.operand.kind == "number":
            hint = "write a decimal point, and no mark between thousands"
        elif comparison.operand is not None and comparison.operand.kind == "word" and token.kind in ("word", "number"):
            words = _JOINED.split(self._text[comparison.operand.start :])[0].strip()
            hint = f'put words with spaces into quotes: `"{words}"`'
        raise Unparsed(token.start, token.end, f"`{token.text}` stands after a whole comparison", hint)

    def _left(self) -> Name | Call:
        token = self._next("a signal")
        if token.kind != "word" or token.text in _WORD_OPERATORS:
            hint = None
            if token.text in ("not", "!"):
                hint = "write `not:` as a key, and the comparison as its value"
            elif token.kind in ("number", "threshold", "text"):
                hint = "write the signal first: `confidence < 0.5`"
            raise Unparsed(token.start, token.end, f"`{token.text}` is no signal", hint)
        if self._peek("("):
            return self._call(token)
        return Name(token.text, token.start, token.end)

    def _call(self, function: Token) -> Call:
        self._at += 1
        inner = self._next("a comparison or a signal")
        if inner.kind != "word":
            raise Unparsed(inner.start, inner.end, f"`{inner.text}` is no signal")
        if self._peek("("):
            raise Unparsed(inner.start, inner.end, "an aggregate inside an aggregate", "write two rules")
        of: Comparison | Name = Name(inner.text, inner.start, inner.end)
        if not self._peek(")"):
            assert isinstance(of, Name)  # noqa: S101 - said again for the type checker
            of = self._compared(of, inner.start, inside=True)
        closing = self._next("`)`")
        if closing.text != ")":
            raise Unparsed(closing.start, closing.end, f"`{closing.text}` stands where `)` is expected")
        over = self._lookback() if self._peek("over") else None
        return Call(function.text, of, over, function.start, over.end if over else closing.end)

    def _lookback(self) -> Lookback:
        start = self._next("`over`").start
        amount = self._next("a number of turns or a time")
        how = "write `over 10 turns` or `over 10m`"
        if amount.kind == "duration":
            span_ms = duration_ms(amount.text)
            if span_ms is None:
                raise Unparsed(amount.start, amount.end, f"`{amount.text}` is longer than a year", how)
            return Lookback(None, span_ms, start, amount.end)
        turns = number_of(amount.text) if amount.kind == "number" else None
        if not isinstance(turns, int):
            raise Unparsed(amount.start, amount.end, f"`{amount.text}` is neither a number of turns nor a time", how)
        earlier = self._peek("earlier")
        self._at += earlier
        if not (self._peek("turns") or self._peek("turn")):
            raise Unparsed(amount.start, amount.end, f"`over {amount.text}` has no unit", how)
        return Lookback(turns, None, start, self._next("`turns`").end, earlier)

    def _compared(self, left: Name | Call, start: int, inside: bool) -> Comparison:
        if self._at == len(self._tokens) or (inside and self._peek(")")):
            text = self._text[left.start : left.end]
            raise Unparsed(left.start, left.end, f"`{text}` is not compared with anything", self._instead(left))
        first = self._tokens[self._at]
        operator = self._operator(first)
        last = self._tokens[self._at - 1]
        operand = None if operator.startswith("is ") else self._operand(operator)
        end = operand.end if operand else last.end
        return Comparison(left, operator, operand, first.start, last.end, start, end)

    def _instead(self, left: Name | Call) -> str:
        if isinstance(left, Call):
            return "write an operator and a number after it, as in `>= 2`"
        return f"write an operator and an operand after it, as in `{left.text} = true`"

    def _operator(self, first: Token) -> str:
        self._at += 1
        if first.kind == "operator" and first.text in _SYMBOLS:
            return first.text
        if first.text in ("has", "lacks", "in", "within"):
            return first.text
        if first.text == "not" and (self._peek("in") or self._peek("within")):
            self._at += 1
            return f"not {self._tokens[self._at - 1].text}"
        if first.text == "is":
            return self._presence(first)
        if first.text in _JOINING:
            message = f"`{first.text}` stands where an operator is expected"
            raise Unparsed(
                first.start, first.end, message, f"write `{_JOINING[first.text]}: [...]` with whole comparisons"
            )
        meant = MEANT_OPERATORS.get(first.text)
        known = "write one of `< <= > >= = != in has lacks within`, `not in`, `is known`"
        hint = f"write `{meant}`" if meant else known
        raise Unparsed(first.start, first.end, f"`{first.text}` is no operator", hint)

    def _presence(self, first: Token) -> str:
        for word in ("unknown", "known"):
            if self._peek(word):
                self._at += 1
                return f"is {word}"
        hint = "write `= …` or `!= …`"
        raise Unparsed(first.start, first.end, "after `is` stands only `known` or `unknown`", hint)

    def _operand(self, operator: str) -> Operand:
        token = self._next(f"an operand after `{operator}`")
        if token.text == "[":
            return self._list(token)
        if token.text == "(":
            self._refuse_brackets(token, operator)
        return self._single(token)

    def _refuse_brackets(self, opening: Token, operator: str) -> NoReturn:
        """Refuse an operand in round brackets, all of it where they are closed."""
        end = self._text.find(")", opening.end)
        inner = self._text[opening.end : end].strip() if end >= 0 else ""
        if operator in ("in", "not in", "within", "not within"):
            hint = f"write `[{inner}]`" if inner else f"write the list in square brackets, as `{operator} [a, b]`"
        else:
            hint = f"write `{inner}`" if inner and "(" not in inner else "write the operand without brackets"
        raise Unparsed(opening.start, max(opening.end, end + 1), "an operand does not stand in round brackets", hint)

    def _single(self, token: Token) -> Operand:
        kind, text = token.kind, token.text
        value: float | int | str | bool | None = None
        if kind == "number":
            value = number_of(text)
        elif kind == "percent":
            value = number_of(text[:-1])
        elif kind == "duration":
            value = duration_ms(text)
        elif kind == "time":
            hours, _, minutes = text.partition(":")
            value = int(hours) * 60 + int(minutes) if int(hours) < 24 and int(minutes) < 60 else None
        elif kind == "date":
            value = _ordinal(text)
        elif kind == "text":
            value = _ESCAPED.sub(r"\1", text[1:-1])
        elif kind == "threshold":
            value = text[1:]
        elif kind == "word":
            value = {"true": True, "false": False}.get(text, text)
            kind = "bool" if isinstance(value, bool) else "word"
        else:
            self._refuse_operand(token)
        return Operand(kind, value, text, token.start, token.end)  # type: ignore[arg-type] # all others were refused

    def _refuse_operand(self, token: Token) -> None:
        hint = None
        if token.text in ("'", '"'):
            raise Unparsed(
                token.start,
                token.end,
                "the quote is not closed",
                f"close it with `{token.text}`; where the text holds ` #`, put the whole line into quotes",
            )
        if token.text == "$":
            hint = "write a threshold's name right after `$`, or a plain number without it"
        raise Unparsed(token.start, token.end, f"`{token.text}` is no operand", hint)

    def _list(self, opening: Token) -> Operand:
        items: list[Operand] = []
        while not self._peek("]"):
            items.append(self._single(self._next("a list item")))
            if not self._peek("]"):
                comma = self._next("`,` or `]`")
                if comma.text != ",":
                    hint = "put a comma between items, and quotes around words with spaces"
                    raise Unparsed(comma.start, comma.end, f"`{comma.text}` stands where `,` or `]` is expected", hint)
        closing = self._next("`]`")
        text = self._text[opening.start : closing.end]
        return Operand("list", None, text, opening.start, closing.end, tuple(items))

    def _start(self) -> int:
        return self._tokens[self._at].start if self._at < len(self._tokens) else 0

    def _peek(self, text: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at].text == text

    def _next(self, expected: str) -> Token:
        if self._at == len(self._tokens):
            end = len(self._text.rstrip())
            raise Unparsed(max(0, end - 1), end, f"the line ends where {expected} is expected")
        self._at += 1
        return self._tokens[self._at - 1]


def _ordinal(text: str) -> int | None:
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError:
        return None
