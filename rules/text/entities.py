"""Ids that occur in the turns: orders, reservations, claims, accounts. They name things; persons are masked before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

ENTITY_CHARS_MAX = 64  # longer than any id people read to each other
ENTITIES_MAX = 40  # kept of one conversation; the newest matter

# Word before an id -> what the id is of. The word may be followed by `number`, `id`, `#`, `:` or `is`.
_WORDS: dict[str, str] = {
    **{"order": "order", "pedido": "order"},
    **{"reservation": "reservation", "booking": "reservation", "confirmation": "reservation", "pnr": "reservation"},
    **{"reserva": "reservation", "localizador": "reservation", "claim": "claim", "siniestro": "claim"},
    **{"policy": "policy", "póliza": "policy", "poliza": "policy", "invoice": "invoice", "factura": "invoice"},
    **{"ticket": "ticket", "case": "ticket", "reference": "reference", "ref": "reference", "tracking": "shipment"},
    **{"shipment": "shipment", "flight": "flight", "vuelo": "flight", "item": "item", "product": "item", "sku": "item"},
    **{
        "prescription": "prescription",
        "rx": "prescription",
        "appointment": "appointment",
        "transaction": "transaction",
    },
    **{"loan": "loan", "member": "member", "subscription": "subscription", "return": "return", "rma": "return"},
    **{"device": "device", "serial": "device", "user": "user", "customer": "user", "certificate": "certificate"},
}
_ID = r"#?(?=[A-Za-z_-]{0,24}\d)[A-Za-z0-9](?:[A-Za-z0-9]|[-_](?=[A-Za-z0-9])){2,62}"
_NAMED = re.compile(
    rf"\b({'|'.join(sorted(_WORDS, key=len, reverse=True))})(?:s|es)?"
    r"(?:[\s_]{1,2}(?:id|ids|number|numbers|no|nr|code|ref|reference|n[uú]mero)\b\.?)?"
    rf"[\"']?(?:\s{{0,2}}(?:is|es|was|:|=)){{0,2}}[\s\"'*(]{{0,4}}({_ID})(?![\w@])",
    re.IGNORECASE,
)
_HASHED = re.compile(r"(?<![\w&])#(?=[A-Za-z-]{0,8}\d)[A-Za-z0-9][A-Za-z0-9-]{3,31}(?![\w])")
_PREFIXED = re.compile(r"(?<![\w-])[A-Z]{2,6}-(?=[A-Z0-9-]{0,12}\d)[A-Z0-9]{2,16}(?:-[A-Z0-9]{1,16}){0,3}(?![\w-])")
_PREFIXES = {
    **{"ORD": "order", "CLM": "claim", "POL": "policy", "INV": "invoice", "TKT": "ticket", "CASE": "ticket"},
    **{"RX": "prescription", "APT": "appointment", "TXN": "transaction", "RES": "reservation", "RMA": "return"},
    **{"LN": "loan", "SUB": "subscription"},
}
_NOT_IDS = re.compile(
    r"\d{1,2}(?:st|nd|rd|th|am|pm|x|kg|lb|in|cm|mm|gb|tb|mb|h|hr|hrs|min|day|days)?|\d{4}-\d{2}-\d{2}", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Entity:
    """An id as written, without a leading `#`, and what it names (`id` when the text does not say)."""

    kind: str
    value: str


def find(text: str) -> tuple[Entity, ...]:
    """Return the ids of a text, each once, in the order in which they first occur."""
    found: dict[str, Entity] = {}
    for _, entity in sorted(_candidates(text), key=lambda item: item[0]):
        known = found.get(entity.value)
        if known is None or (known.kind == "id" and entity.kind != "id"):
            found[entity.value] = entity
    return tuple(found.values())[:ENTITIES_MAX]


def of_argument(name: str, value: object) -> Entity | None:
    """Return the entity in a tool call's argument: `order_id: "#W123"` names an order."""
    stem = re.sub(r"_?(?:ids?|numbers?|codes?|no|ref)$", "", name.lower())
    if stem == name.lower() or not isinstance(value, (str, int)) or isinstance(value, bool):
        return None
    text = str(value).strip().lstrip("#")
    if not text or len(text) > ENTITY_CHARS_MAX or not re.fullmatch(r"[\w.-]+", text):
        return None
    return Entity(_WORDS.get(stem.rsplit("_", 1)[-1], stem or "id"), text)


def _candidates(text: str) -> Iterator[tuple[int, Entity]]:
    for found in _NAMED.finditer(text):
        value = found.group(2).lstrip("#")
        if not _NOT_IDS.fullmatch(value):
            yield found.start(2), Entity(_WORDS[found.group(1).lower()], value)
    for found in _HASHED.finditer(text):
        yield found.start(), Entity("id", found.group().lstrip("#"))
    for found in _PREFIXED.finditer(text):
        yield found.start(), Entity(_PREFIXES.get(found.group().split("-")[0], "id"), found.group())
