"""Keys that say what stands under them: somebody's name, or where they live. No value is read here."""

from __future__ import annotations

import re

# How it is called where something was taken out by its key.
KIND = "names and addresses in arguments"
_WHOSE = (
    "customer",
    "client",
    "passenger",
    "patient",
    "guest",
    "member",
    "user",
    "cardholder",
    "account_holder",
    "recipient",
    "contact",
    "billing",
    "shipping",
    "delivery",
    "home",
    "mailing",
)
_NAMES = ("name", "full_name", "first_name", "last_name", "middle_name", "surname", "given_name", "family_name")
_PLACES = ("address", "address_1", "address_2", "address1", "address2", "address_line_1", "address_line_2", "street")
_ALONE = (
    *("street_address", "street_name", "zip", "zip_code", "postcode", "postal_code", "house_number"),
    *("cardholder", "account_holder", "dob", "birthdate", "birth_date", "date_of_birth", "maiden_name"),
    *("nombre", "nombre_completo", "apellido", "apellidos", "direccion", "dirección", "calle", "domicilio"),
)
_KEYS = frozenset((*_NAMES, *_PLACES, *_ALONE, *(f"{whose}_{what}" for whose in _WHOSE for what in _NAMES + _PLACES)))
_BEFORE_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def is_personal(key: str) -> bool:
    """Return whether a key says that a name or an address stands under it; `firstName` is `first_name`."""
    return _BEFORE_CAPITAL.sub("_", key).lower().replace("-", "_") in _KEYS
