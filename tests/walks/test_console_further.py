"""What an operator no longer leaves the console for: handing on, floods, promised calls, and a tab that was closed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.waiting import wait_until
from tests.walks.browser import browser, needs_browser, telephone
from tests.walks.served import Served
from tests.walks.test_console import Desk, words
from tests.workers.receiver import Receiver

pytestmark = [pytest.mark.server, pytest.mark.walk, needs_browser]

ATTIC = """  attic: {title: The attic, answer_within: 5m, on_timeout: {verdict: deny, say: {en: No.}}, say: {en: Wait.}}
"""
RULES = f"""
handrail: 1
topics:
  person: {{phrases: [talk to a human], means: asks_for_person}}
queues:
  tier1:
    title: First line
    answer_within: 15m
    on_timeout: {{verdict: callback, say: {{en: "We will call you back."}}}}
    say: {{en: "One moment, please."}}
    flood: {{agent: 2 in 10m}}
  refunds: {{title: Refunds, answer_within: 5m, on_timeout: {{verdict: deny, say: {{en: No.}}}}, say: {{en: I ask.}}}}
  brief:
    title: Night desk
    answer_within: 2s
    on_timeout: {{verdict: callback, say: {{en: "We will call you back today."}}}}
    say: {{en: One moment.}}
{ATTIC}rules:
  - id: asks-for-a-person
    why: the customer asks for a person
    when: asks_for_person = true
    then: {{escalate: tier1, priority: high}}
  - {{id: lost, why: the agent is lost, when: confidence < 0.1, then: {{escalate: brief}}}}
  - {{id: money, why: money is to move, when: channel = bank, then: {{escalate: refunds}}}}
  - {{id: dust, why: it is old, when: channel = fax, then: {{escalate: attic}}}}
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("further")
    with Receiver() as room, Served(folder, rules_text=RULES) as served, browser() as started:
        ben = served.post("/keys", {"name": "ben", "role": "operator"})["token"]
        yield Desk(served, room, started, ben)


def asked(desk: Desk, conversation_id: str, **more: Any) -> str:
    """Return a handoff of an agent of its own, so that it is part of no flood."""
    return desk.asked(conversation_id, agent={"id": f"bot-of-{conversation_id}"}, **more)


def open_as_ben(desk: Desk, page: Page, handoff_id: str) -> None:
    page.goto(f"{desk.served.url}/console/handoffs/{handoff_id}")
    page.get_by_label("API key").fill(desk.ben)
    page.get_by_label("API key").press("Enter")
    expect(page.get_by_role("button", name="Forget key")).to_be_visible()


def hand_on(page: Page, *, queue: str = "", person: str = "", named: str = "") -> None:
    if page.locator("#pass").get_attribute("open") is None:
        page.locator("#pass summary").click()
    if queue:
        option = page.locator("#pass-queue option", has_text=queue)
        page.get_by_label("To which queue").select_option(value=option.get_attribute("value"))
    if person:
        option = page.locator("#pass-person option", has_text=person)
        page.get_by_label("To whom").select_option(value=option.get_attribute("value"))
    if named:
        page.get_by_label("Their name").fill(named)
    page.get_by_role("button", name="Hand it on").click()


