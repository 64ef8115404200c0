"""A ContextPacket as JSON and back. Fenced texts become strings, and their masks one list of JSON pointers."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from rules.packet.context_packet import ContextPacket, Untrusted
from rules.text.fences import AUTHORS, author_of
from rules.text.mask import Mask


class PacketInvalid(Exception):
    """A document that is no ContextPacket; the message is the place, never the content."""


def to_json(packet: ContextPacket) -> dict[str, object]:
    """Return the packet as a JSON object; `masks` tells by RFC 6901 pointer where personal data was taken out."""
    masks: list[dict[str, object]] = []
    document = cast(dict[str, object], _plain(packet, "", masks))
    document["masks"] = masks
    return document


def dumps(packet: ContextPacket) -> bytes:
    """Return the packet as compact UTF-8 JSON: what is stored, and what PACKET_BYTES_MAX speaks of."""
    return json.dumps(to_json(packet), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def loads(raw: bytes) -> ContextPacket:
    """Return the packet that `dumps` wrote; raises PacketInvalid."""
    try:
        document = json.loads(raw)
    except ValueError as error:
        raise PacketInvalid("not JSON") from error
    if not isinstance(document, dict):
        raise PacketInvalid("not an object")
    return from_json(document)


def from_json(document: Mapping[str, object]) -> ContextPacket:
    """Return the packet of a document that `to_json` made; raises PacketInvalid."""
    masks: dict[str, list[Mask]] = {}
    try:
        for item in cast(list[dict[str, Any]], document["masks"]):
            masks.setdefault(item["pointer"], []).append(Mask(item["kind"], item["start"], item["end"]))
    except (KeyError, TypeError) as error:
        raise PacketInvalid("/masks") from error
    return cast(ContextPacket, _typed(ContextPacket, document, "", masks))


def _plain(value: object, pointer: str, masks: list[dict[str, object]]) -> object:
    if isinstance(value, Untrusted):
        masks.extend({"pointer": pointer, "kind": m.kind, "start": m.start, "end": m.end} for m in value.masks)
        return value.text
    if isinstance(value, tuple):
        return [_plain(item, f"{pointer}/{place}", masks) for place, item in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name), f"{pointer}/{name}", masks) for name in _names(type(value))}
    return value


def _typed(wanted: Any, value: object, pointer: str, masks: Mapping[str, list[Mask]]) -> object:
    if isinstance(wanted, types.UnionType):
        if value is None:
            return None
        wanted = next(part for part in typing.get_args(wanted) if part is not type(None))
    if wanted is Untrusted:
        author = author_of(value) if isinstance(value, str) else None
        if author is None or author not in AUTHORS:
            raise PacketInvalid(pointer)
        return Untrusted(author, cast(str, value), tuple(masks.get(pointer, ())))
    if typing.get_origin(wanted) is tuple:
        if not isinstance(value, list):
            raise PacketInvalid(pointer)
        inner = typing.get_args(wanted)[0]
        return tuple(_typed(inner, item, f"{pointer}/{place}", masks) for place, item in enumerate(value))
    if isinstance(wanted, type) and dataclasses.is_dataclass(wanted):
        if not isinstance(value, dict):
            raise PacketInvalid(pointer)
        hints = _hints(wanted)
        if missing := next((name for name in hints if name not in value), None):
            raise PacketInvalid(f"{pointer}/{missing}")
        return wanted(**{n: _typed(hint, value[n], f"{pointer}/{n}", masks) for n, hint in hints.items()})
    if isinstance(value, (list, dict)):
        raise PacketInvalid(pointer)
    return value


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
