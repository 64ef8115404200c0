"""What can go wrong between an agent and Handrail, as facts. No key and no customer's text is ever in one."""

from __future__ import annotations


class HandrailError(Exception):
    """Anything this package raises, except for arguments that are wrong before a request is made."""


class HandrailProblem(HandrailError):
    """The service was reached and said no: RFC 9457, with a stable `code` and what to do next in `hint`.

    `request_id` finds the request in the service's log when the answer carried one.
    """

    def __init__(self, status: int, code: str, detail: str, hint: str = "", request_id: str | None = None) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.request_id = request_id
        super().__init__(f"{code} ({status}): {detail}" + (f"; {hint}" if hint else ""))


class HandrailUnreachable(HandrailError):
    """No usable answer came within the budget; `because` is what went wrong in the last of the `tries`."""

    def __init__(self, because: str, tries: int) -> None:
        self.because = because
        self.tries = tries
        super().__init__(f"no answer from handrail after {tries} {'try' if tries == 1 else 'tries'}: {because}")
