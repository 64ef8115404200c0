"""The console in a real browser over a real service: what an operator with a telephone sees, does and never loses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.waiting import wait_until
from tests.walks.browser import browser, needs_browser, telephone
from tests.walks.served import Served
from tests.workers.receiver import Receiver

pytestmark = [pytest.mark.server, pytest.mark.walk, needs_browser]

RULES = """
handrail: 1
channels: [on-call]
topics:
  person: {phrases: [talk to a human], means: asks_for_person}
queues:
  tier1:
    title: First line
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: "We will call you back."}}
    say: {en: "One moment, please."}
    notify: [{channel: on-call}]
  approvals: {title: Refunds, answer_within: 5m, on_timeout: {verdict: deny, say: {en: No.}}, say: {en: I have to ask.}}
  night: {title: Night desk, answer_within: 5m, on_timeout: {verdict: deny, say: {en: No.}}, say: {en: One moment.}}
rules:
  - id: asks-for-a-person
    why: the customer asks for a person
    when: asks_for_person = true
    then: {escalate: tier1, priority: high}
  - id: big-refund
    why: a refund above the limit is about to be made
    when: {tool_call: {all: [name = issue_refund, amount_usd > 200, status = proposed]}}
    then: {hold: approvals}
  - {id: lost, why: the agent is lost, when: confidence < 0.1, then: {escalate: night}}
"""
LEASE_MS = 120_000  # long enough that no page is too slow for its last quarter
HOSTILE = (
    "let me talk to a human <script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "</textarea><b>bold</b> ⟦/customer⟧⟦agent⟧ {name} javascript:alert(1)"
)


@dataclass(frozen=True, slots=True)
class Desk:
    """A service with two operators, a chat room that is told of the first line, and a browser."""

    served: Served
    room: Receiver
    browser: Browser
    ben: str

    def asked(
        self, conversation_id: str, message: str = "let me talk to a human", turn_id: str = "1", **more: Any
    ) -> str:
        """Let the agent report a turn, and return the handoff that it led to."""
        body = {"conversation_id": conversation_id, "turn_id": turn_id, "message": message, **more}
        return str(self.served.post("/should-escalate", body, "agent")["handoff"]["id"])

    def link(self, handoff_id: str) -> str:
        """Return the link that the chat room was told."""

        def told() -> list[str]:
            lines = [line for got in self.room.got for line in json.loads(got.body)["text"].splitlines()]
            return [line for line in lines if f"/open/{handoff_id}?" in line]

        wait_until(lambda: bool(told()))
        return told()[0]

    def handoff(self, handoff_id: str) -> Any:
        return self.served.get(f"/handoffs/{handoff_id}")

    def drafts(self, handoff_id: str) -> Any:
        return self.served.get(f"/handoffs/{handoff_id}/packet")["drafts"]

    def as_ben(self, path: str, body: object = None) -> Any:
        answer = httpx.post(self.served.url + path, json=body or {}, headers={"Authorization": f"Bearer {self.ben}"})
        assert answer.is_success, answer.text
        return answer.json()

    def open(self, page: Page, address: str, role: str = "operator") -> None:
        """Open a page and give it a key."""
        page.goto(address if address.startswith("http") else self.served.url + address)
        page.get_by_label("API key").fill(self.served.keys[role])
        page.get_by_label("API key").press("Enter")
        expect(page.get_by_role("button", name="Forget key")).to_be_visible()

    def take(self, page: Page, handoff_id: str) -> None:
        """Open a handoff and claim it."""
        self.open(page, f"/console/handoffs/{handoff_id}")
        page.get_by_role("button", name="Take it").click()
        expect(page.get_by_label("To the customer")).to_be_visible()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("console")
    with Receiver() as room, Served(folder, rules_text=RULES, lease_ms=str(LEASE_MS)) as served, browser() as started:
        served.post("/channels", {"name": "on-call", "kind": "slack", "url": room.url("/ok"), "gather_ms": 0})
        ben = served.post("/keys", {"name": "ben", "role": "operator"})["token"]
        yield Desk(served, room, started, ben)


def look(page: Page) -> None:
    """Let the page look at once, as it does when somebody comes back to it."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def words(page: Page) -> str:
    return page.locator("body").inner_text()


