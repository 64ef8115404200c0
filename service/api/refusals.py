"""What was raised, as the problem that is answered, counted and logged. The table itself is in `problems`."""

from __future__ import annotations

from time import perf_counter

from starlette.exceptions import HTTPException

from service.api.arrival import Ids, request_id
from service.api.problems import PROBLEMS, Answer, Refused, answer, of_refusal
from service.api.running import Running
from service.api.sending import Write
from service.errors import Refusal, StoreAway
from service.logs import failure

# What the framework itself answers, and what it is called here; a status that is not listed reads as `refused`.
FRAMEWORK_CODES = {404: "route_unknown", 405: "method_not_allowed", 400: "body_not_json", 413: "body_too_large"}


def problem_of(error: Exception) -> Refused:
    """Return the problem that states this exception; its own words are only used when they are ours."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, Refusal):
        return of_refusal(error)
    if isinstance(error, HTTPException):
        code = FRAMEWORK_CODES.get(error.status_code, "refused")
        return Refused(code, PROBLEMS[code].title, headers=error.headers)
    return Refused("internal", "the request could not be finished")


async def refuse(running: Running, error: Exception, ids: Ids, route: str, started_s: float, write: Write) -> None:
    """Answer with the problem, and leave a count and a log line behind."""
    refused = problem_of(error)
    sent = answer(refused)
    note(running, error, refused)
    headers = [*sent.headers, (b"cache-control", b"no-store"), (b"x-request-id", ids[0].encode())]
    await write(sent.status, headers, sent.body)
    running.metrics.answers[route, sent.status] += 1
    ours = sent.status >= 500
    (running.log.error if ours else running.log.info)(
        "refused",
        request_id=ids[0],
        trace_id=ids[1],
        route=route,
        status=sent.status,
        code=refused.code,
        took_us=round((perf_counter() - started_s) * 1e6),
        **(failure(error) if refused.code == "internal" else {}),
    )


def refuse_unread(running: Running, refused: Refused) -> Answer:
    """Return the answer to what never became a request, and leave a count and a log line behind."""
    sent, own_id = answer(refused), request_id({})
    note(running, refused, refused)
    running.metrics.answers["unknown", sent.status] += 1
    running.log.info("refused", request_id=own_id, route="unknown", status=sent.status, code=refused.code)
    headers = (*sent.headers, (b"cache-control", b"no-store"), (b"x-request-id", own_id.encode()))
    return Answer(sent.status, headers, sent.body)


def note(running: Running, error: Exception, refused: Refused) -> None:
    """Count a problem, and a store that is away apart from it."""
    running.metrics.problems[refused.code] += 1
    if isinstance(error, StoreAway):
        running.metrics.store_errors += 1
