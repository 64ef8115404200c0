"""Webhooks for admins: where events go, whether they arrive, and what was given up. Receivers never call here."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, StringConstraints

from service.api.bodies import Body
from service.api.decision_answers import Shape
from service.api.routes import NAME_CHARS_MAX, Call, answered, called, problems_documented
from service.clock import now_ms
from service.flows import webhooks
from service.flows.webhook_events import EVENTS
from service.flows.webhook_targets import URL_BYTES_MAX, targets_of
from service.flows.webhooks import DEAD_LETTERS_SHOWN_MAX, FILTERS_MAX, DeadLetter, Endpoint, NewWebhook

router = APIRouter(prefix="/webhooks", tags=["admins"])
Administering = Annotated[Call, called("administer")]
WebhookId = Annotated[str, Path(max_length=NAME_CHARS_MAX, description="as GET /webhooks says")]
DeliveryId = Annotated[str, Path(max_length=NAME_CHARS_MAX, description="as GET /webhooks/dead-letters says")]
Filter = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64, pattern=r"^[a-z_.*]+$")]


class WebhookBody(Body):
    """A new webhook: where to, which events, and a secret of your own if you want one."""

    url: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=URL_BYTES_MAX)]
    events: Annotated[list[Filter], Field(min_length=1, max_length=FILTERS_MAX)] = Field(default_factory=lambda: ["*"])
    secret: (
        Annotated[str, StringConstraints(strict=True, max_length=128, pattern=r"^whsec_[A-Za-z0-9+/=]+$")] | None
    ) = None
    about: Annotated[str, StringConstraints(strict=True, max_length=200)] | None = None


class WebhookAnswer(Shape):
    """A webhook without its secret; `disabled` says why nothing is sent to it."""

    id: str
    url: str
    events: list[str]
    about: str | None
    created_at_ms: int
    disabled: str | None


class WebhooksAnswer(Shape):
    """The tenant's webhooks, oldest first."""

    webhooks: list[WebhookAnswer]


class SecretAnswer(WebhookAnswer):
    """A webhook with its secret, which is shown in this answer only."""

    secret: str


class EventsAnswer(Shape):
    """The types of events, each with what happened."""

    events: dict[str, str]


class TestedAnswer(Shape):
    """The test event that is now on its way."""

    event_id: str


class DeadLetterAnswer(Shape):
    """An event that was given up: what it was, how often it was tried, and what came of the last try."""

    id: str
    webhook_id: str
    event_id: str
    type: str
    handoff_id: str | None
    tries: int
    fact: str | None
    happened_at_ms: int
    given_up_at_ms: int


class DeadLettersAnswer(Shape):
    """What was given up, latest first."""

    dead_letters: list[DeadLetterAnswer]


@router.get(
    "", summary="The webhooks of this tenant", responses={200: {"model": WebhooksAnswer}, **problems_documented()}
)
async def list_all(call: Administering) -> Response:
    """Without their secrets."""
    found = await webhooks.listed(call.running.store, call.caller.tenant)
    return answered({"webhooks": [_webhook(each) for each in found]})


@router.post(
    "",
    summary="Add a webhook",
    status_code=201,
    responses={
        201: {"model": SecretAnswer},
        **problems_documented(
            "body_invalid", "webhook_url_refused", "events_unknown", "webhook_secret_unfit", "limit_reached"
        ),
    },
)
async def add(body: WebhookBody, call: Administering) -> Response:
    """Events that happen from now on are sent to it; the secret that signs them is only in this answer."""
    settings = call.running.settings
    asked = NewWebhook(body.url, tuple(body.events), body.secret, body.about)
    targets = targets_of(settings.webhook_targets, settings.host)
    caller = call.caller
    made = await webhooks.add(call.running.store, caller.tenant, asked, targets, now_ms(), caller.name)
    return answered(_with_secret(made), 201)


@router.get("/events", summary="The types of events", responses={200: {"model": EventsAnswer}, **problems_documented()})
async def events(call: Administering) -> Response:
    """What a webhook can ask for; `handoff.*` and `*` ask for many."""
    return answered({"events": dict(EVENTS)})