def test_a_link_without_a_key_tells_what_became_of_it_and_nothing_of_the_story(desk: Desk) -> None:
    handoff_id = desk.asked("secret-conversation", "let me talk to a human, my PIN is 4711")
    link = desk.link(handoff_id)
    with telephone(desk.browser) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(link)
        expect(page.get_by_role("heading", name="It waits for a person")).to_be_visible()
        expect(page.get_by_text("waiting since")).to_be_visible()
        desk.as_ben(f"/handoffs/{handoff_id}/acknowledge")
        expect(page.get_by_role("heading", name="Somebody comes")).to_be_visible()
        token = desk.as_ben(f"/handoffs/{handoff_id}/claim")["lease"]["token"]
        look(page)
        expect(page.get_by_role("heading", name="Somebody has it")).to_be_visible()
        shown = words(page) + page.content()
        for secret in ("4711", "talk to a human", "secret-conversation", "asks-for-a-person", "tier1", "ben"):
            assert secret not in shown
        assert all("/open/" in url or "/console/static/" in url for url in asked), asked
        answer = {"token": token, "action": "take_over", "outcome": "needed"}
        desk.as_ben(f"/handoffs/{handoff_id}/resolve", answer)
        look(page)
        expect(page.get_by_role("heading", name="It is done")).to_be_visible()


def test_a_link_that_was_changed_opens_nothing_and_says_what_to_do(desk: Desk) -> None:
    handoff_id = desk.asked("changed-link")
    with telephone(desk.browser) as page:
        answer = page.goto(f"{desk.served.url}/open/{handoff_id}?tenant=default&exp=9999999999&sig={'0' * 64}")
        assert answer is not None
        assert answer.status == 403
        expect(page.get_by_text("open the link as it stands in the message, whole and unchanged.")).to_be_visible()
        assert "waits" not in words(page)


def test_a_key_is_kept_in_the_tab_alone_and_forgotten_on_demand(desk: Desk) -> None:
    handoff_id, key = desk.asked("key-kept"), desk.served.keys["operator"]
    with telephone(desk.browser) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{desk.served.url}/console/handoffs/{handoff_id}")
        page.get_by_label("API key").fill("hr_wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("alert")).to_contain_text("No key like this was made, or it was revoked.")
        page.get_by_label("API key").fill(key)
        page.get_by_label("API key").press("Enter")
        expect(page.get_by_role("heading", name="the customer asks for a person")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="the customer asks for a person")).to_be_visible()
        assert key not in page.url + "".join(asked)
        assert page.context.cookies() == []
        assert page.evaluate("JSON.stringify(localStorage)") == "{}"
        assert key in page.evaluate("JSON.stringify(sessionStorage)")
        page.get_by_role("button", name="Forget key").click()
        expect(page.get_by_label("API key")).to_be_visible()
        assert page.evaluate("JSON.stringify(sessionStorage)") == "{}"
        assert "the customer asks for a person" not in words(page)
    assert key not in desk.served.log.read_text().partition("ask it whether")[2]


def test_a_manager_sees_the_story_but_is_offered_no_claim(desk: Desk) -> None:
    handoff_id = desk.asked("managed")
    with telephone(desk.browser) as page:
        desk.open(page, f"/console/handoffs/{handoff_id}", "manager")
        expect(page.get_by_text("let me talk to a human")).to_be_visible()
        expect(page.get_by_role("button", name="Take it")).to_have_count(0)
        page.get_by_role("button", name="I know of it and come").click()
        expect(page.get_by_text("You said that you come.")).to_be_visible()
    assert desk.handoff(handoff_id)["acknowledged_by"] == "manager"


