"""What an operator writes is never lost, and never goes out for another draft than the one before them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.waiting import wait_until
from tests.walks.browser import browser, needs_browser, telephone
from tests.walks.served import Served
from tests.walks.test_console import Desk, look
from tests.walks.test_console_further import hand_on
from tests.workers.receiver import Receiver

pytestmark = [pytest.mark.server, pytest.mark.walk, needs_browser]

RULES = """
handrail: 1
topics:
  person: {phrases: [talk to a human], means: asks_for_person}
queues:
  drafts: {title: Drafts, answer_within: 15m, on_timeout: {verdict: deny, say: {en: No.}}, say: {en: I have to ask.}}
  tier1: {title: First line, answer_within: 15m, on_timeout: {verdict: deny, say: {en: No.}}, say: {en: One moment.}}
  brief:
    title: Night desk
    answer_within: 2s
    on_timeout: {verdict: callback, say: {en: "We will call you back today."}}
    say: {en: One moment.}
rules:
  - {id: lost, why: the agent is lost, when: confidence < 0.1, then: {escalate: brief}}
  - {id: unsure, why: the agent is unsure, when: {all: [confidence < 0.5, confidence >= 0.1]}, then: {hold: drafts}}
  - {id: person, why: the customer asks for a person, when: asks_for_person = true, then: {escalate: tier1}}
