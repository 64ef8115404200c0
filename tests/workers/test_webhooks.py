"""From an outbox entry to a receiver: at least once, signed, retried in bounded time, given up in sight."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime

import orjson
import pytest
from standardwebhooks import WebhookVerificationError

from service import settings
from service.clock import now_ms
from service.errors import LimitReached, Refusal
from service.flows import deliver, webhooks
from service.flows.access import Store
from service.flows.deliver import LEASE_MS, Counts, Means
from service.flows.tries import RETRY_AFTER_MS, TRIES_MAX, Answer, Request
from service.flows.webhook_events import body_of
from service.flows.webhooks import Endpoint, EventsUnknown, NewWebhook, SecretUnfit, WebhookUnknown
from service.store import keys
from service.store import webhooks as stored
from service.store.outbox import Event
from service.store.webhooks import Delivery
from tests.workers.receiver import Receiver
from workers.sender import Sender

pytestmark = pytest.mark.server


@dataclass
class Time:
    """A clock that stands still until it is moved. It starts now, as receivers check a signature's age."""

    at_ms: int = field(default_factory=now_ms)

    def __call__(self) -> int:
        return self.at_ms


@dataclass
class Answers:
    """A receiver at arm's length: what was sent to it, and what it says to each in turn (the last one for ever)."""

    says: list[Answer]
    got: list[Request] = field(default_factory=list)

    async def __call__(self, request: Request) -> Answer:
        self.got.append(request)
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]


OK, DOWN = Answer(200, "answered 200"), Answer(500, "answered 500")


async def happen(store: Store, tenant: str, *types: str, handoff_id: str = "hof_0_0123456789abcdef") -> None:
    """Put events into the outbox as the scripts of the store do."""
    for kind in types:
        words = {
            "type": kind,
            "tenant": tenant,
            "handoff_id": handoff_id,
            "conversation_id": "chat-1",
            "actor": "mia",
            "at_ms": str(now_ms()),
        }
        flat = [word for pair in words.items() for word in pair]
        await store.link.call("XADD", keys.place(tenant, 0).outbox, "*", *flat)


async def passed_on(store: Store, tenant: str, at_ms: int) -> int:
    step = await deliver.fan_out(store, tenant, 0, "tests", at_ms)
    await deliver.forget(store, tenant, 0, step.entries)
    return step.deliveries


async def added(store: Store, tenant: str, url: str = "http://127.0.0.1:9/", *events: str) -> Endpoint:
    return await webhooks.add(store, tenant, NewWebhook(url, events or ("*",)), "loopback", 1)


def test_a_reply_is_told_by_its_number_and_the_version_it_made() -> None:
    told = Event(
        *("1-0", "evt_1", "handoff.replied", "acme", "hof_0_0123456789abcdef", "chat-1", "mia", 5),
        detail="3",
        version=7,
    )
    data = orjson.loads(body_of(Delivery.of(told, "whk_1")))["data"]
    assert data == {
        "tenant": "acme",
        "handoff_id": "hof_0_0123456789abcdef",
        "conversation_id": "chat-1",
        "version": 7,
        "reply_number": 3,
        "actor": "mia",
        "at_ms": 5,
    }


async def run_once(store: Store, tenant: str, answers: Answers | Sender, clock: Time) -> Counts:
    send = answers.send if isinstance(answers, Sender) else answers
    return await deliver.deliver_due(store, tenant, 0, Means(send, clock, lambda: 0.5, "1.2.3"), 30_000)