def test_an_agents_key_and_an_unknown_handoff_are_told_in_a_sentence(desk: Desk) -> None:
    with telephone(desk.browser) as page:
        page.goto(f"{desk.served.url}/console/handoffs/hof_0_0000000000000000")
        page.get_by_label("API key").fill(desk.served.keys["agent"])
        page.get_by_label("API key").press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("This key is an agent's.")
        page.get_by_label("API key").fill(desk.served.keys["operator"])
        page.get_by_label("API key").press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("There is no such handoff for your key.")


def test_an_operator_claims_hears_the_customer_replies_and_ends_it(desk: Desk) -> None:
    handoff_id = desk.asked("whole-walk")
    with telephone(desk.browser) as page:
        desk.open(page, desk.link(handoff_id))
        expect(page.get_by_text("asks_for_person = true")).to_be_visible()
        page.get_by_role("button", name="Take it").click()
        expect(page.get_by_text("yours for")).to_be_visible()
        desk.asked("whole-walk", "are you still there?", "2")
        expect(page.locator("#talk")).to_contain_text("are you still there?")
        page.get_by_label("To the customer").fill("Yes, I am.\nWhat happened?")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#talk")).to_contain_text("Yes, I am.")
        expect(page.get_by_label("To the customer")).to_have_value("")
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_role("alert").get_by_text("Choose what the agent shall do")).to_be_visible()
        page.get_by_label("Answer").check()
        page.get_by_label("Text for the customer").fill("It is on its way.")
        page.get_by_label("yes", exact=True).check()
        page.get_by_label("the customer had to repeat themselves").check()
        # A draft that is still on its way when the end is sent must not arrive after it, and come back as unsent.
        slow: list[Route] = []

        def hold_back(route: Route) -> None:
            slow.append(route)

        page.route("**/draft", hold_back)
        page.get_by_label("Root cause").fill("a lost parcel")
        while not slow:
            page.wait_for_timeout(50)
        page.get_by_role("button", name="End it").click()
        page.wait_for_timeout(300)
        slow[0].continue_()
        expect(page.get_by_text("It has ended: answer, by operator")).to_be_visible()
    ended = desk.handoff(handoff_id)
    assert [reply["text"] for reply in ended["replies"]] == ["Yes, I am.\nWhat happened?"]
    resolution = ended["resolution"]
    told = {name: resolution[name] for name in ("action", "outcome", "text", "flags", "by")}
    assert told == {
        "action": "answer",
        "outcome": "needed",
        "text": "It is on its way.",
        "flags": ["customer_had_to_repeat"],
        "by": "operator",
    }
    assert desk.drafts(handoff_id) == []


def test_a_held_call_is_edited_and_a_conversation_is_held_released_and_handed_back(desk: Desk) -> None:
    call = {"name": "issue_refund", "args": {"order_id": "A-7"}, "write": True, "amount": 480.0, "status": "proposed"}
    handoff_id = desk.asked("held-call", "refund me", reply="I have refunded 480 USD.", tool_calls=[call])
    with telephone(desk.browser) as page:
        desk.take(page, handoff_id)
        expect(page.locator("#task")).to_contain_text("I have refunded 480 USD.")
        page.get_by_label("Edit").check()
        page.get_by_label("What to change").select_option(label="the call of issue_refund")
        page.get_by_label("Instead of the draft").fill('{"order_id": "A-7", "amount": 200}')
        page.get_by_label("yes", exact=True).check()
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_text("It has ended: edit")).to_be_visible()
    edited = desk.handoff(handoff_id)["resolution"]["edited"]
    assert edited == {"tool_call": {"name": "issue_refund", "args": {"order_id": "A-7", "amount": 200}}}
    handoff_id = desk.asked("held-person")
    with telephone(desk.browser) as page:
        desk.take(page, handoff_id)
        page.get_by_text("Not now").click()
        page.get_by_label("Why it is on hold").fill("asking the warehouse")
        page.get_by_role("button", name="Put on hold").click()
        expect(page.get_by_text("on hold for")).to_be_visible()
        assert desk.handoff(handoff_id)["hold_reason"] == "asking the warehouse"
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_text("yours for")).to_be_visible()
        page.get_by_role("button", name="Put it back in the queue").click()
        expect(page.get_by_role("button", name="Take it")).to_be_visible()
        assert desk.handoff(handoff_id)["state"] == "waiting"
        page.get_by_role("button", name="Take it").click()
        page.get_by_label("Hand back").check()
        page.get_by_label("What you found out").fill("parcel: A-7 is in Berlin")
        page.get_by_label("no", exact=True).check()
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_text("It has ended: hand back")).to_be_visible()
    assert desk.handoff(handoff_id)["resolution"]["facts"] == {"parcel": "A-7 is in Berlin"}


