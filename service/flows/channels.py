"""What people do with channels: add, list, try, remove. A channel's secrets go in and never come out again."""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from rules.telling.notices import Quiet, is_timezone
from rules.telling.tell_text import LANGUAGES
from rules.telling.telling import TEST, Telling
from service.errors import LimitReached, Refusal
from service.flows import webhooks
from service.flows.keys import LOCALLY
from service.flows.webhook_targets import Targets, WebhookUrlRefused, allowed, check_url, is_loopback, literal
from service.store import channels, outbox, tellings
from service.store.channels import Channel as Channel
from service.store.channels import Fares as Fares
from service.store.channels import Mail as Mail
from service.store.store import Store

CHANNELS_MAX = 50  # a tenant's; who tells more groups has a directory for it
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")
ADDRESS = re.compile(r"[^@\s\x00-\x1f\x7f,;<>\"]{1,64}@[A-Za-z0-9.-]{1,255}")
ADDRESSES_MAX = 50
GATHER_MS_DEFAULT = 10_000  # a page may come so much later; a burst is one message and not a hundred
GATHER_MS_MAX = 600_000
TEST_MARK = "?test"  # no name has a `?`: what is tried out waits for nothing that the channel is owed
TEST_WAIT_MS = 25_000  # a mail server is given 20 s; then a worker has said what came of it, or there is none
TEST_LOOK_MS = 100


class ChannelUnknown(Refusal):
    """The tenant has no channel of that name."""

    code = "channel_unknown"
    hint = "`handrail channels list` shows those there are"

    def __init__(self) -> None:
        super().__init__("no such channel")


class ChannelUnfit(Refusal):
    """A channel cannot be as it was asked for."""

    code = "channel_unfit"


@dataclass(frozen=True, slots=True)
class Seen:
    """A channel as it may be shown. `channel` is None for one that rule files tell and nobody has added.

    `rests_until_at_ms`: until when it is left alone after it failed; the moment may be over.
    """

    name: str
    channel: Channel | None
    fares: Fares
    owed: int
    rests_until_at_ms: int | None = None


async def add(
    store: Store, tenant: str, channel: Channel, targets: Targets, now_ms: int, actor: str = LOCALLY
) -> Channel:
    """Keep a channel, over the one of its name. Raises ChannelUnfit, WebhookUrlRefused, WebhookUnknown."""
    _check(channel)
    if channel.kind == "slack":
        check_url(channel.url or "", targets)
    elif channel.kind == "email" and channel.mail is not None:
        _check_mail(channel.mail, targets)
    else:
        await webhooks.get(store, tenant, channel.endpoint_id or "")
    known = (await channels.known(store, tenant)).channels
    if channel.name not in known and len(known) >= CHANNELS_MAX:
        raise LimitReached("channels of a tenant", CHANNELS_MAX, "remove one that is not used")
    told = f"{channel.name} {channel.kind} {shown_target(channel)}"
    await outbox.tell(store, tenant, "channel.added", actor, now_ms, told)
    await channels.keep(store, tenant, channel)
    # What failed before was another address, or none: the next message says how this one fares.
    await channels.forgive(store, tenant, channel.name)
    await tellings.wake(store, tenant, channel.name, channel.gather_ms)
    return channel


async def seen(store: Store, tenant: str) -> list[Seen]:
    """Return every channel by name, and those that are owed something and are not there."""
    known, owed, rests = await asyncio.gather(
        channels.known(store, tenant), tellings.owed_counts(store, tenant), tellings.rests(store, tenant)
    )
    names = {name for name in (*known.channels, *known.fares, *owed) if not name.endswith(TEST_MARK)}
    return [
        Seen(name, known.channels.get(name), known.fares.get(name, Fares()), owed.get(name, 0), rests.get(name))
        for name in sorted(names)
        if name in known.channels or owed.get(name)
    ]


