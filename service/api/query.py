"""What stands behind the `?` of an address: only what its route reads, and each once. No value is looked at here."""

from __future__ import annotations

import difflib
from collections import Counter

from fastapi import Request

from service.api.faults import FAULTS_MAX, FIELD_NAME
from service.api.problems import Refused


def check_query(request: Request) -> None:
    """Raise Refused where a parameter would be dropped in silence: one of no meaning here, or one of two values.

    A filter that is not applied answers with what nobody asked for, and on a claim it hands out the wrong work.
    """
    if not request.scope["query_string"]:
        return
    given = Counter(name for name, _ in request.query_params.multi_items())
    known = [param.alias for param in request.scope["route"].dependant.query_params]
    faults = [_unknown(name, known) for name in given if name not in known]
    faults += [f"`{name}` stands more than once" for name, times in given.items() if times > 1 and name in known]
    if faults:
        more = f"; and {len(faults) - FAULTS_MAX} more" if len(faults) > FAULTS_MAX else ""
        listed = ", ".join(f"`{name}`" for name in known)
        hint = f"this address takes {listed}, each once" if known else "this address takes no parameters"
        raise Refused("query_invalid", "; ".join(faults[:FAULTS_MAX]) + more, hint)


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    told = name if FIELD_NAME.match(name) else "…"
    return f"`{told}` is not a parameter here" + (f" (did you mean `{near[0]}`?)" if near else "")
