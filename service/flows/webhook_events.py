"""What a webhook is told: the table of events, the one body that is both CloudEvents 1.0 and Standard Webhooks, its
signature. Nothing is sent here, and nothing that a customer or an operator wrote goes into a body: ids and states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from types import MappingProxyType

import orjson
from standardwebhooks import Webhook

from rules.marks import is_drill
from service.store.webhooks import Delivery, Endpoint, Event

# type -> what happened, as the documentation and the API tell it.
EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "handoff.opened": "a turn asked for a person, and the conversation had no open handoff",
        "handoff.joined": "another turn asked for a person; its reason joined the open handoff",
        "handoff.acknowledged": "somebody knows of it and comes; nothing more is told of it",
        "handoff.claimed": "an operator took the handoff",
        "handoff.claimed_again": "its operator took it once more, in another window; the token before is stale",
        "handoff.held": "the operator keeps it until a given moment",
        "handoff.resumed": "the operator goes on with what they held",
        "handoff.released": "the operator put it back",
        "handoff.transferred": "it moved to another queue or operator",
        "handoff.message": "the customer wrote while a person has the conversation, or is on the way",
        "handoff.replied": "the operator said something to the customer",
        "handoff.resolved": "the operator answered: approve, edit, reject, answer or take over",
        "handoff.handed_back": "the conversation is the agent's again",
        "handoff.lapsed": "the operator went silent; it waits again",
        "handoff.offered": "it is kept for one operator, who has a while to accept",
        "handoff.let_go": "whoever it was kept for did not take it, or it gave way to what is far more urgent",
        "handoff.widened": "a step of its queue's ladder: others may take it, it is more urgent, or somebody is paged",
        "handoff.step_skipped": "a step was left out, as nobody was there for it",
        "handoff.deadline_near": "it still waits, and its deadline is near",
        "handoff.resolve_near": "it has not ended, and the time to resolve it is nearly over",
        "handoff.resolve_missed": "the time to resolve it is over",
        "handoff.rerouted": "nobody came in time; it moved to the queue that `on_timeout` names",
        "handoff.grouped": "it came in a flood of the same; another handoff stands for it in the queue",
        "handoff.leads": "it stands in the queue for a flood of the same",
        "handoff.ungrouped": "it came in a flood, and waits as one of its own again",
        "handoff.expired": "nobody came in time; `on_timeout` holds",
        "handoff.call_owed": "a handoff ended, and the call that its customer was promised waits in this one",
        "drill.passed": "somebody came to a fire drill in time",
        "drill.failed": "nobody came to a fire drill in time",
        "key.created": "an API key was made",
        "key.revoked": "an API key was ended",
        "operators.declared": "operators were declared",
        "operators.removed": "an operator was forgotten",
        "outcome.recorded": "something became known later: reopened, CSAT, complaint",
        "ruleset.pushed": "somebody pushed rule files as a new version",
        "ruleset.staged": "a version was put into shadow or rollout",
        "ruleset.withdrawn": "a version is staged no longer",
        "ruleset.approved": "a second person stands behind a version",
        "ruleset.activated": "a version decides from now on",
        "ruleset.rolled_back": "a version was taken back",
        "webhook.test": "somebody asked for a test; it goes to every endpoint, whatever its filter",
    }
)
TEST_EVENT = "webhook.test"
# Told to the audit log alone: where a tenant's events go is nothing that each of the places they go to should know.
AUDITED: Mapping[str, str] = MappingProxyType(
    {
        "channel.added": "a channel was added, or the one of its name replaced",
        "channel.removed": "a channel was removed",
        "webhook.added": "a webhook was added",
        "webhook.removed": "a webhook was removed",
        "webhook.enabled": "a webhook that had answered 410 Gone was taken into service again",
        "webhook.secret_renewed": "a webhook got a new secret",
    }
)
# Whom these are about, where it is not who did it; their `detail` is the name.
NAMING = frozenset({"handoff.offered", "handoff.let_go", "handoff.lapsed", "handoff.transferred"})
TYPE_PREFIX = "handrail."  # CloudEvents asks for types that other producers do not use
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


def wanted(endpoint: Endpoint, event_type: str) -> bool:
    """Return whether the endpoint asked for events of this type; `handoff.*` and `*` are allowed in a filter."""
    if event_type in AUDITED:
        return False
    return event_type == TEST_EVENT or any(fnmatchcase(event_type, asked) for asked in endpoint.events)


def unknown_events(asked: Iterable[str]) -> tuple[str, ...]:
    """Return the filters that no event will ever meet, most likely misspelled."""
    return tuple(each for each in asked if not any(fnmatchcase(known, each) for known in EVENTS))


def body_of(delivery: Delivery) -> bytes:
    """Return the body of an event: `timestamp`, `type` and `data` as Standard Webhooks has them, the rest CloudEvents'.

    `sequence` orders the events of one handoff as text does: a receiver keeps the highest it has seen and drops lower.
    """
    event = delivery.event
    moment = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    subject = f"handoffs/{event.handoff_id}" if event.handoff_id else f"conversations/{event.conversation_id}"
    about: dict[str, object] = {"handoff_id": event.handoff_id, "conversation_id": event.conversation_id}
    if event.version:
        about["version"] = event.version
    if event.type == "handoff.replied" and event.detail:
        about["reply_number"] = int(event.detail)
    if event.type in NAMING:
        about["operator"] = event.detail or None
    if event.widened is not None:
        about["widened"] = event.widened
    if event.ruleset_version is not None:
        subject = f"rulesets/{event.ruleset_version}"
        about = {"ruleset_version": event.ruleset_version}
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": event.event_id,
            "source": f"/tenants/{event.tenant}",
            "type": TYPE_PREFIX + event.type,
            "subject": subject,
            "time": moment,
            "timestamp": moment,
            "sequence": sequence_of(event),
            "datacontenttype": "application/json",
            "data": {
                "tenant": event.tenant,
                **about,
                "actor": event.actor,
                "at_ms": event.at_ms,
                **({"drill": True} if is_drill(event.conversation_id) else {}),
            },
        }
    )


def sequence_of(event: Event) -> str:
    """Return what orders the events of one conversation as text: the moment of the change and its number within it."""
    moment, _, number = event.entry_id.partition("-")
    return f"{int(moment):015d}-{int(number or 0):06d}"


def headers_of(endpoint: Endpoint, delivery: Delivery, body: bytes, now_ms: int, version: str) -> dict[str, str]:
    """Return the headers of one try. The id stays the same over every try, so a receiver can drop what it has seen.

    While a secret is being replaced both sign, each in its own signature, and a receiver may check either.
    """
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    secrets = [endpoint.secret]
    if endpoint.old_secret is not None and now_ms < endpoint.old_secret_until_at_ms:
        secrets.append(endpoint.old_secret)
    text = body.decode()
    return {
        "content-type": CONTENT_TYPE,
        "user-agent": f"handrail/{version}",
        "webhook-id": delivery.event.event_id,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": " ".join(
            Webhook(secret).sign(delivery.event.event_id, moment, text) for secret in secrets
        ),
    }