async def test_an_event_arrives_signed_as_one_body_that_is_both_formats(store: Store, tenant: str) -> None:
    with Receiver() as receiver:
        endpoint = await added(store, tenant, receiver.url("/ok"))
        await happen(store, tenant, "handoff.opened")
        clock = Time()
        assert await passed_on(store, tenant, clock()) == 1
        sender = Sender("loopback")
        assert (await run_once(store, tenant, sender, clock)).taken == 1
        await sender.close()
        (got,) = receiver.got
    body = got.verified(endpoint.secret)
    assert got.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert got.headers["user-agent"] == "handrail/1.2.3"
    assert got.headers["webhook-id"] == body["id"]
    assert set(body) == {
        *("specversion", "id", "source", "type", "subject", "time", "timestamp", "sequence", "datacontenttype", "data")
    }
    assert (body["specversion"], body["type"], body["source"], body["subject"], body["datacontenttype"]) == (
        "1.0",
        "handrail.handoff.opened",
        f"/tenants/{tenant}",
        "handoffs/hof_0_0123456789abcdef",
        "application/json",
    )
    assert body["time"] == body["timestamp"]
    assert datetime.fromisoformat(body["time"]).timestamp() * 1000 == body["data"]["at_ms"]
    # Ids and states only: a test that somebody who adds the customer's words has to change.
    assert set(body["data"]) == {"tenant", "handoff_id", "conversation_id", "actor", "at_ms"}
    with pytest.raises(WebhookVerificationError):
        got.verified(webhooks.new_secret())
    assert await stored.owed(store, tenant) == 0


async def test_each_endpoint_gets_what_it_asked_for(store: Store, tenant: str) -> None:
    asked = {"every": "*", "handoffs": "handoff.*", "one": "outcome.recorded"}
    urls = {name: f"http://127.0.0.1:9/{name}" for name in asked}
    for name, events in asked.items():
        await added(store, tenant, urls[name], events)
    await happen(store, tenant, "handoff.opened", "handoff.resolved", "outcome.recorded")
    clock, answers = Time(), Answers([OK])
    await passed_on(store, tenant, clock())
    await run_once(store, tenant, answers, clock)
    told = {name: sorted(json.loads(r.body)["type"] for r in answers.got if r.url == url) for name, url in urls.items()}
    assert told == {
        "every": ["handrail.handoff.opened", "handrail.handoff.resolved", "handrail.outcome.recorded"],
        "handoffs": ["handrail.handoff.opened", "handrail.handoff.resolved"],
        "one": ["handrail.outcome.recorded"],
    }


async def test_a_relay_killed_before_it_forgets_owes_nothing_twice(store: Store, tenant: str) -> None:
    await added(store, tenant)
    await happen(store, tenant, "handoff.opened", "handoff.claimed")
    clock = Time()
    first = await deliver.fan_out(store, tenant, 0, "killed", clock())
    # That the endpoint was added is the audit log's alone.
    assert (first.deliveries, len(first.entries)) == (2, 3)
    # As `outbox.read` of the next one does after RECLAIM_MS, without the wait.
    place = keys.place(tenant, 0)
    await store.link.call("XCLAIM", place.outbox, keys.CONSUMERS, "next", 0, *first.entries)
    await store.link.call("XGROUP", "DESTROY", place.outbox, keys.CONSUMERS)
    again = await deliver.fan_out(store, tenant, 0, "next", clock())
    assert (again.deliveries, again.entries) == (0, first.entries)
    await deliver.forget(store, tenant, 0, again.entries)
    assert await stored.owed(store, tenant) == 2
    answers = Answers([OK])
    await run_once(store, tenant, answers, clock)
    assert len({request.headers["webhook-id"] for request in answers.got}) == len(answers.got) == 2


async def test_a_worker_killed_in_a_try_is_followed_by_another_with_the_same_id(store: Store, tenant: str) -> None:
    await added(store, tenant)
    await happen(store, tenant, "handoff.opened")
    clock = Time()
    await passed_on(store, tenant, clock())
    hanging = Answers([OK])
    reached = asyncio.Event()

    async def hangs(request: Request) -> Answer:
        await hanging(request)
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    killed = asyncio.create_task(deliver.deliver_due(store, tenant, 0, Means(hangs, clock, lambda: 0.5, "1"), 30_000))
    await reached.wait()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    answers = Answers([OK])
    assert (await run_once(store, tenant, answers, clock)).sent == 0
    clock.at_ms += LEASE_MS
    assert (await run_once(store, tenant, answers, clock)).taken == 1
    assert answers.got[0].headers["webhook-id"] == hanging.got[0].headers["webhook-id"]