def test_a_handoff_goes_to_a_colleague_with_what_was_written(desk: Desk) -> None:
    handoff_id = asked(desk, "to-ben")
    desk.as_ben("/presence")
    with (
        telephone(desk.browser) as page,
        telephone(desk.browser, width=1280) as bens,
        telephone(desk.browser) as deaf,
    ):
        deaf.route("**/events", lambda route: route.abort())
        desk.open(deaf, f"/console/handoffs/{handoff_id}", "admin")
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url.rpartition("/")[2]))
        open_as_ben(desk, bens, handoff_id)
        desk.take(page, handoff_id)
        page.get_by_label("To the customer").fill("I have found the parcel, and")
        # At once, before the pause after which a draft is kept.
        hand_on(page, person="ben · there now")
        expect(page.get_by_role("status").filter(has_text="Handed on: kept for ben until")).to_be_visible()
        # Whoever is quick finds what was written: it is on the server before they are told.
        assert sent.index("draft") < sent.index("transfer")
        expect(page.locator("#who-has")).to_contain_text("kept for ben until")
        expect(page.locator("#forms")).to_be_hidden()
        found = desk.handoff(handoff_id)
        assert (found["state"], found["queue"], found["reserved_for"]) == ("waiting", "tier1", "ben")
        expect(page.locator("#take")).to_contain_text("It is kept for ben until")
        expect(page.get_by_role("button", name="Take it")).to_have_count(0)
        deaf.get_by_role("button", name="Take it").click()
        expect(deaf.get_by_role("alert").get_by_text("It is kept for ben until")).to_be_visible()
        expect(bens.locator("#who-has")).to_contain_text("kept for you until")
        bens.get_by_role("button", name="Take it").click()
        expect(bens.locator("#drafts")).to_contain_text("operator was writing")
        bens.get_by_role("button", name="Use this text").click()
        expect(bens.get_by_label("To the customer")).to_have_value("I have found the parcel, and")
    assert desk.handoff(handoff_id)["holder"] == "ben"


def test_what_is_kept_for_somebody_is_offered_to_all_once_their_time_is_over(desk: Desk) -> None:
    handoff_id = asked(desk, "kept-and-over")
    with telephone(desk.browser) as page:
        page.route("**/events", lambda route: route.abort())
        page.clock.install()
        desk.take(page, handoff_id)
        hand_on(page, person="somebody else, by name", named="ben")
        expect(page.locator("#take")).to_contain_text("It is kept for ben until")
        page.clock.fast_forward(121_000)
        expect(page.get_by_role("button", name="Take it")).to_be_visible()


def test_a_handoff_on_hold_goes_to_another_queue(desk: Desk) -> None:
    handoff_id = asked(desk, "to-refunds")
    with telephone(desk.browser) as page:
        desk.take(page, handoff_id)
        page.get_by_text("Not now").click()
        page.get_by_role("button", name="Put on hold").click()
        expect(page.get_by_text("on hold for")).to_be_visible()
        hand_on(page, queue="Refunds")
        expect(page.get_by_role("status").filter(has_text="Handed on: it waits in Refunds.")).to_be_visible()
        expect(page.locator(".pills")).to_contain_text("refunds")
    found = desk.handoff(handoff_id)
    assert (found["state"], found["queue"], found["reserved_for"]) == ("waiting", "refunds", None)


def test_what_cannot_be_handed_on_is_said_and_stays_with_its_owner(desk: Desk) -> None:
    handoff_id = asked(desk, "refused")
    rules = desk.served.rules / "walk.yaml"
    with telephone(desk.browser) as page:
        desk.take(page, handoff_id)
        page.get_by_label("To the customer").fill("Half a sentence")
        alert = page.get_by_role("alert")
        hand_on(page)
        expect(alert.get_by_text("Choose another queue, or somebody it goes to.")).to_be_visible()
        hand_on(page, person="somebody else, by name")
        expect(alert.get_by_text("Write whom it goes to.")).to_be_visible()
        hand_on(page, named="nobody-at-all")
        expect(alert.get_by_text("Nobody of that name takes handoffs here. It is still yours")).to_be_visible()
        expect(page.get_by_label("Their name")).to_have_value("nobody-at-all")
        page.get_by_label("To whom").select_option("")
        expect(page.get_by_label("Their name")).to_be_hidden()
        page.get_by_label("To which queue").select_option("attic")
        rules.write_text(RULES.replace(ATTIC, "").replace("escalate: attic", "escalate: refunds"))
        try:
            wait_until(lambda: "attic" not in [each["name"] for each in desk.served.get("/queues")["queues"]])
            page.get_by_role("button", name="Hand it on").click()
            expect(alert.get_by_text("There is no such queue in the rules any more. It is still yours")).to_be_visible()
            # What there is to choose from was read again.
            expect(page.locator("#pass-queue option", has_text="The attic")).to_have_count(0)
        finally:
            rules.write_text(RULES)
        expect(page.get_by_label("To the customer")).to_have_value("Half a sentence")
        assert desk.handoff(handoff_id)["holder"] == "operator"
        # By the name on a key, of somebody who has never been there.
        desk.served.post("/keys", {"name": "zoe", "role": "operator"})
        hand_on(page, person="somebody else, by name", named="zoe")
        expect(page.locator("#who-has")).to_contain_text("kept for zoe until")
    assert [each["fields"] for each in desk.drafts(handoff_id)] == [{"reply": "Half a sentence"}]


