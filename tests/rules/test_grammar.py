"""One line of a condition: what it means, and what an author is told who wrote it differently."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.files.grammar import (
    COMPARISON_CHARACTERS_MAX,
    DURATION_MS_MAX,
    Call,
    Comparison,
    Lookback,
    Name,
    Operand,
    Unparsed,
    duration_ms,
    number_of,
    parse,
)

OPERANDS: dict[str, tuple[str, object]] = {
    "0.55": ("number", 0.55),
    "200": ("number", 200),
    "-0.6": ("number", -0.6),
    "+3": ("number", 3),
    ".5": ("number", 0.5),
    "1e3": ("number", 1000.0),
    "1e999": ("number", None),
    "55%": ("percent", 55),
    "90s": ("duration", 90_000),
    "10m": ("duration", 600_000),
    "2h": ("duration", 7_200_000),
    "3d": ("duration", 259_200_000),
    "1h30m": ("duration", 5_400_000),
    "250ms": ("duration", 250),
    "1.5h": ("duration", 5_400_000),
    "900d": ("duration", None),
    "18:00": ("time", 1080),
    "9:05": ("time", 545),
    "25:00": ("time", None),
    "2026-12-24": ("date", 739_974),
    "2026-02-30": ("date", None),
    "chat": ("word", "chat"),
    "en-US": ("word", "en-US"),
    "v1.2": ("word", "v1.2"),
    "3ds": ("word", "3ds"),
    "señal": ("word", "señal"),
    "true": ("bool", True),
    "false": ("bool", False),
    '"live chat"': ("text", "live chat"),
    "'live chat'": ("text", "live chat"),
    r'"a \"b\" \\ c"': ("text", 'a "b" \\ c'),
    '"true"': ("text", "true"),
    "$low_confidence": ("threshold", "low_confidence"),
}


@pytest.mark.parametrize("text", OPERANDS)
def test_an_operand_is_read_by_how_it_is_written(text: str) -> None:
    operand = parse(f"left = {text}").operand
    assert operand is not None
    assert (operand.kind, operand.value) == OPERANDS[text]
    assert operand.text == text
    assert (operand.start, operand.end) == (7, 7 + len(text))


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "=", "!=", "has", "lacks"])
@pytest.mark.parametrize("space", ["", " ", "   "])
def test_every_operator_stands_between_two_sides(operator: str, space: str) -> None:
    space = space or (" " if operator.isalpha() else "")
    parsed = parse(f"left{space}{operator}{space}5")
    assert (parsed.left, parsed.operator) == (Name("left", 0, 4), operator)


def test_words_are_operators_too() -> None:
    assert parse("channel in [chat, 'live chat']").operator == "in"
    assert parse("channel not  in [chat]").operator == "not in"
    assert parse("sources within [kb, 'price list']").operator == "within"
    assert parse("sources not  within [kb]").operator == "not within"
    assert parse("confidence is known").operator == "is known"
    assert parse("confidence  is  unknown").operator == "is unknown"


def test_a_list_keeps_its_items_with_their_places() -> None:
    assert parse('x in [a, 2, "b c"]').operand == Operand(
        "list",
        None,
        '[a, 2, "b c"]',
        5,
        18,
        (
            Operand("word", "a", "a", 6, 7),
            Operand("number", 2, "2", 9, 10),
            Operand("text", "b c", '"b c"', 12, 17),
        ),
    )


def test_an_aggregate_has_a_window_or_none() -> None:
    parsed = parse("count(topics has refunds) over 10 turns >= 2")
    assert parsed.left == Call(
        "count",
        Comparison(Name("topics", 6, 12), "has", Operand("word", "refunds", "refunds", 17, 24), 13, 16, 6, 24),
        Lookback(10, None, 26, 39),
        0,
        39,
    )
    parsed = parse("avg(sentiment) over 10m < -0.4")
    assert parsed.left == Call("avg", Name("sentiment", 4, 13), Lookback(None, 600_000, 15, 23), 0, 23)
    parsed = parse("streak(confidence is unknown) >= 3")
    assert isinstance(parsed.left, Call)
    assert parsed.left.over is None


# line -> the characters at fault, the fact, the next step
UNPARSED: dict[str, tuple[str, str, str | None]] = {
    "": ("", "the line ends where a signal is expected", None),
    "confidence": (
        "confidence",
        "`confidence` is not compared with anything",
        "write an operator and an operand after it, as in `confidence = true`",
    ),
    "streak(confidence < 0.5)": (
        "streak(confidence < 0.5)",
        "`streak(confidence < 0.5)` is not compared with anything",
        "write an operator and a number after it, as in `>= 2`",
    ),
    "confidence <": ("<", "the line ends where an operand after `<` is expected", None),
    "confidence == 1": ("==", "`==` is no operator", "write `=`"),
    "confidence =< 1": ("=<", "`=<` is no operator", "write `<=`"),
    "confidence ≥ 1": ("≥", "`≥` is no operator", "write `>=`"),
    "topics contains refunds": ("contains", "`contains` is no operator", "write `has`"),
    "confidence 5": (
        "5",
        "`5` is no operator",
        "write one of `< <= > >= = != in has lacks within`, `not in`, `is known`",
    ),
    "confidence is low": ("is", "after `is` stands only `known` or `unknown`", "write `= …` or `!= …`"),
    "channel is not chat": ("is", "after `is` stands only `known` or `unknown`", "write `= …` or `!= …`"),
    "a < 1 and b > 2": ("and", "`and` stands after a whole comparison", "write `all: [...]` with whole comparisons"),
    "a < 1 || b > 2": ("||", "`||` stands after a whole comparison", "write `any: [...]` with whole comparisons"),
    "a and b": ("and", "`and` stands where an operator is expected", "write `all: [...]` with whole comparisons"),
    "channel = live chat": (
        "chat",
        "`chat` stands after a whole comparison",
        'put words with spaces into quotes: `"live chat"`',
    ),
    "amount > 1,000": (
        ",",
        "`,` stands after a whole comparison",
        "write a decimal point, and no mark between thousands",
    ),
    "not a = 1": ("not", "`not` is no signal", "write `not:` as a key, and the comparison as its value"),
    "0.5 > confidence": ("0.5", "`0.5` is no signal", "write the signal first: `confidence < 0.5`"),
    "[": ("[", "`[` is no signal", None),
    'name = "open': (
        '"',
        "the quote is not closed",
        'close it with `"`; where the text holds ` #`, put the whole line into quotes',
    ),
    "a < $ 5": ("$", "`$` is no operand", "write a threshold's name right after `$`, or a plain number without it"),
    "a < (5)": ("(5)", "an operand does not stand in round brackets", "write `5`"),
    "a in (b, c)": ("(b, c)", "an operand does not stand in round brackets", "write `[b, c]`"),
    "a in (b": (
        "(",
        "an operand does not stand in round brackets",
        "write the list in square brackets, as `in [a, b]`",
    ),
    "a < avg(b)": (
        "(",
        "`(` stands after a whole comparison",
        "write the aggregate on the left side, and a number on the right",
    ),
    "a in [b c]": (
        "c",
        "`c` stands where `,` or `]` is expected",
        "put a comma between items, and quotes around words with spaces",
    ),
    "a in [b,": (",", "the line ends where a list item is expected", None),
    "count(a < 1) over 10 >= 2": ("10", "`over 10` has no unit", "write `over 10 turns` or `over 10m`"),
    "count(a < 1) over ten >= 2": (
        "ten",
        "`ten` is neither a number of turns nor a time",
        "write `over 10 turns` or `over 10m`",
    ),
    "count(a < 1) over 900d >= 2": ("900d", "`900d` is longer than a year", "write `over 10 turns` or `over 10m`"),
    "count(a < 1) >= 2 over 10 turns": (
        "over",
        "`over` stands after a whole comparison",
        "write `over …` right after the closing bracket, before the operator",
    ),
    "count(a < 1 >= 2": (">=", "`>=` stands where `)` is expected", None),
    "count(max(a) > 1) >= 2": ("max", "an aggregate inside an aggregate", "write two rules"),
    "count() >= 2": (")", "`)` is no signal", None),
}


@pytest.mark.parametrize("line", UNPARSED)
def test_a_line_that_is_no_comparison_is_told_where_and_what_to_write(line: str) -> None:
    with pytest.raises(Unparsed) as raised:
        parse(line)
    error = raised.value
    assert (line[error.start : error.end], error.message, error.hint) == UNPARSED[line]


def test_a_comparison_has_a_longest_length() -> None:
    with pytest.raises(Unparsed, match=f"the limit is {COMPARISON_CHARACTERS_MAX}"):
        parse("a in [" + "b, " * COMPARISON_CHARACTERS_MAX + "b]")


@pytest.mark.parametrize("text", ["", "5", "m", "5x", "5 m", "1m x", "-5m", "9" * 400 + "s", "366d"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert duration_ms(text) is None


def test_a_duration_is_at_most_a_year() -> None:
    assert duration_ms("365d") == DURATION_MS_MAX


@pytest.mark.parametrize("text", ["nan", "inf", "-infinity", "1e999", "1_000", "", "5 6", "0x10"])
def test_what_is_no_finite_number_is_none(text: str) -> None:
    assert number_of(text) is None


PIECES = st.one_of(
    st.sampled_from(["confidence", "count", "over", "10", "turns", "10m", "is", "known", "not", "in", "has", "$low"]),
    st.sampled_from(["18:00", "2026-13-01", "and", "5%", "1e9", "٣", "é", "\n", "\0", "\ud800"]),
    st.sampled_from("()[],<>=!$\"'\\%-.:& "),
)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map(" ".join), st.lists(PIECES).map("".join)))
def test_no_text_makes_the_parser_raise_anything_else(text: str) -> None:
    start, end = outcome(text)
    assert 0 <= start <= end <= len(text)


def outcome(text: str) -> tuple[int, int]:
    """Return the characters of the comparison, or of what keeps the text from being one."""
    try:
        parsed = parse(text)
    except Unparsed as error:
        return error.start, error.end
    assert not (text[: parsed.start] + text[parsed.end :]).strip()
    return parsed.start, parsed.end