async def test_a_failing_receiver_is_tried_again_and_again_and_then_given_up(store: Store, tenant: str) -> None:
    await added(store, tenant)
    await happen(store, tenant, "handoff.opened")
    clock, answers = Time(), Answers([DOWN])
    begun_ms = clock()
    await passed_on(store, tenant, clock())
    waits = []
    for _ in range(TRIES_MAX):
        tried_ms = clock()
        sent = (await run_once(store, tenant, answers, clock)).sent
        assert sent == 1
        due = await store.link.call("ZRANGE", keys.place(tenant, 0).deliveries_due, 0, 0, "WITHSCORES")
        if due:
            clock.at_ms = int(due[1])
            waits.append(clock() - tried_ms)
    assert tuple(waits) == RETRY_AFTER_MS
    (dead,) = await webhooks.dead_letters(store, tenant)
    assert (dead.delivery.tries, dead.delivery.fact) == (TRIES_MAX, "answered 500")
    assert dead.given_up_at_ms - begun_ms == sum(RETRY_AFTER_MS)
    assert {request.headers["webhook-id"] for request in answers.got} == {dead.delivery.event.event_id}
    assert await stored.owed(store, tenant) == 0


async def test_a_dead_letter_is_sent_again_on_demand(store: Store, tenant: str) -> None:
    endpoint = await added(store, tenant)
    await happen(store, tenant, "handoff.opened")
    clock = Time()
    await passed_on(store, tenant, clock())
    for _ in range(TRIES_MAX):
        await run_once(store, tenant, Answers([DOWN]), clock)
        clock.at_ms += max(RETRY_AFTER_MS) * 2
    (dead,) = await webhooks.dead_letters(store, tenant)
    await webhooks.redeliver(store, tenant, dead.delivery.delivery_id, clock())
    assert await webhooks.dead_letters(store, tenant) == []
    answers = Answers([OK])
    assert (await run_once(store, tenant, answers, clock)).taken == 1
    assert answers.got[0].headers["webhook-id"] == dead.delivery.event.event_id
    with pytest.raises(webhooks.DeadLetterUnknown):
        await webhooks.redeliver(store, tenant, dead.delivery.delivery_id, clock())
    assert endpoint.url == answers.got[0].url


async def test_gone_takes_the_endpoint_out_of_service_until_somebody_enables_it(store: Store, tenant: str) -> None:
    endpoint = await added(store, tenant)
    await happen(store, tenant, "handoff.opened", "handoff.claimed")
    clock, answers = Time(), Answers([Answer(410, "answered 410")])
    await passed_on(store, tenant, clock())
    await run_once(store, tenant, answers, clock)
    assert len(answers.got) == 1
    assert (await webhooks.get(store, tenant, endpoint.endpoint_id)).disabled == "answered 410"
    clock.at_ms += LEASE_MS
    await run_once(store, tenant, answers, clock)
    facts = {dead.delivery.fact for dead in await webhooks.dead_letters(store, tenant)}
    assert facts == {"answered 410", "not sent: the endpoint answered 410"}
    # While it is out of service nothing more is owed to it.
    await happen(store, tenant, "handoff.resolved")
    assert await passed_on(store, tenant, clock()) == 0
    assert (await webhooks.enable(store, tenant, endpoint.endpoint_id, clock())).disabled is None
    await happen(store, tenant, "handoff.resolved")
    assert await passed_on(store, tenant, clock()) == 1


async def test_a_receiver_that_asks_for_rest_is_left_alone_with_everything(store: Store, tenant: str) -> None:
    await added(store, tenant)
    await happen(store, tenant, "handoff.opened", "handoff.claimed", "handoff.resolved")
    clock, answers = Time(), Answers([Answer(429, "answered 429", 90_000), OK])
    await passed_on(store, tenant, clock())
    counts = await run_once(store, tenant, answers, clock)
    assert (counts.sent, counts.again, counts.put_off) == (1, 1, 2)
    clock.at_ms += 89_000
    assert (await run_once(store, tenant, answers, clock)).sent == 0
    clock.at_ms += 1_000
    assert (await run_once(store, tenant, answers, clock)).taken == 3