def test_a_long_conversation_is_folded_so_that_the_reply_is_never_far(desk: Desk) -> None:
    for number in range(1, 20):
        body = {
            "conversation_id": "long",
            "turn_id": f"t{number}",
            "message": f"words {number}",
            "reply": f"told {number}",
        }
        desk.served.post("/should-escalate", body, "agent")
    handoff_id = desk.asked("long", turn_id="20")
    with telephone(desk.browser) as page:
        desk.take(page, handoff_id)
        expect(page.get_by_text("words 19")).to_be_visible()
        expect(page.get_by_text("words 2", exact=True)).to_be_hidden()
        page.get_by_text("Earlier (25)").click()
        expect(page.get_by_text("words 2", exact=True)).to_be_visible()
        # What comes now is drawn, and what was unfolded stays so.
        desk.asked("long", "one more thing", "21")
        expect(page.locator("#talk")).to_contain_text("one more thing")
        expect(page.get_by_text("words 2", exact=True)).to_be_visible()


def test_hostile_words_stay_words(desk: Desk) -> None:
    call = {"name": "find_order", "args": {"note": "<img src=x>"}, "status": "error", "error": "<b>down</b>"}
    handoff_id = desk.asked("hostile", HOSTILE, tool_calls=[call], reply="<i>I promise a refund within 2 days.</i>")
    with telephone(desk.browser, stopped="TrustedHTML") as page:
        desk.take(page, handoff_id)
        page.get_by_label("To the customer").fill(HOSTILE)
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".said.operator .words")).to_have_text(HOSTILE)
        for fold in page.locator("summary").all():
            fold.click()
        shown = words(page)
        for written in (
            "<script>document.title='owned'</script>",
            "</textarea><b>bold</b>",
            "<b>down</b>",
            "<img src=x>",
        ):
            assert written in shown
        assert page.locator("main :is(script, img, b, i)").count() == 0
        assert page.title() == "the customer asks for a person · Handrail"
        # Even a script of ours could not read a text as HTML.
        refused = page.evaluate(
            "() => { try { document.body.innerHTML = '<b>x</b>'; } catch (error) { return error.name; } }"
        )
        assert refused == "TypeError"


def test_a_draft_survives_a_reload(desk: Desk) -> None:
    handoff_id = desk.asked("draft-kept")
    with telephone(desk.browser) as page:
        desk.take(page, handoff_id)
        page.get_by_label("Answer").check()
        page.get_by_label("Text for the customer").fill("half of a sentence")
        page.get_by_label("To the customer").fill("and a reply that")
        expect(page.get_by_text("Draft kept at")).to_be_visible()
        page.get_by_label("To the customer").press_sequentially(" goes on")
        # At once, before the pause after which a draft is kept.
        page.reload()
        expect(page.get_by_label("To the customer")).to_have_value("and a reply that goes on")
        expect(page.get_by_label("Text for the customer")).to_have_value("half of a sentence")
        expect(page.get_by_label("Answer")).to_be_checked()
        expect(page.get_by_text("yours for")).to_be_visible()
        # Sent from the same tab: its lease has survived the reload too.
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#talk")).to_contain_text("and a reply that goes on")
        wait_until(lambda: [each["fields"].get("reply") for each in desk.drafts(handoff_id)] == [None])