def test_a_handoff_that_was_lost_is_not_handed_on(desk: Desk) -> None:
    handoff_id = asked(desk, "lost-before")
    with telephone(desk.browser) as page:
        page.route("**/events", lambda route: route.abort())
        desk.take(page, handoff_id)
        token = page.evaluate(f"sessionStorage.getItem('lease {handoff_id}')")
        desk.served.post(f"/handoffs/{handoff_id}/release", {"token": token}, "operator")
        desk.as_ben(f"/handoffs/{handoff_id}/claim")
        page.get_by_label("To the customer").fill("Wait")
        hand_on(page, queue="Refunds")
        expect(page.locator("#lost")).to_contain_text("ben has it now. Ask them.")
        expect(page.get_by_label("To the customer")).to_have_value("Wait")
    assert desk.handoff(handoff_id)["queue"] == "tier1"


def flood(desk: Desk, name: str, members: int) -> list[str]:
    """Let one agent ask so often that one handoff stands for `members` others; return that one, and them."""
    said = [desk.asked(f"{name}-{number}", agent={"id": name}) for number in range(3 + members)]
    return said[2:]


def test_a_flood_is_answered_with_one_answer_but_for_whom_it_does_not_fit(desk: Desk) -> None:
    leader, *members = flood(desk, "refund-bot", 4)
    with telephone(desk.browser) as page:
        desk.open(page, "/console")
        row = page.locator("#floods a")
        expect(row).to_contain_text("4 alike")
        expect(row).to_contain_text("from the agent refund-bot, rule asks-for-a-person")
        expect(page.locator("#open")).to_contain_text("stands for 4 more")
        expect(page.locator("#open").get_by_text("behind a flood")).to_have_count(4)
        row.click()
        expect(page.locator("#flood")).to_contain_text("Those behind it (4)")
        expect(page.locator("#answer-all")).to_be_hidden()
        page.get_by_role("button", name="Take it").click()
        page.locator("#answer-all summary").click()
        page.locator("#members summary").click()
        page.get_by_role("button", name="Let it wait alone: refund-bot-6").click()
        expect(page.locator("#flood")).to_contain_text("1 back in the queue, each by itself. 3 left here.")
        expect(page.locator("#members li")).to_have_count(3)
        assert desk.handoff(members[3])["group"] is None

        everybody = page.locator("#answer-all")
        everybody.get_by_role("button", name="Answer all").click()
        expect(page.get_by_role("alert").get_by_text("Choose what the agent shall do")).to_be_visible()
        everybody.get_by_label("Answer", exact=False).first.check()
        everybody.get_by_label("no", exact=True).check()
        everybody.get_by_role("button", name="Answer all").click()
        expect(page.get_by_role("alert").get_by_text("An answer needs its text.")).to_be_visible()
        everybody.get_by_label("Text for the customer").fill("A fault of ours: your refund is on its way.")
        expect(page.get_by_text("Draft kept at")).to_be_visible()
        # What is written for all is kept like the rest.
        page.reload()
        expect(everybody.get_by_label("Text for the customer")).to_have_value(re.compile("A fault of ours"))
        everybody.get_by_role("button", name="Answer all").click()
        expect(
            everybody.get_by_text("All 3, and those that join until it is done, end with this answer.")
        ).to_be_visible()
        everybody.get_by_role("button", name="Not yet").click()
        assert desk.handoff(members[0])["state"] == "waiting"
        everybody.get_by_role("button", name="Answer all").click()
        everybody.get_by_role("button", name="Yes, answer all 3").click()
        expect(page.locator("#flood")).to_contain_text("3 answered, nobody is left. Now end this one too.")
        expect(everybody).to_be_hidden()
        # The same stands ready for the one in hand.
        end = page.locator("#end")
        expect(end.get_by_label("Text for the customer")).to_have_value("A fault of ours: your refund is on its way.")
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_text("It has ended: answer, by operator")).to_be_visible()
    for member in members[:3]:
        resolution = desk.handoff(member)["resolution"]
        assert (resolution["action"], resolution["outcome"], resolution["by"]) == ("answer", "not_needed", "operator")
        assert resolution["text"] == "A fault of ours: your refund is on its way."
    assert desk.handoff(leader)["resolution"]["text"] == "A fault of ours: your refund is on its way."
    assert desk.handoff(members[3])["state"] == "waiting"