async def test_the_events_of_one_handoff_go_out_in_their_order(store: Store, tenant: str) -> None:
    await added(store, tenant)
    types = ["handoff.opened", "handoff.claimed", "handoff.replied", "handoff.replied", "handoff.resolved"]
    for handoff_id in ("hof_0_a", "hof_0_b", "hof_0_c"):
        await happen(store, tenant, *types, handoff_id=handoff_id)
    clock, answers = Time(), Answers([OK])
    await passed_on(store, tenant, clock())
    await run_once(store, tenant, answers, clock)
    bodies = [json.loads(request.body) for request in answers.got]
    for handoff_id in ("hof_0_a", "hof_0_b", "hof_0_c"):
        mine = [body for body in bodies if body["data"]["handoff_id"] == handoff_id]
        assert [body["type"] for body in mine] == [f"handrail.{kind}" for kind in types]
        assert [body["sequence"] for body in mine] == sorted(body["sequence"] for body in mine)


async def test_one_receiver_that_hangs_does_not_keep_back_the_others(store: Store, tenant: str) -> None:
    for place in ("slow", "quick"):
        await added(store, tenant, f"http://127.0.0.1:9/{place}")
    for number in range(30):
        await happen(store, tenant, "handoff.opened", handoff_id=f"hof_0_{number}")
    clock = Time()
    await passed_on(store, tenant, clock())
    at_once, most = 0, 0

    async def send(request: Request) -> Answer:
        nonlocal at_once, most
        if request.url.endswith("/quick"):
            return OK
        at_once += 1
        most = max(most, at_once)
        # Until all that are ever tried together are there, and for as long as one more might come.
        async with asyncio.timeout(20):
            while most < 4:  # noqa: ASYNC110  # others count it up
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        at_once -= 1
        return Answer(None, "no answer within 10000 ms")

    counts = await deliver.deliver_due(store, tenant, 0, Means(send, clock, lambda: 0.5, "1"), 30_000)
    assert counts.taken == 30
    # Four tried it side by side, learned that it hangs, and the rest was put off without a try.
    assert (most, counts.again, counts.put_off) == (4, 4, 26)


async def test_what_is_owed_to_a_removed_endpoint_is_dropped(store: Store, tenant: str) -> None:
    endpoint = await added(store, tenant)
    await happen(store, tenant, "handoff.opened")
    clock, answers = Time(), Answers([OK])
    await passed_on(store, tenant, clock())
    await webhooks.remove(store, tenant, endpoint.endpoint_id, 1)
    counts = await run_once(store, tenant, answers, clock)
    assert (counts.dropped, answers.got, await stored.owed(store, tenant)) == (1, [], 0)
    with pytest.raises(WebhookUnknown):
        await webhooks.remove(store, tenant, endpoint.endpoint_id, 1)


async def test_a_late_worker_does_not_undo_what_another_did_since(store: Store, tenant: str) -> None:
    await added(store, tenant)
    await happen(store, tenant, "handoff.opened")
    clock = Time()
    await passed_on(store, tenant, clock())
    (late,) = await stored.take_due(store, tenant, 0, clock(), clock(), 10)
    (quick,) = await stored.take_due(store, tenant, 0, clock(), clock(), 10)
    await stored.again(store, tenant, 0, quick, quick.tried("answered 500", clock()), clock() + 5_000)
    await stored.bury(store, tenant, 0, late, late.tried("answered 410", clock()), clock())
    await stored.again(store, tenant, 0, late, late.tried("answered 502", clock()), clock() + 9_000)
    assert await webhooks.dead_letters(store, tenant) == []
    (left,) = await stored.take_due(store, tenant, 0, clock() + 5_000, clock() + 6_000, 10)
    assert (left.tries, left.fact) == (1, "answered 500")