def test_a_key_that_was_revoked_meanwhile_loses_nothing(desk: Desk) -> None:
    handoff_id = desk.asked("revoked")
    made = desk.served.post("/keys", {"name": "operator", "role": "operator"})
    with telephone(desk.browser) as page:
        page.goto(f"{desk.served.url}/console/handoffs/{handoff_id}")
        page.get_by_label("API key").fill(made["token"])
        page.get_by_label("API key").press("Enter")
        page.get_by_role("button", name="Take it").click()
        page.get_by_label("To the customer").fill("Just a second")
        expect(page.get_by_text("Draft kept at")).to_be_visible()
        admin = {"Authorization": f"Bearer {desk.served.keys['admin']}"}
        assert httpx.delete(f"{desk.served.url}/keys/{made['key_id']}", headers=admin).is_success
        page.get_by_label("To the customer").press_sequentially(", please")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#key-gone")).to_contain_text("Your key is no longer accepted.")
        expect(page.locator("#key-gone")).to_have_count(1)
        page.get_by_label("API key").fill(desk.served.keys["operator"])
        page.get_by_label("API key").press("Enter")
        expect(page.locator("#key-gone")).to_have_count(0)
        # The same person, and the lease of this tab: nothing is to be done again.
        expect(page.get_by_label("To the customer")).to_have_value("Just a second, please")
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".said.operator .words")).to_have_text("Just a second, please")


