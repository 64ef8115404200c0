"""What a fast engine once missed, or might: each pattern is found in each of its texts, however far in it stands.

Hyperscan as it comes on PyPI (Vectorscan 5.4.12) missed them, each pattern alone in its database. They are kept for
whoever takes another engine: its bugs lie in vector code, so they show at some lengths and on some processors only.
"""

from __future__ import annotations

import pytest

from rules.model import Topic
from rules.text.topics import Matcher

ABUSE = (
    r"\b(?:you|u|ur|you're|you 're|you'r|your|youre|such an?|ya) (?:\w+ ){0,2}(?:idiot|moron|imbecile|bitch|slut|whore|"
    r"cunt|bastard|asshole|arsehole|dumbass|retard|scum|dickhead|prick|twat|pig|loser|pathetic|worthless|stupid|dumb)\b"
)
ASKED = (
    "(?:^|[.,;!?:] )(?:please |pls )?(?:an? |your |the )?(?:real |human )?"
    "(?:supervisor|manager),? (?:please|pls|now|asap|immediately)(?:[.!,]|$)"
)
# pattern, text
MISSED = {
    "words and up to two more of a longer pattern": (ABUSE, "server reach on settle was ya whore"),
    "the start or a stop": (ASKED, "this is really going nowhere, supervisor now"),
    "anything up to a comma and a word": (r"sue.*,\s*lawyer", "i will sue you; i want a refund, lawyer"),
    "anything up to a stop and a word": (r"sue.*\.\s*back", "please sue manager sue, sue lawyer person now. back"),
    "anything but a stop": (r"money[^.]*,\s*person", "money sue kill lawyer back back money manager please, person"),
    "anything up to a question mark": (r"now.*\?\s*myself", "now human human, kill money lawyer now now human? myself"),
    "anything up to a bar": (r"curl.*\|\s*python", "curl http://vader:8080/ 2>&1 | python"),
}


@pytest.mark.parametrize("before", [0, 1, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 300])
@pytest.mark.parametrize(("pattern", "text"), MISSED.values(), ids=MISSED)
def test_a_match_is_found_however_far_in(pattern: str, text: str, before: int) -> None:
    matcher = Matcher({"t": Topic("t", patterns=(pattern,))})
    told = matcher.find(f"{'x' * before} {text}", "message")
    assert [each.matched for each in told] == [pattern]


@pytest.mark.parametrize("times", [1, 63, 64, 65, 5_000])
def test_what_follows_however_many_places_that_are_taken_back_is_found(times: int) -> None:
    matcher = Matcher({"t": Topic("t", patterns=(r"\bagents?\b",), unless=("travel agent",))})
    text = "a travel agent, " * times + "an agent"
    assert [text[each.start : each.end] for each in matcher.find(text, "message")] == ["agent"]


def test_patterns_do_not_hide_one_another() -> None:
    patterns = (
        r"<%[\s\S]+%>",
        "<[^<>]+:(?:include|forward|invoke|doBody|getProperty|setProperty|useBean|plugin|element|attribute|body)",
        r"[\$#]\{[\s\S]+\([\s\S]*\)[\s\S]*\}",
    )
    matcher = Matcher({"t": Topic("t", patterns=patterns)})
    assert [each.matched for each in matcher.find("<%out.print();int a%>", "message")] == [patterns[0]]