async def test_more_than_may_be_owed_is_given_up_in_sight(
    store: Store, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "OWED_MAX", 2)
    monkeypatch.setattr(stored, "DEAD_LETTERS_MAX", 3)
    await added(store, tenant)
    await happen(store, tenant, *["handoff.replied"] * 7)
    assert await passed_on(store, tenant, 1_000) == 2
    dead = await webhooks.dead_letters(store, tenant)
    assert [each.delivery.fact for each in dead] == ["more than 2 deliveries were owed"] * 3


async def test_while_a_secret_is_replaced_both_sign(store: Store, tenant: str) -> None:
    with Receiver() as receiver:
        old = await added(store, tenant, receiver.url("/ok"))
        clock = Time()
        new = await webhooks.renew_secret(store, tenant, old.endpoint_id, clock())
        assert new.secret != old.secret
        sender = Sender("loopback")
        for _ in range(2):
            await webhooks.test(store, tenant, old.endpoint_id, "mia", clock())
            await run_once(store, tenant, sender, clock)
            # Past the day the receiver's own clock would refuse the signature's age: only its count is looked at.
            clock.at_ms += webhooks.OLD_SECRET_KEPT_MS
        await sender.close()
        first, later = receiver.got
    assert first.verified(old.secret) == first.verified(new.secret)
    assert [len(got.headers["webhook-signature"].split()) for got in (first, later)] == [2, 1]


async def test_a_test_event_goes_to_one_endpoint_whatever_its_filter(store: Store, tenant: str) -> None:
    one = await added(store, tenant, "http://127.0.0.1:9/one", "outcome.recorded")
    await added(store, tenant, "http://127.0.0.1:9/other")
    clock, answers = Time(), Answers([OK])
    event_id = await webhooks.test(store, tenant, one.endpoint_id, "mia", clock())
    await run_once(store, tenant, answers, clock)
    (request,) = answers.got
    body = json.loads(request.body)
    assert (request.url, body["id"], body["type"]) == (one.url, event_id, "handrail.webhook.test")


async def test_the_endpoint_of_the_settings_comes_and_goes_with_them(store: Store, tenant: str) -> None:
    secret = webhooks.new_secret()
    given = settings.load(tenant=tenant, webhook_url="http://127.0.0.1:9/hook", webhook_secret=secret)
    await webhooks.adopt_setting(store, given)
    await webhooks.adopt_setting(store, given)
    (endpoint,) = await webhooks.listed(store, tenant)
    assert (endpoint.endpoint_id, endpoint.url, endpoint.secret) == ("whk_setting", "http://127.0.0.1:9/hook", secret)
    await webhooks.adopt_setting(store, settings.load(tenant=tenant))
    assert await webhooks.listed(store, tenant) == []


async def test_a_webhook_that_cannot_work_is_refused_with_the_next_step(store: Store, tenant: str) -> None:
    async def refused(asked: NewWebhook) -> Refusal:
        with pytest.raises(Refusal) as fact:
            await webhooks.add(store, tenant, asked, "public", 1)
        return fact.value

    url = "https://shop.example/hooks"
    misspelled = await refused(NewWebhook(url, ("handoff.opend", "*")))
    assert isinstance(misspelled, EventsUnknown)
    assert str(misspelled) == "1 of the filters match no type of event"
    assert isinstance(await refused(NewWebhook(url, secret="whsec_c2hvcnQ=")), SecretUnfit)
    assert isinstance(await refused(NewWebhook(url, secret="x" * 40)), SecretUnfit)
    assert (await refused(NewWebhook("http://127.0.0.1/"))).code == "webhook_url_refused"
    for number in range(webhooks.ENDPOINTS_MAX):
        await webhooks.add(store, tenant, NewWebhook(f"{url}/{number}"), "public", number)
    assert isinstance(await refused(NewWebhook(url)), LimitReached)
    urls = [each.url for each in await webhooks.listed(store, tenant)]
    assert urls == [f"{url}/{number}" for number in range(webhooks.ENDPOINTS_MAX)]