async def remove(store: Store, tenant: str, name: str, now_ms: int, actor: str = LOCALLY) -> None:
    """Forget a channel; what it is owed waits for one of the same name, or until it is owed no more."""
    if await channels.get(store, tenant, name) is None:
        raise ChannelUnknown
    await outbox.tell(store, tenant, "channel.removed", actor, now_ms, name)
    if not await channels.remove(store, tenant, name):
        raise ChannelUnknown


async def test(store: Store, tenant: str, name: str, now_ms: int) -> tuple[bool, str] | None:
    """Send a test message the way every message goes, and return whether it was taken and what was answered.

    None when no worker has taken it up in TEST_WAIT_MS. Raises ChannelUnknown.
    """
    if await channels.get(store, tenant, name) is None:
        raise ChannelUnknown
    test_id = secrets.token_hex(8)
    telling = Telling(test_id, name, "", TEST, now_ms, 0, 0)
    await tellings.owe(store, tenant, name + TEST_MARK, [(telling, now_ms)], 0)
    for _ in range(TEST_WAIT_MS // TEST_LOOK_MS):
        result = await channels.test_result(store, tenant, name, test_id)
        if result is not None:
            return result
        await asyncio.sleep(TEST_LOOK_MS / 1000)
    return None


def shown_target(channel: Channel) -> str:
    """Return where a channel leads, without anything that would let somebody else write there."""
    if channel.url is not None:
        parts = urlsplit(channel.url)
        return f"{parts.scheme}://{parts.netloc}/…"
    if channel.mail is not None:
        mail = channel.mail
        return f"{', '.join(mail.to)} by {mail.host}:{mail.port} ({mail.security})"
    return channel.endpoint_id or ""


def _check(channel: Channel) -> None:
    if NAME.fullmatch(channel.name) is None:
        raise ChannelUnfit("the name cannot be a channel's", "write letters, digits, `-` and `_`, a letter first")
    if channel.language not in LANGUAGES:
        raise ChannelUnfit(
            "messages are not written in that language", f"use one of {', '.join(f'`{each}`' for each in LANGUAGES)}"
        )
    if not 0 <= channel.gather_ms <= GATHER_MS_MAX:
        raise ChannelUnfit("messages are not gathered for so long", f"use at most {GATHER_MS_MAX // 60_000} minutes")
    if channel.quiet is not None:
        _check_quiet(channel.quiet)
    given = {"slack": channel.url, "email": channel.mail, "webhook": channel.endpoint_id}
    if given[channel.kind] is None or sum(each is not None for each in given.values()) != 1:
        raise ChannelUnfit(
            "a channel has one way to tell people", "give `url` for slack, `mail` for email, `webhook_id` for webhook"
        )


def _check_quiet(quiet: Quiet) -> None:
    if quiet.from_minutes == quiet.to_minutes:
        raise ChannelUnfit("the quiet hours end when they begin", "write them as `22:00-07:00`")
    if not is_timezone(quiet.timezone):
        raise ChannelUnfit("there is no such time zone", "write a name such as `Europe/Madrid` or `UTC`")


def _check_mail(mail: Mail, targets: Targets) -> None:
    address = literal(mail.host)
    barred = address is not None and not allowed(address, targets)
    if barred or (address is None and is_loopback(mail.host) and targets == "public"):
        raise WebhookUrlRefused(
            "the mail server lies in a network that may not be called", "set HANDRAIL_WEBHOOK_TARGETS to reach it"
        )
    if not mail.host or not mail.host.isprintable() or any(c.isspace() or c in "/@" for c in mail.host):
        raise ChannelUnfit("the mail server is no name of a host", "write it as `smtp.example.com`")
    if not 1 <= len(mail.to) <= ADDRESSES_MAX:
        raise ChannelUnfit(f"mail goes to 1 to {ADDRESSES_MAX} addresses", "use a distribution list for more")
    if not all(ADDRESS.fullmatch(each) for each in (mail.sender, *mail.to)):
        raise ChannelUnfit("an address is no mail address", "write each as `name@example.com`")
    if (mail.user is None) != (mail.password is None):
        raise ChannelUnfit("a login has a user and a password", "give both, or neither")