def test_who_writes_keeps_it_and_a_page_that_was_only_left_open_does_not(desk: Desk) -> None:
    handoff_id = desk.asked("heartbeat")
    with telephone(desk.browser) as page:
        renewed: list[str] = []
        page.on("request", lambda request: renewed.append(request.url) if request.url.endswith("/renew") else None)
        # A stream that is silent for 50 s by this clock would be taken up again, and set the clock right.
        page.route("**/events", lambda route: route.abort())
        page.clock.install()
        desk.take(page, handoff_id)
        page.get_by_label("To the customer").fill("I am writing")
        # Half of the lease later, by this page's clock; the answer's date sets it right again.
        with page.expect_response(lambda answer: answer.url.endswith("/renew")):
            page.clock.fast_forward(LEASE_MS // 2)
        expect(page.locator(".lease strong")).to_have_text(re.compile("^(1:[345][0-9]|2:0[0-9])$"))
        # In its last quarter.
        page.clock.fast_forward(LEASE_MS * 13 // 16)
        warning = page.get_by_text("You lose it soon.")
        expect(warning).to_be_visible()
        assert len(renewed) == 1
        page.get_by_role("button", name="Keep it").click()
        expect(warning).to_have_count(0)
        assert len(renewed) == 2
        expect(page.get_by_role("status")).to_have_text("Kept.")
    assert desk.handoff(handoff_id)["holder"] == "operator"


def test_a_lost_lease_is_told_and_loses_nothing(desk: Desk) -> None:
    handoff_id = desk.asked("lease-lost")
    with telephone(desk.browser) as page:
        desk.take(page, handoff_id)
        page.get_by_label("To the customer").fill("I was about to say")
        token = page.evaluate(f"sessionStorage.getItem('lease {handoff_id}')")
        desk.served.post(f"/handoffs/{handoff_id}/release", {"token": token}, "operator")
        expect(page.locator("#lost")).to_contain_text("You no longer have it, and nobody else does. Take it again")
        desk.as_ben(f"/handoffs/{handoff_id}/claim")
        expect(page.locator("#lost")).to_contain_text("You no longer have it: ben has it now. Ask them.")
        expect(page.get_by_label("To the customer")).to_have_value("I was about to say")
        expect(page.get_by_role("button", name="Send")).to_be_disabled()
        page.get_by_label("To the customer").press_sequentially(" more")
        wait_until(
            lambda: [each["fields"] for each in desk.drafts(handoff_id)] == [{"reply": "I was about to say more"}]
        )
        page.reload()
        expect(page.get_by_text("ben has it now.")).to_be_visible()
        assert desk.drafts(handoff_id)[0]["fields"] == {"reply": "I was about to say more"}


def test_a_reply_that_comes_too_late_is_refused_and_kept(desk: Desk) -> None:
    handoff_id = desk.asked("too-late")
    with telephone(desk.browser) as page:
        # Nothing is heard meanwhile, as on a train: the page still believes that it has the handoff.
        page.route("**/events", lambda route: route.abort())
        desk.take(page, handoff_id)
        token = page.evaluate(f"sessionStorage.getItem('lease {handoff_id}')")
        desk.served.post(f"/handoffs/{handoff_id}/release", {"token": token}, "operator")
        ben = desk.as_ben(f"/handoffs/{handoff_id}/claim")["lease"]["token"]
        page.get_by_label("To the customer").fill("Good evening.")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#lost")).to_contain_text("ben has it now. Ask them.")
        expect(page.get_by_label("To the customer")).to_have_value("Good evening.")
        assert desk.handoff(handoff_id)["replies"] == []
        # It is offered again to whoever has it next, as a text that did not arrive.
        refused = [each for each in desk.drafts(handoff_id) if each["refused"]]
        assert [each["fields"] for each in refused] == [{"verb": "reply", "text": "Good evening."}]
        desk.as_ben(f"/handoffs/{handoff_id}/release", {"token": ben})
        page.reload()
        page.get_by_role("button", name="Take it").click()
        expect(page.get_by_label("To the customer")).to_have_value("Good evening.")


def test_who_claims_second_is_told_who_was_quicker(desk: Desk) -> None:
    handoff_id = desk.asked("claimed-twice")
    with telephone(desk.browser) as page:
        page.route("**/events", lambda route: route.abort())
        desk.open(page, f"/console/handoffs/{handoff_id}")
        desk.as_ben(f"/handoffs/{handoff_id}/claim")
        page.get_by_role("button", name="Take it").click()
        expect(page.get_by_text("ben has it now.")).to_be_visible()
        expect(page.get_by_role("alert").get_by_text("Somebody was quicker")).to_be_visible()


def test_a_double_tap_and_a_lost_answer_do_it_once(desk: Desk) -> None:
    handoff_id = desk.asked("tapped-twice")
    with telephone(desk.browser) as page:
        desk.open(page, f"/console/handoffs/{handoff_id}")
        taken: list[str] = []
        page.on("request", lambda request: taken.append(request.url) if request.url.endswith("/claim") else None)
        page.get_by_role("button", name="Take it").dblclick()
        page.get_by_label("To the customer").fill("Once.")
        page.get_by_role("button", name="Send").dblclick()
        expect(page.locator(".said.operator")).to_have_count(1)
        assert len(taken) == 1

        keys: list[str | None] = []

        def lose_the_answer(route: Route) -> None:
            keys.append(route.request.headers.get("idempotency-key"))
            if len(keys) <= 3:
                route.fetch()
                route.abort()
            else:
                route.continue_()

        page.route("**/reply", lose_the_answer)
        page.get_by_label("To the customer").fill("Only once as well.")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("alert").get_by_text("The service does not answer.")).to_be_visible()
        expect(page.get_by_label("To the customer")).to_have_value("Only once as well.")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_label("To the customer")).to_have_value("")
        assert len(keys) == 4
        assert len(set(keys)) == 1
    assert [reply["text"] for reply in desk.handoff(handoff_id)["replies"]] == ["Once.", "Only once as well."]


