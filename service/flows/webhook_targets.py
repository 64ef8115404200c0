"""Where events may be sent: what an address may look like, and which networks it may lead into. Nothing is resolved.

Whoever may add a webhook could otherwise make Handrail knock at every door inside the network it stands in.
"""

from __future__ import annotations

import ipaddress
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from service.errors import Refusal

# public: addresses of the internet, over https. loopback: this machine as well. private: private networks too.
Targets: TypeAlias = Literal["public", "loopback", "private"]
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

URL_BYTES_MAX = 2_000  # what common servers take; longer ones are mistakes
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # an IPv4 address in IPv6 clothes, which Python counts as global
HINT = {
    "public": "use an https:// address on the internet, or set HANDRAIL_WEBHOOK_TARGETS to loopback or private",
    "loopback": "use an https:// address on the internet, one on this machine, or set HANDRAIL_WEBHOOK_TARGETS=private",
    "private": "link-local, multicast and reserved addresses are never called",
}


class WebhookUrlRefused(Refusal):
    """The address of a webhook cannot be called, or may not be."""

    code = "webhook_url_refused"


def targets_of(setting: str, host: str) -> Targets:
    """Return what `auto` means: a Handrail that only this machine can reach may call this machine."""
    if setting == "auto":
        return "loopback" if is_loopback(host) else "public"
    return "private" if setting == "private" else "loopback" if setting == "loopback" else "public"


def is_loopback(host: str) -> bool:
    """Return whether a name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    found = literal(host)
    return found is not None and plain(found).is_loopback


def check_url(url: str, targets: Targets) -> str:
    """Return the address to keep, or raise WebhookUrlRefused; names are resolved and checked again at each call."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise WebhookUrlRefused("the address is not a URL", HINT["public"]) from None
    if len(url.encode()) > URL_BYTES_MAX:
        raise WebhookUrlRefused(f"the address is longer than {URL_BYTES_MAX} bytes", "use a shorter one")
    if parts.scheme not in ("http", "https") or not host or port == 0 or not url.isprintable() or " " in url:
        raise WebhookUrlRefused("the address is no http:// or https:// address of a host", HINT["public"])
    if parts.username is not None or parts.password is not None:
        raise WebhookUrlRefused(
            "the address holds a user name or password", "leave it out: the receiver checks the signature instead"
        )
    address = literal(host)
    if address is not None and not allowed(address, targets):
        raise WebhookUrlRefused("the address lies in a network that webhooks may not call", HINT[targets])
    if address is None and is_loopback(host) and targets == "public":
        raise WebhookUrlRefused("the address lies in a network that webhooks may not call", HINT[targets])
    if parts.scheme == "http" and (targets == "public" or (address is not None and plain(address).is_global)):
        raise WebhookUrlRefused("an address on the internet is called over https:// only", HINT[targets])
    return url


def allowed(address: Address, targets: Targets) -> bool:
    """Return whether an address that a name has led to may be called."""
    inner = plain(address)
    if inner.is_link_local or inner.is_multicast or inner.is_unspecified:
        # 169.254.169.254 hands out a cloud machine's credentials: no setting opens it.
        return False
    if inner.is_loopback:
        return targets in ("loopback", "private")
    if inner.is_private:
        return targets == "private" and not inner.is_reserved
    return inner.is_global


def may_be_plain(address: Address) -> bool:
    """Return whether `http://` will do: on this machine and in private networks, never across the internet."""
    return not plain(address).is_global


def plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address carries inside, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    return inner or address


def literal(host: str) -> Address | None:
    """Return the address that is written out in place of a name, None for a name."""
    try:
        return ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return None
