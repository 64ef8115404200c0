"""The chain of a conversation: one tree in whatever order turns came, and where two agents name one thing apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.chains.chain import CHAIN_TURNS_MAX, Chain, ChainTurn, chain_of, chain_turn
from rules.chains.disagreements import Disagreement, compare_all, compare_last, words
from rules.chains.same_matter import SENTENCES
from rules.chains.standing import CHAIN_SIGNALS, path_text
from rules.chains.told_turns import chain_turn_told, kept_beside, turn_told
from rules.evaluation.signal_table import SIGNALS
from rules.evaluation.signals import read, record
from rules.history import before, cut, remember
from rules.model import RuleFiles
from rules.packet.context_packet import TranscriptTurn
from rules.turn import AgentRef, Conversation, Parent, ToolCall, Turn, Value

FILES = RuleFiles("", {}, {}, {}, {}, ())
AGENTS = ("triage", "billing", "refunds", None)


def turn(
    turn_id: str, agent: str | None, parent: Parent | None = None, index: int | None = None, **fields: object
) -> Turn:
    return Turn("c", turn_id, AgentRef(agent), parent=parent, turn_index=index, **fields)  # type: ignore[arg-type]


def said(turn_id: str, agent: str | None, parent: str | None = None, **fields: object) -> ChainTurn:
    return ChainTurn(turn_id, agent, None if parent is None else Parent(parent), **fields)  # type: ignore[arg-type]


def chain(*turns: ChainTurn) -> Chain:
    return chain_of(turns, "c")


def shape(chain: Chain) -> list[tuple[str | None, int | None, int, list[str]]]:
    return [(one.agent, one.under, one.depth, [each.turn_id for each in one.turns]) for one in chain.stations]


def branches(chain: Chain) -> Counter[tuple[tuple[str | None, ...], frozenset[str]]]:
    """Return each station by the way to it and its turns: what is the same however stations are numbered."""
    return Counter(
        (chain.path(place), frozenset(each.turn_id for each in station.turns))
        for place, station in enumerate(chain.stations)
    )


def test_work_that_is_handed_on_is_a_line_and_work_that_is_given_to_two_a_tree() -> None:
    line = chain(said("1", "triage"), said("2", "billing", "triage"), said("3", "refunds", "billing"))
    assert shape(line) == [("triage", None, 0, ["1"]), ("billing", 0, 1, ["2"]), ("refunds", 1, 2, ["3"])]
    tree = chain(said("1", "triage"), said("2", "billing", "triage"), said("3", "refunds", "triage"))
    assert shape(tree) == [("triage", None, 0, ["1"]), ("billing", 0, 1, ["2"]), ("refunds", 0, 1, ["3"])]


def test_an_agent_keeps_its_station_until_the_work_comes_to_it_again() -> None:
    found = chain(
        said("1", "triage"),
        said("2", "billing", "triage"),
        said("3", "billing"),
        said("4", "billing", "triage"),
        said("5", "triage"),
        said("6", "triage", "billing"),
        said("7", "billing", "triage"),
    )
    assert shape(found) == [
        ("triage", None, 0, ["1", "5"]),
        ("billing", 0, 1, ["2", "3", "4"]),
        ("triage", 1, 2, ["6"]),
        ("billing", 2, 3, ["7"]),
    ]
    assert (found.handovers, found.returns, found.agents) == (3, 2, ("triage", "billing"))


def test_one_agent_alone_is_no_handover() -> None:
    found = chain(said("1", "triage"), said("2", "triage"))
    assert not found.handed_over
    assert (found.handovers, found.agents) == (0, ("triage",))
    assert not chain().handed_over


def test_a_parent_is_put_before_its_child_however_late_it_came() -> None:
    child = ChainTurn("2", "billing", Parent(turn_id="1"))
    assert shape(chain(child, said("1", "triage"))) == shape(chain(said("1", "triage"), child))


def test_a_circle_of_parents_ends_and_is_told() -> None:
    ring = [ChainTurn(str(number), f"a{number}", Parent(turn_id=str((number + 1) % 5))) for number in range(5)]
    found = chain(*ring)
    assert [(one.turn_id, one.kind) for one in found.odd] == [("4", "loop")]
    assert sorted(each.turn_id for station in found.stations for each in station.turns) == ["0", "1", "2", "3", "4"]


def test_only_the_newest_turns_of_an_endless_chain_are_read() -> None:
    long = [said(str(number), f"a{number}", f"a{number - 1}") for number in range(1_000)]
    found = chain(*long)
    assert len(found.stations) == CHAIN_TURNS_MAX + 1
    assert found.stations[-1].agent == "a999"


parents = st.none() | st.builds(
    Parent,
    st.sampled_from((*AGENTS, "ghost")),
    st.sampled_from((None, None, "c", "elsewhere")),
    st.none() | st.integers(0, 14).map(str),
)
lists_of_turns = st.lists(st.tuples(st.sampled_from(AGENTS), parents), min_size=1, max_size=12).map(
    lambda given: [ChainTurn(str(number), agent, parent) for number, (agent, parent) in enumerate(given)]
)


@given(lists_of_turns)
def test_whatever_parents_are_named_every_turn_has_one_place_and_every_station_hangs_on_an_earlier_one(
    turns: list[ChainTurn],
) -> None:
    found = chain(*turns)
    placed = Counter(each.turn_id for station in found.stations for each in station.turns)
    assert placed == Counter(each.turn_id for each in turns)
    for place, station in enumerate(found.stations):
        assert all(each.agent == station.agent for each in station.turns)
        if station.under is None:
            assert station.depth == 0
        else:
            assert station.under < place
            assert station.depth == found.stations[station.under].depth + 1
        assert found.path(place)[-1] == station.agent
        assert len(found.path(place)) == station.depth + 1
    assert found == chain(*turns)


@given(lists_of_turns, st.randoms(use_true_random=False))
def test_turns_that_count_themselves_make_one_record_in_any_order_of_arrival(
    turns: list[ChainTurn], chance: object
) -> None:
    sent = [turn(each.turn_id, each.agent, each.parent, number) for number, each in enumerate(turns)]
    arrived = list(sent)
    chance.shuffle(arrived)  # type: ignore[attr-defined]
    conversation = Conversation("c")
    for each in arrived:
        seen = before(conversation, each.turn_index)
        conversation = remember(conversation, record(FILES, each, read(FILES, each, seen, 0, ()), 0))
    kept = [chain_turn(one.turn) for one in conversation.past if one.turn is not None]
    assert chain_of(kept, "c") == chain_of([chain_turn(each) for each in sent], "c")


@st.composite
def followed(draw: st.DrawFn) -> list[ChainTurn]:
    """Turns that each name the turn they follow from, by another agent; the first follows from none."""
    turns = [ChainTurn("0", "agent-0")]
    for number in range(1, draw(st.integers(1, 10))):
        before_it = draw(st.sampled_from(turns))
        turns.append(ChainTurn(str(number), f"agent-{number}", Parent(before_it.agent, None, before_it.turn_id)))
    return turns


@given(followed(), st.randoms(use_true_random=False))
def test_turns_that_name_the_turn_they_follow_make_one_tree_in_any_order(
    turns: list[ChainTurn], chance: object
) -> None:
    shuffled = list(turns)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert branches(chain(*shuffled)) == branches(chain(*turns))
    assert chain(*shuffled).odd == ()


def call(name: str, amount: float | None = None, **args: object) -> ToolCall:
    return ToolCall(name, args, write=True, amount=amount)


# what the first agent does, what the second does, and what they differ in
PAIRS: dict[str, tuple[tuple[ToolCall, ...], tuple[ToolCall, ...], list[tuple[str, str]], float | None]] = {
    "two amounts": ((call("pay", 80),), (call("pay", 120),), [("amount", "pay.amount_usd")], 40),
    "one amount": ((call("pay", 80),), (call("pay", 80.0),), [], 0),
    "no amount": ((call("pay"),), (call("pay", 80),), [], None),
    "two values of an argument": (
        (call("close", order="A-1", days=3),),
        (call("close", order="A-1", days=5),),
        [("argument", "close.days")],
        None,
    ),
    "a number and the same as text": ((call("close", days=3),), (call("close", days="3.0"),), [], None),
    "a yes and a one": ((call("close", now=True),), (call("close", now=1),), [("argument", "close.now")], None),
    "the same word in other letters": ((call("close", why="Late "),), (call("close", why="late"),), [], None),
    "an argument deep inside": (
        (call("close", order={"id": "A-1"}),),
        (call("close", order={"id": "A-2"}),),
        [("argument", "close.order.id")],
        None,
    ),
    "two sets": (
        (call("close", items=["a", "b"]),),
        (call("close", items=["b", "c"]),),
        [("argument", "close.items")],
        None,
    ),
    "sentences are never the same": ((call("pay", 80, reason="late"),), (call("pay", 80, reason="rude"),), [], 0),
    "long texts are sentences": ((call("pay", x="a" * 41),), (call("pay", x="b" * 41),), [], None),
    "two orders are two matters": (
        (call("pay", 80, order="A-1"),),
        (call("pay", 120, order="A-2"),),
        [],
        None,
    ),
    "of several calls the one about the same order": (
        (call("pay", 80, order="A-1"), call("pay", 40, order="A-2")),
        (call("pay", 45, order="A-2"),),
        [("amount", "pay.amount_usd")],
        5,
    ),
    "who repeats one of several calls agrees": (
        (call("pay", 80, order="A-1"), call("pay", 40, order="A-2")),
        (call("pay", 40, order="A-2"),),
        [],
        0,
    ),
    "two tools and one amount": ((call("quote", 80, order="A-1"),), (call("pay", 80, order="A-1"),), [], 0),
    "two tools and two amounts": (
        (call("quote", 80, order="A-1"),),
        (call("pay", 120, order="A-1"),),
        [("amount", "amount_usd")],
        40,
    ),
    "two tools about two orders": ((call("quote", 80, order="A-1"),), (call("pay", 120, order="A-2"),), [], None),
    "what only reads binds nobody": (
        (ToolCall("look", {"order": "A-1"}, write=False),),
        (ToolCall("look", {"order": "A-2"}, write=False),),
        [],
        None,
    ),
    "what failed was not done": (
        (replace(call("pay", 80), status="error"),),
        (call("pay", 120),),
        [],
        None,
    ),
    "no calls at all": ((), (), [], None),
    "a number that is none": ((call("pay", float("nan")),), (call("pay", float("inf")),), [], None),
}


@pytest.mark.parametrize("case", PAIRS)
def test_two_agents_are_compared_by_what_stands_in_their_calls(case: str) -> None:
    first, second, differ, apart = PAIRS[case]
    turns = [
        said("1", "billing", message="refund please", tool_calls=first),
        said("2", "refunds", "billing", tool_calls=second),
    ]
    found = compare_last(chain(*turns), turns)
    assert [(each.kind, each.name) for each in found.disagreements] == differ
    assert found.apart_usd == apart


def test_an_agent_differs_with_nobody_when_it_thinks_better_of_it() -> None:
    turns = [said("1", "a", tool_calls=(call("pay", 80),)), said("2", "a", "b", tool_calls=(call("pay", 90),))]
    assert compare_last(chain(*turns), turns).disagreements == ()


def test_what_was_said_to_another_message_is_another_matter() -> None:
    turns = [
        said("1", "a", message="Refund  it", tool_calls=(call("pay", 80),)),
        said("2", "b", "a", message="refund it", tool_calls=(call("pay", 90),)),
        said("3", "c", "b", message="and the other one", tool_calls=(call("pay", 95),)),
    ]
    assert len(compare_last(chain(*turns[:2]), turns[:2]).disagreements) == 1
    assert compare_last(chain(*turns), turns).disagreements == ()
    assert [each.later.turn_id for each in compare_all(chain(*turns), turns).disagreements] == ["2"]


def answered(*replies: tuple[str, str | None, str]) -> list[Disagreement]:
    turns = [
        said(str(number), agent, parent, message="is it covered", reply=reply)
        for number, (agent, parent, reply) in enumerate(replies)
    ]
    return list(compare_last(chain(*turns), turns).disagreements)


def test_two_answers_to_one_message_by_agents_that_one_agent_asked() -> None:
    (found,) = answered(("claims", "front", "Yes."), ("contracts", "front", "No."))
    assert (found.kind, found.earlier.agent, found.later.agent) == ("answer", "claims", "contracts")
    assert words(found) == "claims (turn 0) and contracts answer differently"
    assert answered(("claims", "front", "Yes."), ("contracts", "front", "yes. ")) == []
    assert answered(("front", None, "One moment."), ("claims", "front", "Yes.")) == []
    assert answered(("claims", None, "Yes."), ("contracts", None, "No.")) == []


def test_what_is_told_of_a_difference_holds_no_personal_data() -> None:
    card, mail = "4111 1111 1111 1111", "joe@example.com"
    turns = [
        said("1", "a", message="pay", tool_calls=(call("pay", 5, to=card, mail=mail),)),
        said("2", "b", "a", tool_calls=(call("pay", 5, to="4012 8888 8888 1881", mail="eve@example.com"),)),
    ]
    told = " ".join(map(words, compare_last(chain(*turns), turns).disagreements))
    assert "pay.to is" in told
    assert "4111 1111" not in told
    assert "joe@" not in told


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=50),
    st.lists(st.text(max_size=5), max_size=3),
)
any_calls = st.builds(
    ToolCall,
    st.sampled_from(("pay", "quote")),
    st.dictionaries(st.sampled_from(("order", "to", "reason", "x")), values, max_size=4),
    st.sampled_from((None, True, False)),
    st.none() | st.floats(),
    st.sampled_from(("proposed", "ok", "error")),
)


@given(st.lists(st.tuples(st.sampled_from(AGENTS), st.lists(any_calls, max_size=3)), min_size=1, max_size=6))
def test_whatever_is_called_nobody_differs_with_itself_and_the_end_differs_as_the_whole_says(
    given_turns: Sequence[tuple[str | None, list[ToolCall]]],
) -> None:
    turns = [
        said(str(number), agent, "triage", tool_calls=tuple(calls)) for number, (agent, calls) in enumerate(given_turns)
    ]
    found = chain(*turns)
    last = compare_last(found, turns)
    for each in last.disagreements:
        assert each.earlier.agent != each.later.agent
        assert each.later.turn_id == turns[-1].turn_id
        assert words(each)
        assert not {part.lower() for part in each.name.split(".")[1:]} & SENTENCES
    assert last.apart_usd is None or last.apart_usd >= 0
    everywhere = {(each.kind, each.name) for each in compare_all(found, turns).disagreements}
    assert {(each.kind, each.name) for each in last.disagreements[:5]} <= everywhere or len(everywhere) >= 20


def values_after(*turns: Turn) -> dict[str, Value]:
    conversation, found = Conversation("c"), {}
    for each in turns:
        found = read(FILES, each, conversation, 0, ())
        conversation = remember(conversation, record(FILES, each, found, 0))
    return found


def test_the_signals_are_unknown_where_nobody_named_a_parent() -> None:
    found = values_after(turn("1", "a", message="hi"), turn("2", "b", message="hi"))
    assert {name: found[name] for name in CHAIN_SIGNALS} == dict.fromkeys(CHAIN_SIGNALS)
    assert {name for name, spec in SIGNALS.items() if spec.group == "chain"} == set(CHAIN_SIGNALS)


def test_the_signals_of_a_chain_are_read_until_a_person_has_given_it_back() -> None:
    first, second = turn("1", "a", message="hi"), turn("2", "b", Parent("a"), reply="x")
    third = turn("3", "b", reply="y")
    found = values_after(first, second, third)
    assert {name: found[name] for name in CHAIN_SIGNALS} == {
        "chain_depth": 1,
        "handovers_count": 1,
        "agent_returns_count": 0,
        "agents_count": 2,
        "agents_disagree": False,
        "disagreements": frozenset(),
        "amounts_differ_usd": None,
    }
    conversation = Conversation("c")
    for each in (first, second):
        conversation = remember(conversation, record(FILES, each, read(FILES, each, conversation, 5, ()), 5))
    assert conversation.chained
    assert not cut(conversation, 5).chained
    assert read(FILES, third, cut(conversation, 5), 6, ())["chain_depth"] is None


def test_a_long_path_is_told_by_its_ends() -> None:
    assert path_text(("a", None, "c")) == "a > unknown > c"
    assert path_text(tuple("abcdefghi")) == "a > b > c > d > … > i"


@given(st.sampled_from(AGENTS), parents, st.none() | st.text(max_size=9))
def test_a_kept_turn_is_the_turn_that_it_was_as_far_as_chains_go(
    agent: str | None, parent: Parent | None, reply: str | None
) -> None:
    sent = turn("1", agent, parent, reply=reply)
    kept = TranscriptTurn("1", 5, None, reply, (), "continue", kept_beside(sent))
    assert turn_told(kept, "c") == sent
    assert chain_turn_told(kept) == replace(chain_turn(sent), verdict="continue", at_ms=5)
    assert chain_turn_told(replace(kept, beside=None)).agent is None