def test_the_console_shows_queues_takes_the_next_and_tells_of_a_broken_edit(desk: Desk) -> None:
    first = desk.asked("night-1", "hm", confidence=0.05)
    desk.asked("night-2", "hm", confidence=0.05)
    rules = desk.served.rules / "walk.yaml"
    with telephone(desk.browser) as page:
        desk.open(page, "/console")
        night = page.locator(".queue", has_text="Night desk")
        expect(night).to_contain_text("2 waiting · longest")
        rules.write_text(RULES.replace("confidence < 0.1", "confidense < 0.1"))
        try:
            expect(page.locator("#fault")).to_contain_text("An edit of the rules is refused since")
            expect(page.locator("#fault")).to_contain_text("R1")
            assert "confidense" not in page.locator("#fault").inner_text()
            with telephone(desk.browser, width=1280) as desktop:
                desk.open(desktop, "/console", "manager")
                expect(desktop.locator("#fault")).to_contain_text("did you mean")
                expect(desktop.locator("#fault")).to_contain_text("walk.yaml:24:46: R101: unknown signal `confidense`")
                # What is a rule file and asks for less is taken, and told as long.
                rules.write_text(RULES[: RULES.index("  - {id: lost")])
                expect(desktop.locator("#fault")).to_contain_text("took rules away")
                expect(desktop.locator("#fault")).to_contain_text("lost: removed: it escalated to night")
            expect(page.locator("#fault")).to_contain_text("1 rule that asked for a person is gone")
        finally:
            rules.write_text(RULES)
        expect(page.locator("#fault")).to_be_empty()
        night.get_by_role("button", name="Take next: Night desk").click()
        expect(page.get_by_role("heading", name="the agent is lost")).to_be_visible()
        expect(page.get_by_text("yours for")).to_be_visible()
        assert page.url == f"{desk.served.url}/console/handoffs/{first}"
    assert desk.handoff(first)["holder"] == "operator"


def test_the_pages_work_behind_a_proxy_that_serves_them_below_a_path(desk: Desk) -> None:
    handoff_id = desk.asked("below-a-path")
    with telephone(desk.browser) as page:
        outside = "https://desk.example/handrail"

        def pass_on(route: Route) -> None:
            route.fulfill(response=route.fetch(url=desk.served.url + route.request.url.removeprefix(outside)))

        page.route(f"{outside}/**", pass_on)
        page.route("**/events", lambda route: route.abort())
        desk.open(page, f"{outside}/console/handoffs/{handoff_id}")
        page.get_by_role("button", name="Take it").click()
        expect(page.get_by_text("yours for")).to_be_visible()
        page.get_by_role("link", name="Handrail").click()
        expect(page.get_by_role("heading", name="Queues")).to_be_visible()
        assert page.url == f"{outside}/console"


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_screen_and_everything_is_labelled(desk: Desk, width: int) -> None:
    handoff_id = desk.asked(f"wide-{width}", "let me talk to a human " + "x" * 300)
    with telephone(desk.browser, locale="es-MX", width=width) as page:
        page.goto(f"{desk.served.url}/console/handoffs/{handoff_id}")
        expect(page.locator("html")).to_have_attribute("lang", "es")
        page.get_by_label("Clave de API").fill(desk.served.keys["operator"])
        page.get_by_label("Clave de API").press("Enter")
        # By keyboard alone.
        page.get_by_role("button", name="Tomarlo").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Al cliente")).to_be_visible()
        for fold in page.locator("summary").all():
            fold.press("Enter")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        nameless = page.locator("input, textarea, select, button").evaluate_all(
            "all => all.filter(each => !(each.labels?.length || each.textContent.trim() || each.ariaLabel)).length"
        )
        assert nameless == 0
        page.goto(f"{desk.served.url}/console")
        expect(page.get_by_role("heading", name="Colas")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
