"""Links that open a handoff: signed, so that nobody can try out ids, and for a time only. They grant nothing else."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote, urlencode

from service.errors import Refusal
from service.flows import handoffs
from service.flows.webhook_targets import is_loopback
from service.settings import Settings
from service.store import channels
from service.store.store import Store

# A mail that is read after a weekend still leads somewhere; each message carries a new link.
LINK_MS = 7 * 86_400_000
SECRET_BYTES = 32


class LinkInvalid(Refusal):
    """The signature does not fit the link."""

    code = "link_invalid"
    hint = "open the link as it stands in the message, whole and unchanged"

    def __init__(self) -> None:
        super().__init__("the link was not signed here")


class LinkExpired(Refusal):
    """The link was signed here, too long ago."""

    code = "link_expired"
    hint = "look for the handoff in the list of open ones, or in a newer message"

    def __init__(self) -> None:
        super().__init__(f"the link is older than {LINK_MS // 86_400_000} days")


@dataclass(frozen=True, slots=True)
class LinkState:
    """What a link shows without a key: which handoff, since when, and its state, `acknowledged` when somebody comes."""

    handoff_id: str
    opened_at_ms: int
    state: str


async def follow(
    store: Store, tenant: str, handoff_id: str, expires_at_s: int, signature: str, now_ms: int
) -> LinkState:
    """Return what became of the handoff. Raises LinkInvalid, LinkExpired and HandoffUnknown."""
    verify(await secret(store), tenant, handoff_id, expires_at_s, signature, now_ms)
    handoff = await handoffs.current(store, tenant, handoff_id, now_ms)
    coming = handoff.state == "waiting" and handoff.acknowledged_by
    return LinkState(handoff.handoff_id, handoff.opened_at_ms, "acknowledged" if coming else handoff.state)


async def secret(store: Store) -> bytes:
    """Return the secret of this store, the same in every process."""
    return await channels.link_secret(store, secrets.token_bytes(SECRET_BYTES))


def base_of(settings: Settings) -> str | None:
    """Return what links begin with; None where nobody has said it and this machine alone could follow them."""
    if settings.console_url is not None:
        return settings.console_url.rstrip("/")
    if settings.port and is_loopback(settings.host):
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return f"http://{host}:{settings.port}"
    return None


def link(base: str, key: bytes, tenant: str, handoff_id: str, now_ms: int) -> str:
    """Return the link of one handoff, good for LINK_MS."""
    # Whole hours, so that the messages of an hour carry the same link, which a browser knows again.
    expires_at_s = (now_ms + LINK_MS) // 3_600_000 * 3_600
    query = {"tenant": tenant, "exp": expires_at_s, "sig": _sign(key, tenant, handoff_id, expires_at_s)}
    return f"{base}/open/{quote(handoff_id)}?{urlencode(query)}"


def verify(key: bytes, tenant: str, handoff_id: str, expires_at_s: int, signature: str, now_ms: int) -> None:
    """Return when the link holds; raise LinkInvalid or LinkExpired."""
    if not hmac.compare_digest(_sign(key, tenant, handoff_id, expires_at_s).encode(), signature.encode()):
        raise LinkInvalid
    if expires_at_s * 1000 <= now_ms:
        raise LinkExpired


def _sign(key: bytes, tenant: str, handoff_id: str, expires_at_s: int) -> str:
    text = f"open\n{tenant}\n{handoff_id}\n{expires_at_s}"
    return hmac.new(key, text.encode(), sha256).hexdigest()