"""
REFUND = {"name": "issue_refund", "args": {"order_id": "A-7"}, "write": True, "amount": 480.0, "status": "proposed"}
NEWER = "The agent has proposed something newer, shown above: put this back and take it again to decide on it."


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("drafts")
    with Receiver() as room, Served(folder, rules_text=RULES) as served, browser() as started:
        ben = served.post("/keys", {"name": "ben", "role": "operator"})["token"]
        yield Desk(served, room, started, ben)


def held(desk: Desk, conversation_id: str, turn_id: str, reply: str, **more: Any) -> str:
    """Let the agent be held with a draft, and return the handoff that it waits in."""
    return desk.asked(conversation_id, "refund me", turn_id, reply=reply, confidence=0.3, **more)


def choice(page: Page, action: str) -> Locator:
    """Return what the agent shall do, to be chosen: its label is in words of its own in each kind of work."""
    return page.locator(f"#end input[name=action][value={action}]")


def put_back_and_take_again(page: Page) -> None:
    if page.locator("#forms details").first.get_attribute("open") is None:
        page.get_by_text("Not now").click()
    page.get_by_role("button", name="Put it back in the queue").click()
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_text("yours for")).to_be_visible()


def kept(desk: Desk, handoff_id: str) -> str:
    """Return all that the server has of what the operator was writing, as text."""
    return str([each["fields"] for each in desk.drafts(handoff_id)])


def test_an_edit_of_an_earlier_draft_does_not_go_out_for_a_newer_one_and_stands_beside_it(desk: Desk) -> None:
    handoff_id = held(desk, "edited", "1", "FIRST draft")
    with telephone(desk.browser) as page:
        desk.take(page, handoff_id)
        choice(page, "edit").check()
        page.get_by_label("yes", exact=True).check()
        page.get_by_label("Instead of the draft").fill("FIRST draft corrected")
        held(desk, "edited", "2", "SECOND draft")
        alarm = page.locator(".pinned [role=alert] .banner")
        expect(alarm).to_have_text(f"{NEWER} What you edited stands under “Drafts”.")
        expect(page.locator("#task")).to_contain_text("SECOND draft")
        # What was chosen was chosen for the other one; whether a person was needed is as it was.
        expect(choice(page, "edit")).not_to_be_checked()
        expect(page.get_by_label("yes", exact=True)).to_be_checked()
        expect(page.locator("#drafts")).to_contain_text("You wrote this for an earlier draft of the agent")
        expect(page.locator("#drafts")).to_contain_text("FIRST draft corrected")
        wait_until(lambda: "FIRST draft corrected" in kept(desk, handoff_id))

        put_back_and_take_again(page)
        expect(page.locator("#drafts")).to_contain_text("FIRST draft corrected")
        choice(page, "edit").check()
        expect(page.get_by_label("Instead of the draft")).to_have_value("SECOND draft")
        # What was written for the earlier one is used only by a tap.
        page.get_by_role("button", name="Use this text").click()
        expect(page.get_by_label("Instead of the draft")).to_have_value("FIRST draft corrected")
        expect(page.locator("#drafts")).to_be_empty()
        page.get_by_label("Instead of the draft").fill("SECOND draft corrected")
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_text("It has ended: edit, by operator")).to_be_visible()
    resolution = desk.handoff(handoff_id)["resolution"]
    assert (resolution["edited"], resolution["turn_id"]) == ({"reply": "SECOND draft corrected"}, "2")


def test_an_approval_that_was_refused_for_a_newer_draft_is_given_anew_or_not_at_all(desk: Desk) -> None:
    handoff_id = held(desk, "approved", "1", "FIRST draft", tool_calls=[REFUND])
    with telephone(desk.browser) as page:
        page.route("**/events", lambda route: route.abort())
        desk.take(page, handoff_id)
        choice(page, "hand_back").check()
        page.get_by_label("What you found out").fill("parcel: lost")
        page.get_by_label("the agent may try the held action again").check()
        choice(page, "approve").check()
        page.get_by_label("yes", exact=True).check()
        held(desk, "approved", "2", "SECOND draft")
        page.get_by_role("button", name="End it").click()
        expect(page.locator(".pinned [role=alert] .banner")).to_have_text(NEWER)
        put_back_and_take_again(page)
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_role("alert").get_by_text("Choose what the agent shall do")).to_be_visible()
        # Nor may the agent try what was held before; what was found out is as true as it was.
        choice(page, "hand_back").check()
        expect(page.get_by_label("the agent may try the held action again")).not_to_be_checked()
        expect(page.get_by_label("What you found out")).to_have_value("parcel: lost")
        choice(page, "approve").check()
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_text("It has ended: approve, by operator")).to_be_visible()
    assert desk.handoff(handoff_id)["resolution"]["turn_id"] == "2"


def test_what_was_chosen_for_an_earlier_draft_is_not_put_back_after_a_reload(desk: Desk) -> None:
    handoff_id = held(desk, "reloaded", "1", "FIRST draft", tool_calls=[REFUND])
    with telephone(desk.browser) as page:
        page.route("**/events", lambda route: route.abort())
        desk.take(page, handoff_id)
        choice(page, "edit").check()
        box, what = page.get_by_label("Instead of the draft"), page.get_by_label("What to change")
        box.fill("FIRST draft corrected")
        what.select_option(label="the call of issue_refund")
        box.fill('{"order_id": "A-8"}')
        # What was written for the one is there again whatever is looked at meanwhile.
        what.select_option(label="the reply")
        expect(box).to_have_value("FIRST draft corrected")
        what.select_option(label="the call of issue_refund")
        page.reload()
        expect(choice(page, "edit")).to_be_checked()
        expect(box).to_have_value('{"order_id": "A-8"}')
        what.select_option(label="the reply")
        expect(box).to_have_value("FIRST draft corrected")
        page.get_by_label("To the customer").fill("One moment")
        held(desk, "reloaded", "2", "SECOND draft")
        page.reload()
        expect(page.get_by_label("To the customer")).to_have_value("One moment")
        expect(page.locator("#drafts")).to_contain_text("FIRST draft corrected")
        expect(page.locator("#drafts")).to_contain_text('{"order_id": "A-8"}')
        expect(choice(page, "edit")).not_to_be_checked()
        choice(page, "edit").check()
        expect(box).to_have_value("SECOND draft")


def test_another_turn_of_the_same_conversation_takes_nothing_from_whoever_is_typing(desk: Desk) -> None:
    handoff_id = desk.asked("typing", reply="I am an agent.")
    with telephone(desk.browser) as page:
        desk.take(page, handoff_id)
        choice(page, "answer").check()
        page.get_by_label("Text for the customer").press_sequentially("It is ")
        desk.asked("typing", "I want to talk to a human", "2", reply="I am still an agent.")
        expect(page.locator("#talk")).to_contain_text("I am still an agent.")
        page.keyboard.type("on its way.")
        expect(page.get_by_label("Text for the customer")).to_have_value("It is on its way.")
        expect(choice(page, "answer")).to_be_checked()
        expect(page.locator(".pinned [role=alert] .banner")).to_have_count(0)


def test_a_customer_who_comes_back_can_be_answered_by_whoever_has_their_call(desk: Desk) -> None:
    missed = desk.asked("called", "hm", confidence=0.05)
    wait_until(lambda: desk.handoff(missed)["call_id"] is not None)
    call = desk.handoff(missed)["call_id"]
    with telephone(desk.browser) as page:
        desk.open(page, f"/console/handoffs/{call}")
        page.get_by_role("button", name="Take it").click()
        page.get_by_label("The call was made").check()
        page.get_by_label("Root cause").fill("nobody was there")
        page.get_by_label("yes", exact=True).check()
        desk.asked("called", turn_id="2")
        expect(page.locator("#task")).to_contain_text("The customer waits for you")
        # They had said how the call went, and nothing of how the conversation ends.
        alarm = page.locator(".pinned [role=alert] .banner")
        expect(alarm).to_have_text("What is asked of you is not what it was, as shown above: choose again.")
        expect(page.get_by_label("The call was made")).to_have_count(0)
        expect(choice(page, "take_over")).not_to_be_checked()
        expect(page.get_by_label("yes", exact=True)).to_be_checked()
        page.get_by_label("To the customer").fill("Here I am.")
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".said.operator .words")).to_have_text("Here I am.")
        choice(page, "answer").check()
        expect(page.get_by_label("Root cause")).to_have_value("nobody was there")
        page.get_by_label("Text for the customer").fill("We have spoken.")
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_text("It has ended: answer, by operator")).to_be_visible()
    assert desk.handoff(call)["resolution"]["text"] == "We have spoken."


def test_a_tab_goes_on_with_what_was_written_in_the_other_one(desk: Desk) -> None:
    handoff_id = desk.asked("back-and-forth")
    with telephone(desk.browser) as old, telephone(desk.browser, width=1280) as new:
        desk.take(old, handoff_id)
        old.get_by_label("To the customer").fill("Dear customer")
        expect(old.get_by_text("Draft kept at")).to_be_visible()
        desk.open(new, f"/console/handoffs/{handoff_id}")
        new.get_by_role("button", name="Go on here").click()
        new.get_by_label("To the customer").fill("Dear customer, twenty minutes of writing")
        choice(new, "answer").check()
        new.get_by_label("Text for the customer").fill("and an end")
        wait_until(lambda: "and an end" in kept(desk, handoff_id))
        old.get_by_role("button", name="Go on here").click()
        expect(old.get_by_text("yours for")).to_be_visible()
        expect(old.get_by_label("To the customer")).to_have_value("Dear customer, twenty minutes of writing")
        expect(old.get_by_label("Text for the customer")).to_have_value("and an end")
        # All of what stood here is in that: nothing has to stand beside it.
        expect(old.locator("#drafts")).to_be_empty()
        old.get_by_label("To the customer").press_sequentially("!")
        wait_until(lambda: "twenty minutes of writing!" in kept(desk, handoff_id))
        # What was taken out meanwhile stands beside what is written now, here and on the server.
        old.get_by_label("To the customer").fill("Good evening")
        wait_until(lambda: "Good evening" in kept(desk, handoff_id))
        new.get_by_role("button", name="Go on here").click()
        expect(new.get_by_label("To the customer")).to_have_value("Good evening")
        expect(new.locator("#drafts")).to_contain_text("You wrote this before, here or in another tab")
        expect(new.locator("#drafts")).to_contain_text("Dear customer, twenty minutes of writing")
        wait_until(lambda: "twenty minutes of writing" in kept(desk, handoff_id))
        new.get_by_role("button", name="Use this text").click()
        both = "Good evening\nDear customer, twenty minutes of writing"
        expect(new.get_by_label("To the customer")).to_have_value(both)


def test_a_tab_with_something_unsaved_keeps_it_and_shows_beside_it_what_the_other_wrote(desk: Desk) -> None:
    handoff_id = desk.asked("unsaved")
    with telephone(desk.browser) as old, telephone(desk.browser, width=1280) as new:
        desk.take(old, handoff_id)
        old.route("**/draft", lambda route: route.abort())
        old.get_by_label("To the customer").fill("Typed in the underground")
        expect(old.get_by_text("The draft is not on the server yet")).to_be_visible()
        desk.open(new, f"/console/handoffs/{handoff_id}")
        new.get_by_role("button", name="Go on here").click()
        new.get_by_label("To the customer").fill("Typed at the desk")
        wait_until(lambda: "Typed at the desk" in kept(desk, handoff_id))
        expect(old.locator("#lost")).to_contain_text("You went on with it in another tab")
        old.get_by_role("button", name="Go on here").click()
        expect(old.get_by_text("yours for")).to_be_visible()
        expect(old.get_by_label("To the customer")).to_have_value("Typed in the underground")
        expect(old.locator("#drafts")).to_contain_text("Typed at the desk")
        old.unroute("**/draft")
        wait_until(lambda: "Typed in the underground" in kept(desk, handoff_id))
        assert "Typed at the desk" in kept(desk, handoff_id)


def test_a_draft_that_comes_late_writes_over_nothing_of_another_tab(desk: Desk) -> None:
    handoff_id = desk.asked("late-draft")
    with telephone(desk.browser) as old, telephone(desk.browser, width=1280) as new:
        desk.take(old, handoff_id)
        # As a telephone does below ground: nothing of it is on its way when it comes up again.
        old.context.set_offline(True)
        old.get_by_label("To the customer").fill("Typed in the underground")
        expect(old.get_by_text("The draft is not on the server yet")).to_be_visible()
        desk.open(new, f"/console/handoffs/{handoff_id}")
        new.get_by_role("button", name="Go on here").click()
        new.get_by_label("To the customer").fill("Typed at the desk")
        wait_until(lambda: "Typed at the desk" in kept(desk, handoff_id))
        # Connected again: what it could not keep comes now, after what was kept meanwhile.
        old.context.set_offline(False)
        wait_until(lambda: "Typed in the underground" in kept(desk, handoff_id))
        assert "Typed at the desk" in kept(desk, handoff_id)
        look(old)
        expect(old.locator("#lost")).to_contain_text("You went on with it in another tab")
        # And so does what is typed there still.
        old.get_by_label("To the customer").press_sequentially(", late")
        wait_until(lambda: "underground, late" in kept(desk, handoff_id))
        assert "Typed at the desk" in kept(desk, handoff_id)
        new.reload()
        expect(new.get_by_label("To the customer")).to_have_value("Typed in the underground, late")
        expect(new.locator("#drafts")).to_contain_text("Typed at the desk")


def test_nothing_is_handed_on_before_what_was_written_is_on_the_server(desk: Desk) -> None:
    handoff_id = desk.asked("unkept")
    with telephone(desk.browser) as page:
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url.rpartition("/")[2]))
        away: list[str] = []

        def lose(route: Route) -> None:
            away.append(route.request.url)
            route.abort()

        page.route("**/draft", lose)
        desk.take(page, handoff_id)
        page.get_by_label("To the customer").fill("I have found the parcel, and")
        hand_on(page, queue="Drafts")
        expect(page.get_by_role("alert").get_by_text("The service does not answer.")).to_be_visible()
        assert away
        assert "transfer" not in sent
        assert desk.handoff(handoff_id)["holder"] == "operator"
        expect(page.get_by_label("To the customer")).to_have_value("I have found the parcel, and")
        # Connected again, the same tap does it.
        page.unroute("**/draft")
        page.get_by_role("button", name="Hand it on").click()
        expect(page.get_by_role("status").filter(has_text="Handed on: it waits in Drafts.")).to_be_visible()
    assert (desk.handoff(handoff_id)["queue"], desk.handoff(handoff_id)["holder"]) == ("drafts", None)
    assert "I have found the parcel, and" in kept(desk, handoff_id)
