"""What people do with webhooks: add, list, replace a secret, remove, test, look at what was given up, send it again."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from service.errors import LimitReached, Refusal
from service.flows.access import Store
from service.flows.keys import LOCALLY
from service.flows.webhook_events import TEST_EVENT, unknown_events
from service.flows.webhook_targets import Targets, check_url, targets_of
from service.settings import Settings
from service.store import outbox, webhooks
from service.store.webhooks import DeadLetter as DeadLetter
from service.store.webhooks import Delivery, Event
from service.store.webhooks import Endpoint as Endpoint

ENDPOINTS_MAX = 20  # a tenant's; every event becomes a delivery to each that wants it
FILTERS_MAX = 30  # more than there are types of events
SECRET_BYTES = 24  # what Standard Webhooks asks for at least; 64 at most
SECRET_BYTES_MAX = 64
OLD_SECRET_KEPT_MS = 86_400_000  # a day to bring the new secret to every receiver, while both sign
DEAD_LETTERS_SHOWN_MAX = 200
SETTING_ID = "whk_setting"  # the one endpoint that stands in the settings, not in a request


class WebhookUnknown(Refusal):
    """The tenant has no endpoint with that id."""

    code = "webhook_unknown"
    hint = "list the webhooks to see their ids"

    def __init__(self) -> None:
        super().__init__("no such webhook")


class DeadLetterUnknown(Refusal):
    """No dead letter with that id is kept."""

    code = "dead_letter_unknown"
    hint = "list the dead letters; one that is sent again is a dead letter no more"

    def __init__(self) -> None:
        super().__init__("no such dead letter")


class EventsUnknown(Refusal):
    """A filter names no event there is."""

    code = "events_unknown"
    hint = "use `*`, `handoff.*`, or types that GET /webhooks/events lists"

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} of the filters match no type of event")
        self.count = count


class SecretUnfit(Refusal):
    """A given secret is not what Standard Webhooks asks for."""

    code = "webhook_secret_unfit"
    hint = f"give `whsec_` and base64 of {SECRET_BYTES} to {SECRET_BYTES_MAX} random bytes, or leave it out"

    def __init__(self) -> None:
        super().__init__("the secret cannot be used")


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """What somebody asks for: where to, which events, and a secret of their own if they want one."""

    url: str
    events: tuple[str, ...] = ("*",)
    secret: str | None = None
    about: str | None = None


async def add(
    store: Store, tenant: str, asked: NewWebhook, targets: Targets, now_ms: int, actor: str = LOCALLY
) -> Endpoint:
    """Keep a new endpoint and return it with its secret, which is shown this once."""
    if not asked.events or len(asked.events) > FILTERS_MAX:
        raise LimitReached("filters of one webhook", FILTERS_MAX, "use `*` or `handoff.*`")
    if unknown := unknown_events(asked.events):
        raise EventsUnknown(len(unknown))
    url = check_url(asked.url, targets)
    endpoint = Endpoint(
        endpoint_id=f"whk_{secrets.token_hex(8)}",
        url=url,
        events=asked.events,
        secret=checked_secret(asked.secret) if asked.secret is not None else new_secret(),
        created_at_ms=now_ms,
        about=asked.about,
    )
    # Two requests at once may pass this together and leave one more than the limit: it bounds work, it is no promise.
    if len(await webhooks.endpoints(store, tenant)) >= ENDPOINTS_MAX:
        raise LimitReached("webhooks of a tenant", ENDPOINTS_MAX, "remove one that is not used")
    told = f"{endpoint.endpoint_id} {_host(url)} {' '.join(endpoint.events)}"
    await outbox.tell(store, tenant, "webhook.added", actor, now_ms, told)
    await webhooks.keep(store, tenant, endpoint)
    return endpoint


def _host(url: str) -> str:
    # A path or a query may be a secret, as with Slack's; the host says enough.
    return urlsplit(url).hostname or ""


async def listed(store: Store, tenant: str) -> list[Endpoint]:
    """Return every endpoint, oldest first."""
    found = (await webhooks.endpoints(store, tenant)).values()
    return sorted(found, key=lambda each: (each.created_at_ms, each.endpoint_id))


async def get(store: Store, tenant: str, endpoint_id: str) -> Endpoint:
    """Return one endpoint, or raise WebhookUnknown."""
    found = (await webhooks.endpoints(store, tenant)).get(endpoint_id)
    if found is None:
        raise WebhookUnknown
    return found


async def remove(store: Store, tenant: str, endpoint_id: str, now_ms: int, actor: str = LOCALLY) -> None:
    """Forget an endpoint; what is still owed to it is dropped. Raises WebhookUnknown."""
    await get(store, tenant, endpoint_id)
    await outbox.tell(store, tenant, "webhook.removed", actor, now_ms, endpoint_id)
    if not await webhooks.remove(store, tenant, endpoint_id):
        raise WebhookUnknown


async def enable(store: Store, tenant: str, endpoint_id: str, now_ms: int, actor: str = LOCALLY) -> Endpoint:
    """Take an endpoint that answered 410 Gone into service again. Raises WebhookUnknown."""
    endpoint = await get(store, tenant, endpoint_id)
    await outbox.tell(store, tenant, "webhook.enabled", actor, now_ms, endpoint_id)
    await webhooks.enable(store, tenant, endpoint_id)
    return replace(endpoint, disabled=None)


async def renew_secret(store: Store, tenant: str, endpoint_id: str, now_ms: int, actor: str = LOCALLY) -> Endpoint:
    """Give an endpoint a new secret; the old one signs beside it for a day. Raises WebhookUnknown."""
    endpoint = await get(store, tenant, endpoint_id)
    fresh = replace(
        endpoint,
        secret=new_secret(),
        old_secret=endpoint.secret,
        old_secret_until_at_ms=now_ms + OLD_SECRET_KEPT_MS,
    )
    await outbox.tell(store, tenant, "webhook.secret_renewed", actor, now_ms, endpoint_id)
    await webhooks.keep(store, tenant, fresh)
    return fresh


async def test(store: Store, tenant: str, endpoint_id: str, actor: str, now_ms: int) -> str:
    """Owe the endpoint a test event, delivered and retried like any other, and return the event's id."""
    await get(store, tenant, endpoint_id)
    event = Event(
        entry_id=f"{now_ms}-0",
        event_id=f"evt_test_{secrets.token_hex(8)}",
        type=TEST_EVENT,
        tenant=tenant,
        handoff_id=None,
        conversation_id="",
        actor=actor,
        at_ms=now_ms,
    )
    await webhooks.add(store, tenant, 0, (Delivery.of(event, endpoint_id),), now_ms)
    return event.event_id