def test_a_flood_of_thousands_is_answered_in_rounds_and_an_endless_one_is_left_to_a_person(desk: Desk) -> None:
    leader, *_ = flood(desk, "endless-bot", 2)
    rounds = [{"done": 1000, "left": 5}, {"done": 5, "left": 0}] + [{"done": 7, "left": 3}] * 20
    asked_for: list[str | None] = []

    def deal(route: Route) -> None:
        asked_for.append(route.request.headers.get("idempotency-key"))
        route.fulfill(json=rounds[len(asked_for) - 1])

    with telephone(desk.browser) as page:
        page.route("**/members/answer", deal)
        desk.take(page, leader)
        page.locator("#answer-all summary").click()
        everybody = page.locator("#answer-all")
        everybody.get_by_label("Reject").check()
        everybody.get_by_label("unclear").check()
        for told, count in (
            ("1005 answered, nobody is left.", 2),
            ("140 answered, 3 left. Press again.", 22),
        ):
            everybody.get_by_role("button", name="Answer all").click()
            everybody.get_by_role("button", name="Yes, answer all 2").click()
            expect(page.locator("#flood")).to_contain_text(told)
            # Each round is a request of its own: none is answered from before.
            assert len(asked_for) == len(set(asked_for)) == count


def test_calls_that_stay_hide_nothing_of_those_who_are_left_to_answer(desk: Desk) -> None:
    leader, *_ = flood(desk, "calling-bot", 2)
    dealt = {"done": 7, "left": 3, "calls": 2}
    with telephone(desk.browser) as page:
        page.route("**/members/answer", lambda route: route.fulfill(json=dealt))
        desk.take(page, leader)
        page.locator("#answer-all summary").click()
        everybody = page.locator("#answer-all")
        everybody.get_by_label("Reject").check()
        everybody.get_by_label("unclear").check()
        owed = "2 were promised a call and stay here: each has to be made."
        for left, said in (
            (3, f"140 answered, 3 left. Press again. Besides, {owed}"),
            (0, f"7 answered. {owed}"),
        ):
            dealt["left"] = left
            everybody.get_by_role("button", name="Answer all").click()
            everybody.get_by_role("button", name="Yes, answer all 2").click()
            expect(page.locator("#flood > [role=status]")).to_have_text(said)


def test_a_group_that_was_let_go_meanwhile_and_a_lost_lease_are_told(desk: Desk) -> None:
    leader, *members = flood(desk, "late-bot", 2)
    with telephone(desk.browser) as page:
        page.route("**/events", lambda route: route.abort())
        desk.take(page, leader)
        page.locator("#answer-all summary").click()
        everybody = page.locator("#answer-all")
        everybody.get_by_label("Answer", exact=False).first.check()
        everybody.get_by_label("yes", exact=True).check()
        everybody.get_by_label("Text for the customer").fill("For all of you")
        token = page.evaluate(f"sessionStorage.getItem('lease {leader}')")
        desk.served.post(f"/handoffs/{leader}/release", {"token": token}, "operator")
        desk.as_ben(f"/handoffs/{leader}/claim")
        everybody.get_by_role("button", name="Answer all").click()
        everybody.get_by_role("button", name="Yes, answer all 2").click()
        expect(page.locator("#lost")).to_contain_text("ben has it now. Ask them.")
        assert [desk.handoff(each)["state"] for each in members] == ["waiting", "waiting"]
        wait_until(lambda: any(each["fields"].get("all_text") for each in desk.drafts(leader)))