@router.get(
    "/dead-letters",
    summary="What was given up",
    responses={200: {"model": DeadLettersAnswer}, **problems_documented("query_invalid")},
)
async def dead_letters(
    call: Administering, limit: Annotated[int, Query(ge=1, le=DEAD_LETTERS_SHOWN_MAX)] = DEAD_LETTERS_SHOWN_MAX
) -> Response:
    """Events that no receiver took within the retries, or that a webhook out of service was owed."""
    found = await webhooks.dead_letters(call.running.store, call.caller.tenant, limit)
    return answered({"dead_letters": [_dead_letter(each) for each in found]})


@router.post(
    "/dead-letters/{delivery_id}/redeliver",
    summary="Send a dead letter again",
    status_code=202,
    responses={202: {}, **problems_documented("dead_letter_unknown")},
)
async def redeliver(delivery_id: DeliveryId, call: Administering) -> Response:
    """From the first try, under the same `webhook-id`."""
    await webhooks.redeliver(call.running.store, call.caller.tenant, delivery_id, now_ms())
    return Response(status_code=202)


@router.delete(
    "/{webhook_id}", summary="Remove a webhook", status_code=204, responses=problems_documented("webhook_unknown")
)
async def remove(webhook_id: WebhookId, call: Administering) -> Response:
    """What is still owed to it is dropped."""
    await webhooks.remove(call.running.store, call.caller.tenant, webhook_id, now_ms(), call.caller.name)
    return Response(status_code=204)


@router.post(
    "/{webhook_id}/test",
    summary="Send a test event",
    status_code=202,
    responses={202: {"model": TestedAnswer}, **problems_documented("webhook_unknown")},
)
async def test(webhook_id: WebhookId, call: Administering) -> Response:
    """Delivered, signed and tried again like any other."""
    event_id = await webhooks.test(call.running.store, call.caller.tenant, webhook_id, call.caller.name, now_ms())
    return answered({"event_id": event_id}, 202)


@router.post(
    "/{webhook_id}/enable",
    summary="Take a webhook into service again",
    responses={200: {"model": WebhookAnswer}, **problems_documented("webhook_unknown")},
)
async def enable(webhook_id: WebhookId, call: Administering) -> Response:
    """After it answered 410 Gone; what it was owed meanwhile is among the dead letters."""
    caller = call.caller
    enabled = await webhooks.enable(call.running.store, caller.tenant, webhook_id, now_ms(), caller.name)
    return answered(_webhook(enabled))


@router.post(
    "/{webhook_id}/secret",
    summary="Replace a webhook's secret",
    responses={200: {"model": SecretAnswer}, **problems_documented("webhook_unknown")},
)
async def renew_secret(webhook_id: WebhookId, call: Administering) -> Response:
    """For a day both the old and the new secret sign every event."""
    caller = call.caller
    renewed = await webhooks.renew_secret(call.running.store, caller.tenant, webhook_id, now_ms(), caller.name)
    return answered(_with_secret(renewed))


def _webhook(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.endpoint_id,
        "url": endpoint.url,
        "events": endpoint.events,
        "about": endpoint.about,
        "created_at_ms": endpoint.created_at_ms,
        "disabled": endpoint.disabled,
    }


def _with_secret(endpoint: Endpoint) -> dict[str, Any]:
    return {**_webhook(endpoint), "secret": endpoint.secret}


def _dead_letter(dead: DeadLetter) -> dict[str, Any]:
    delivery = dead.delivery
    return {
        "id": delivery.delivery_id,
        "webhook_id": delivery.endpoint_id,
        "event_id": delivery.event.event_id,
        "type": delivery.event.type,
        "handoff_id": delivery.event.handoff_id,
        "tries": delivery.tries,
        "fact": delivery.fact,
        "happened_at_ms": delivery.event.at_ms,
        "given_up_at_ms": dead.given_up_at_ms,
    }
