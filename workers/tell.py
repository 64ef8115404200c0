"""The job that tells people: every channel that is due gets one message, by chat, mail or signed webhook."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import orjson
import structlog
from standardwebhooks import Webhook

from rules.handoff import deadline
from rules.telling.tell_text import SHOWN_MAX, Item, Message
from service.clock import now_ms
from service.flows import links, tellings, webhooks
from service.flows.access import Store
from service.flows.channels import Channel
from service.flows.tries import Answer, Request
from service.flows.webhooks import WebhookUnknown
from service.jobs import JOBS
from workers.context import Context, run_job
from workers.mailer import Mailer
from workers.sender import Sender

SPEC = JOBS["tell"]
TYPE = "handrail.channel.message"
log = structlog.get_logger("handrail.telling")


class Post:
    """The three ways in which a message leaves."""

    def __init__(self, store: Store, sender: Sender, mailer: Mailer) -> None:
        self._store = store
        self._sender = sender
        self._mailer = mailer

    async def send(
        self, tenant: str, channel: Channel, message: Message, items: Sequence[Item], message_id: str
    ) -> Answer:
        """Send one message the way its channel says."""
        if channel.mail is not None:
            return await self._mailer.send(channel.mail, message, message_id)
        if channel.url is not None:
            headers = {"content-type": "application/json; charset=utf-8", "user-agent": f"handrail/{_version()}"}
            return await self._sender.send(Request(channel.url, headers, orjson.dumps({"text": message.text})))
        try:
            endpoint = await webhooks.get(self._store, tenant, channel.endpoint_id or "")
        except WebhookUnknown:
            return Answer(None, "the webhook of this channel was removed")
        if endpoint.disabled is not None:
            return Answer(None, f"the webhook of this channel {endpoint.disabled}")
        body = _body(tenant, channel, message, items, message_id)
        moment = datetime.fromtimestamp(now_ms() // 1000, UTC)
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": f"handrail/{_version()}",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(endpoint.secret).sign(message_id, moment, body.decode()),
        }
        return await self._sender.send(Request(endpoint.url, headers, body))


def run(tenant: str, partition: int) -> None:
    """Tell every channel of a tenant that is due; all of it lies in the first partition."""
    run_job(SPEC, lambda context: _tell(context, tenant), tenant, partition)


async def _tell(context: Context, tenant: str) -> None:
    post = Post(context.store, context.sender, context.mailer)
    means = tellings.Means(post.send, now_ms, links.base_of(context.settings))
    counts = await tellings.tell_due(context.store, tenant, means, SPEC.run_ms_max)
    log.info(
        "people_told",
        tenant=tenant,
        messages=counts.messages,
        told=counts.told,
        held=counts.held,
        over=counts.over,
        failed=counts.failed,
    )


def _body(tenant: str, channel: Channel, message: Message, items: Sequence[Item], message_id: str) -> bytes:
    """Return a message for a program, as Standard Webhooks asks for it."""
    told = [
        {
            "handoff_id": item.handoff.handoff_id,
            "occasion": item.occasion,
            "queue": item.handoff.queue,
            "priority": item.handoff.priority,
            "why": item.why,
            "opened_at_ms": item.handoff.opened_at_ms,
            "expires_at_ms": deadline(item.handoff.expires_at_ms),
            "locale": item.handoff.locale,
            "link": item.link,
        }
        for item in items[:SHOWN_MAX]
    ]
    moment = datetime.fromtimestamp(now_ms() / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data = {"tenant": tenant, "channel": channel.name, "text": message.text, "count": len(items), "handoffs": told}
    return orjson.dumps({"type": TYPE, "timestamp": moment, "id": message_id, "data": data})


@cache
def _version() -> str:
    try:
        return version("handrail")
    except PackageNotFoundError:
        return "0+checkout"