def test_hostile_names_stay_words(desk: Desk) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\">"
    admin = {"Authorization": f"Bearer {desk.served.keys['admin']}"}
    put = httpx.put(f"{desk.served.url}/operators/hostile", json={"title": hostile}, headers=admin)
    assert put.is_success, put.text
    leader, *_ = flood(desk, hostile.replace(" ", "/"), 2)
    missed = asked(desk, "hostile", message="hm", confidence=0.05, customer={"id": hostile.replace(" ", "/")})
    wait_until(lambda: desk.handoff(missed)["call_id"] is not None)
    try:
        with telephone(desk.browser) as page:
            desk.open(page, "/console")
            expect(page.locator("#floods")).to_contain_text("<img/src=x/onerror")
            expect(page.locator("#calls")).to_contain_text("<img/src=x/onerror")
            assert page.locator("main img").count() == 0
            page.goto(f"{desk.served.url}/console/handoffs/{leader}")
            page.get_by_role("button", name="Take it").click()
            page.locator("#members summary").click()
            page.locator("#pass summary").click()
            expect(page.locator("#pass-person option", has_text="<img src=x onerror")).to_have_count(1)
            page.goto(f"{desk.served.url}/console/handoffs/{desk.handoff(missed)['call_id']}")
            expect(page.locator("#task")).to_contain_text("<img/src=x/onerror")
            assert page.locator("main img").count() == 0
            assert "owned" not in page.title()
    finally:
        httpx.delete(f"{desk.served.url}/operators/hostile", headers=admin)


def test_a_member_leads_to_the_one_that_stands_for_it_and_is_taken_alone(desk: Desk) -> None:
    leader, first, *_ = flood(desk, "loop-bot", 3)
    with telephone(desk.browser) as page:
        desk.open(page, f"/console/handoffs/{first}")
        expect(page.locator("#flood")).to_contain_text("This is one of 3 that wait behind another.")
        link = page.get_by_role("link", name="Open the one that stands for them")
        assert str(link.get_attribute("href")).endswith(f"/console/handoffs/{leader}")
        page.get_by_role("button", name="Take it").click()
        expect(page.get_by_label("To the customer")).to_be_visible()
        expect(page.locator("#flood")).to_be_hidden()
        link_of_leader = f"{desk.served.url}/console/handoffs/{leader}"
        page.goto(link_of_leader)
        page.locator("#members summary").click()
        expect(page.locator("#members li")).to_have_count(2)
        page.get_by_role("button", name="Let all of them wait alone").click()
        page.get_by_role("button", name="Yes, let 2 wait alone").click()
        expect(page.locator("#flood")).to_contain_text("Nobody waits behind this one now.")
    with telephone(desk.browser) as page:
        desk.open(page, f"/console/handoffs/{leader}", "manager")
        expect(page.locator("#flood")).to_contain_text("Nobody waits behind this one now.")
        assert page.locator("#flood button").count() == 0