async def dead_letters(store: Store, tenant: str, limit: int = DEAD_LETTERS_SHOWN_MAX) -> list[DeadLetter]:
    """Return what was given up, latest first."""
    return await webhooks.dead_letters(store, tenant, min(limit, DEAD_LETTERS_SHOWN_MAX))


async def redeliver(store: Store, tenant: str, delivery_id: str, now_ms: int) -> None:
    """Send a dead letter again, from the first try, under the same webhook-id. Raises DeadLetterUnknown."""
    if not await webhooks.redeliver(store, tenant, delivery_id, now_ms):
        raise DeadLetterUnknown


async def adopt_setting(store: Store, settings: Settings) -> None:
    """Make HANDRAIL_WEBHOOK_URL an endpoint of the settings' tenant, or forget the one of an earlier start."""
    if settings.webhook_url is None:
        await webhooks.remove(store, settings.tenant, SETTING_ID)
        return
    url = check_url(settings.webhook_url, targets_of(settings.webhook_targets, settings.host))
    given = settings.webhook_secret
    if given is None:
        raise SecretUnfit
    known = (await webhooks.endpoints(store, settings.tenant)).get(SETTING_ID)
    secret = checked_secret(given.get_secret_value())
    if known is not None and (known.url, known.secret) == (url, secret):
        return
    fresh = Endpoint(SETTING_ID, url, ("*",), secret, 0, "from HANDRAIL_WEBHOOK_URL")
    await webhooks.keep(store, settings.tenant, fresh)
    await webhooks.enable(store, settings.tenant, SETTING_ID)


def new_secret() -> str:
    """Return a fresh secret as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def checked_secret(given: str) -> str:
    """Return a secret that signs, or raise SecretUnfit."""
    try:
        raw = base64.b64decode(given.removeprefix("whsec_"), validate=True)
    except (ValueError, binascii.Error):
        raise SecretUnfit from None
    if not given.startswith("whsec_") or not SECRET_BYTES <= len(raw) <= SECRET_BYTES_MAX:
        raise SecretUnfit
    return given
