"""What is said when nobody came in time: a call is promised where one is opened, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.compile.queues import TimeoutVerdict
from rules.compile.rule_files import files_or_raise
from rules.files.keys import TIMEOUT_VERDICTS
from rules.handoff import KINDS, Call, Handoff, Kind
from rules.marks import DRILL_MARK
from rules.model import OnTimeout, RuleFiles, Words
from rules.moves import SAY_MISSED, missed
from rules.routing.calls import call_owed
from rules.thinking import SAY_DEFAULT

NOW = 1_800_000_000_000
LIBRARY = Path(__file__).parents[2] / "rules" / "library"
LANGUAGES = {"en", "de", "es", "fr"}
OWN = "We will call you back."
# How one says that a person will come back to the customer, in the languages of the built-in words and the library.
CALL_PROMISED = re.compile(
    r"get back to you|(?:contact|call|write to|tell|answer) you\b|(?:contactar|llamar|escribir)\w*"
    r"|devolver\w* la llamada|pondr\w+ en contacto|le responder|se lo confirmar|meld\w+ (?:uns|sich)"
    r"|ruf\w+ Sie|(?:recontact|rappel)\w+",
    re.IGNORECASE,
)


def handoff(kind: Kind, on_timeout: OnTimeout, locale: str | None = "en", one: str = "c1", **more: object) -> Handoff:
    return Handoff(
        "hof_0_1", "acme", one, kind, "waiting", "tier1", "normal", NOW, NOW + 1, NOW + 1, on_timeout, (),
        locale=locale, **more,  # type: ignore[arg-type]  # as the tests say
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "verdict", "said"),
    [
        ("escalate", "callback", "Nobody was free in time. A colleague will get back to you."),
        ("escalate", "escalate", "Nobody was free in time. A colleague will get back to you."),
        ("hold", "callback", "Nobody was free in time. A colleague will get back to you."),
        ("hold", "deny", "Nobody was free in time, so I cannot go on with this now."),
        ("escalate", "deny", "Nobody was free in time, so I cannot go on with this now."),
        ("hold", "continue", "Nobody was free in time, so I am going on without a colleague."),
        ("review", "callback", None),
        ("review", "deny", None),
        ("review", "continue", None),
    ],
)
def test_what_is_said_where_a_rule_file_has_no_words(kind: Kind, verdict: TimeoutVerdict, said: str | None) -> None:
    assert missed(handoff(kind, OnTimeout(verdict, {})), NOW).say == said


def test_the_built_in_words_speak_the_same_languages_and_promise_a_call_for_a_callback_only() -> None:
    assert set(SAY_MISSED) <= set(TIMEOUT_VERDICTS)
    # `answer` does not load without words, and an `escalate` that nobody took either is a callback.
    assert set(TIMEOUT_VERDICTS) - set(SAY_MISSED) == {"answer", "escalate"}
    for verdict, says in SAY_MISSED.items():
        assert set(says) == LANGUAGES, verdict
        for language, text in says.items():
            assert bool(CALL_PROMISED.search(text)) == (verdict == "callback"), (verdict, language)
    # What is said while somebody is on the way is said with an open handoff, in which a person answers.
    for verdict, says in SAY_DEFAULT.items():
        assert set(says) == LANGUAGES, verdict
        assert verdict in ("hold", "escalate", "held_by_human")


@given(
    kind=st.sampled_from(KINDS),
    verdict=st.sampled_from(get_args(TimeoutVerdict)),
    own=st.sampled_from([{}, {"en": OWN}, {"es": "Le llamaremos."}]),
    locale=st.sampled_from([None, "en", "es-MX", "de", "fr", "pl"]),
    call=st.sampled_from([None, Call(NOW - 1, OWN)]),
    drill=st.booleans(),
)
def test_a_call_is_promised_only_where_one_is_opened(
    kind: Kind, verdict: TimeoutVerdict, own: Words, locale: str | None, call: Call | None, drill: bool
) -> None:
    asked = handoff(kind, OnTimeout(verdict, own), locale, f"{DRILL_MARK}1" if drill else "c1", call=call)
    ended = missed(asked, NOW)
    is_own = ended.say in own.values()
    # A rule file may say with `deny` what it likes; what is told of a `callback` is a promise whoever wrote it.
    if ended.say is not None and (ended.verdict == "callback" or (not is_own and CALL_PROMISED.search(ended.say))):
        assert call_owed(asked, ended) is not None
    if own and not (ended.verdict == "callback" and call_owed(asked, ended) is None):
        assert is_own, "a rule file's own words go before the built-in ones"


@pytest.fixture(scope="module")
def library() -> RuleFiles:
    texts = {path.name: path.read_text("utf-8") for path in LIBRARY.glob("*.yaml") if ".tests." not in path.name}
    return files_or_raise(texts)


def test_the_shipped_rules_promise_a_call_at_a_deadline_only_where_one_is_opened(library: RuleFiles) -> None:
    ends = {f"queue {queue.name}": queue.on_timeout for queue in library.queues.values()}
    ends |= {f"rule {rule.id}": rule.then.on_timeout for rule in library.rules if rule.then.on_timeout is not None}
    assert len(ends) > 15
    promising = {name: bool(any(map(CALL_PROMISED.search, end.say.values()))) for name, end in ends.items()}
    assert {name for name, end in ends.items() if promising[name] and end.verdict != "callback"} == set()
    # The pattern knows a promise: each of those that do open a call makes one in both languages.
    callbacks = {name: end for name, end in ends.items() if end.verdict == "callback"}
    assert {name for name, end in callbacks.items() if not all(map(CALL_PROMISED.search, end.say.values()))} == set()


def test_a_shipped_rule_that_lets_the_reply_out_promises_nobody(library: RuleFiles) -> None:
    says = {rule.id: rule.then.say for rule in library.rules if rule.then.verdict in ("review", "continue")}
    assert [name for name, say in says.items() if any(map(CALL_PROMISED.search, say.values()))] == []