def test_a_promised_call_is_listed_taken_and_ended_in_words_of_its_own(desk: Desk) -> None:
    missed = asked(desk, "called", message="hm", confidence=0.05, customer={"id": "cus-81"})
    wait_until(lambda: desk.handoff(missed)["call_id"] is not None)
    call = desk.handoff(missed)["call_id"]
    with telephone(desk.browser) as page:
        desk.open(page, "/console")
        page.get_by_role("link", name="Calls promised: ").click()
        row = page.locator("#calls li", has_text="cus-81")
        expect(row).to_contain_text("cus-81 · Night desk")
        expect(row).to_contain_text("We will call you back today.")
        expect(row).to_contain_text("nobody yet")
        row.get_by_role("button", name="Take it: cus-81").click()
        expect(page.get_by_text("Call the customer back, then end this with how it went.")).to_be_visible()
        task = page.locator("#task")
        for said in (
            "Whom: the customer cus-81",
            "Promised at",
            "We will call you back today.",
            "There is no other deadline, and it does not expire.",
            "a handoff ended before, and nobody had spoken to the customer",
            "The agent that asked has gone on: it does not wait for you",
        ):
            expect(task).to_contain_text(said)
        assert "If nobody comes in time" not in words(page)
        expect(page.locator(".pills")).to_contain_text("promised call")
        # What would reach nobody is not offered.
        expect(page.get_by_label("To the customer")).to_be_hidden()
        expect(page.get_by_label("The call was made")).to_be_visible()
        before = page.get_by_role("link", name="Open that one")
        assert str(before.get_attribute("href")).endswith(f"/console/handoffs/{missed}")
        page.get_by_label("The call was made").check()
        page.get_by_label("yes", exact=True).check()
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_text("It has ended: the call was made, by operator")).to_be_visible()
        page.get_by_role("link", name="Handrail").click()
        expect(page.get_by_role("heading", name="Queues")).to_be_visible()
        expect(row).to_have_count(0)
        page.get_by_text("Calls that were ended lately").click()
        expect(page.locator("#calls-done li", has_text="cus-81 · Night desk")).to_have_count(1)
        page.goto(f"{desk.served.url}/console/handoffs/{missed}")
        left = page.get_by_role("link", name="The call it promised waits here")
        assert str(left.get_attribute("href")).endswith(f"/console/handoffs/{call}")
    assert desk.handoff(call)["resolution"]["action"] == "take_over"


@pytest.mark.parametrize(("in_ms", "said"), [(3_600_000, "To be made by"), (-60_000, "It was to be made by")])
def test_by_when_a_call_is_due_is_said_where_somebody_said_so(desk: Desk, in_ms: int, said: str) -> None:
    missed = asked(desk, f"due-{in_ms}", message="hm", confidence=0.05)
    wait_until(lambda: desk.handoff(missed)["call_id"] is not None)
    with telephone(desk.browser) as page:

        def with_due(route: Route) -> None:
            told = route.fetch().json()
            for call in told["calls"]:
                call["due_at_ms"] = int(time.time() * 1000) + in_ms
            route.fulfill(json=told)

        page.route("**/calls?limit=*", with_due)
        desk.open(page, "/console")
        expect(page.locator("#calls")).to_contain_text(said)


def test_a_tab_that_was_closed_is_gone_on_with_in_another_and_the_old_one_is_told(desk: Desk) -> None:
    handoff_id = asked(desk, "another-tab")
    with telephone(desk.browser) as old, telephone(desk.browser, width=1280) as new:
        desk.take(old, handoff_id)
        old.get_by_label("To the customer").fill("Typed in the old one")
        expect(old.get_by_text("Draft kept at")).to_be_visible()
        desk.open(new, f"/console/handoffs/{handoff_id}")
        expect(new.get_by_text("You have it in another tab or on another device.")).to_be_visible()
        new.get_by_role("button", name="Go on here").click()
        # The lease is here now, and so is what was being written.
        expect(new.get_by_text("yours for")).to_be_visible()
        expect(new.get_by_label("To the customer")).to_have_value("Typed in the old one")
        expect(old.locator("#lost")).to_contain_text("You went on with it in another tab or on another device")
        expect(old.get_by_text("yours for")).to_be_hidden()
        expect(old.get_by_role("button", name="Send")).to_be_disabled()
        expect(old.get_by_label("To the customer")).to_have_value("Typed in the old one")
        new.get_by_role("button", name="Send").click()
        expect(new.locator(".said.operator .words")).to_have_text("Typed in the old one")
        # And back again.
        old.get_by_role("button", name="Go on here").click()
        expect(old.get_by_text("yours for")).to_be_visible()
        expect(new.locator("#lost")).to_contain_text("You went on with it in another tab")
    with telephone(desk.browser) as bens:
        open_as_ben(desk, bens, handoff_id)
        expect(bens.get_by_text("operator has it now.")).to_be_visible()
        expect(bens.get_by_role("button", name="Go on here")).to_have_count(0)


