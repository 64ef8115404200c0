"""Where a listing goes on: a moment or an urgency and an id, as one word that tells nothing to who sends it back."""

from __future__ import annotations

import base64
import binascii
import re

from service.errors import CursorInvalid


def cursor_of(number: int, known_id: str) -> str:
    """Return the cursor of what stands at a number, in ms, under an id."""
    return base64.urlsafe_b64encode(f"{number} {known_id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str, prefix: str) -> tuple[int, str]:
    """Return the number and the id of a cursor; raises CursorInvalid unless the id begins with `prefix`."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise CursorInvalid from error
    found = re.fullmatch(rf"([0-9]{{1,16}}) ({prefix}_[0-9a-f]{{1,4}}_[0-9a-f]{{16,20}})", raw)
    if found is None:
        raise CursorInvalid
    return int(found[1]), found[2]