def test_an_old_tab_that_heard_nothing_cannot_act_and_loses_nothing(desk: Desk) -> None:
    handoff_id = asked(desk, "deaf-tab")
    with telephone(desk.browser) as page:
        page.route("**/events", lambda route: route.abort())
        desk.take(page, handoff_id)
        headers = {"Authorization": f"Bearer {desk.served.keys['operator']}"}
        path = f"{desk.served.url}/handoffs/{handoff_id}/claim"
        assert httpx.post(path, json={"again": True}, headers=headers).is_success
        page.get_by_label("To the customer").fill("Too late for this tab")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#lost")).to_contain_text("You went on with it in another tab or on another device")
        expect(page.get_by_label("To the customer")).to_have_value("Too late for this tab")
        assert desk.handoff(handoff_id)["replies"] == []
        page.get_by_role("button", name="Go on here").click()
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".said.operator .words")).to_have_text("Too late for this tab")


def test_a_tab_that_is_loaded_again_with_a_stale_token_says_so_and_asks_for_nothing_with_it(desk: Desk) -> None:
    handoff_id = asked(desk, "stale-reload")
    with telephone(desk.browser) as page:
        page.route("**/events", lambda route: route.abort())
        desk.take(page, handoff_id)
        desk.served.post(f"/handoffs/{handoff_id}/claim", {"again": True}, "operator")
        moves: list[str] = []
        page.on("request", lambda request: moves.append(request.url) if request.method == "POST" else None)
        page.reload()
        expect(page.get_by_text("You have it in another tab or on another device.")).to_be_visible()
        expect(page.get_by_role("button", name="Go on here")).to_be_enabled()
        assert moves == []


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_all_of_it_fits_the_screen_is_labelled_and_speaks_spanish(desk: Desk, width: int) -> None:
    leader, first, *_ = flood(desk, f"wide-bot-{width}-{'x' * 90}", 2)
    missed = asked(desk, f"wide-{width}", message="hm", confidence=0.05, customer={"id": "c" * 120})
    wait_until(lambda: desk.handoff(missed)["call_id"] is not None)
    call = desk.handoff(missed)["call_id"]
    with telephone(desk.browser, locale="es-MX", width=width) as page:
        page.goto(f"{desk.served.url}/console")
        page.get_by_label("Clave de API").fill(desk.served.keys["operator"])
        page.get_by_label("Clave de API").press("Enter")
        expect(page.get_by_role("heading", name="Llamadas prometidas")).to_be_visible()
        expect(page.get_by_role("heading", name="Avalanchas")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        headings = {call: "Llame al cliente", leader: "Una avalancha de iguales", first: "Es uno de"}
        for handoff_id, heading in headings.items():
            page.goto(f"{desk.served.url}/console/handoffs/{handoff_id}")
            expect(page.get_by_text(heading).last).to_be_visible()
            page.get_by_role("button", name="Tomarlo").click()
            expect(page.locator("#forms")).to_be_visible()
            for fold in page.locator("summary:visible").all():
                fold.press("Enter")
            if handoff_id != first:
                expect(page.get_by_label("A qué cola")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            nameless = page.locator("input, textarea, select, button").evaluate_all(
                "all => all.filter(each => !(each.labels?.length || each.textContent.trim() || each.ariaLabel)).length"
            )
            assert nameless == 0
            # What rule files and people say is in their own words.
            ours = re.sub(r"the (customer|agent) .*|We will .*|talk to a human", "", words(page), flags=re.IGNORECASE)
            assert re.findall(r"\b(?:the|you|queue|nobody|wait|answer)\b", ours) == []
