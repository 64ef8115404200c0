"""How commands speak to a running service: where it is, whose key is shown, what it refuses. No command stands here."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import httpx
import typer

from service import settings
from service.cli.output import refuse
from service.errors import Refusal
from service.keys_file import keys_file

URL_DEFAULT = "http://127.0.0.1:8321"
# A push compiles thousands of rules and runs their tests before it is answered; what takes longer has hung.
ANSWER_WAIT_S_MAX = 120.0
CONNECT_WAIT_S_MAX = 5.0
NO_CONTENT = 204
# keys.json is ours and small; a larger file of this name is somebody else's.
KEYS_FILE_BYTES_MAX = 65_536

UrlOption = Annotated[
    str | None,
    typer.Option("--url", envvar="HANDRAIL_URL", help=f"Where the service is.  [default: {URL_DEFAULT}]"),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="HANDRAIL_API_KEY",
        help="API key of a manager.  [default: the one in keys.json of the data directory]",
        show_default=False,
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where keys.json lies.  [env: HANDRAIL_DATA_DIR; default: .handrail]"),
]


class ServiceRefused(Refusal):
    """The service answered a problem. `body` is all of it, with what stands beside the sentence (as `problems`)."""

    def __init__(self, status: int, code: str, detail: str, hint: str, body: dict[str, Any]) -> None:
        super().__init__(f"{detail} (`{code}`)", hint)
        self.status = status
        self.problem_code = code
        self.body = body


class ServiceSilent(Refusal):
    """Nobody answered, or not as Handrail does."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service and the key that is shown to it."""

    url: str
    key: str

    def get(self, path: str) -> Any:
        """Return the JSON that the service answers. Raises ServiceRefused, and ServiceSilent where nobody answers."""
        return self._ask("GET", path, None)

    def pages(self, path: str, name: str, asked: Mapping[str, str | None], limit: int, page_max: int) -> dict[str, Any]:
        """Return a list that the service answers page after page, at most `limit` of it; raises as `get` does.

        It stands under `name`, beside the `cursor` of the last page: None when there are no more.
        """
        found: list[Any] = []
        cursor: str | None = None
        for told in self.each_page(path, name, asked, page_max, limit):
            found += told[name]
            cursor = told["cursor"]
        return {name: found, "cursor": cursor}

    def each_page(
        self, path: str, name: str, asked: Mapping[str, str | None], page_max: int, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield a list page after page, each asked for when the one before was read; to its end without a `limit`."""
        given = {key: value for key, value in asked.items() if value is not None}
        left, cursor = limit, None
        while True:
            size = page_max if left is None else min(left, page_max)
            page = given | {"limit": str(size)} | ({"cursor": cursor} if cursor else {})
            told = self.get(f"{path}?{urlencode(page)}")
            yield told
            left, cursor = None if left is None else left - len(told[name]), told["cursor"]
            if cursor is None or (left is not None and left <= 0):
                return

    def post(self, path: str, body: object = None) -> Any:
        """Send a JSON body and return the JSON that the service answers; raises as `get` does."""
        return self._ask("POST", path, {} if body is None else body)

    def put(self, path: str, body: object) -> Any:
        """Send a JSON body that takes the place of what is there, and return what is answered; raises as `get` does."""
        return self._ask("PUT", path, body)

    def delete(self, path: str) -> None:
        """Let something be forgotten; raises as `get` does."""
        self._ask("DELETE", path, None)

    def _ask(self, method: str, path: str, body: object) -> Any:
        limits = httpx.Timeout(ANSWER_WAIT_S_MAX, connect=CONNECT_WAIT_S_MAX)
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            with httpx.Client(base_url=self.url, headers=headers, timeout=limits) as client:
                answer = client.request(method, path, json=body) if body is not None else client.request(method, path)
        except httpx.TimeoutException:
            hint = "look with GET what came of it before you send it again"
            raise ServiceSilent(f"no answer from {self.url} in time", hint) from None
        except httpx.HTTPError as away:
            hint = "is `handrail serve` running there? name another address with --url or HANDRAIL_URL"
            raise ServiceSilent(f"no answer from {self.url}: {str(away) or type(away).__name__}", hint) from None
        return self._read(answer)

    def _read(self, answer: httpx.Response) -> Any:
        try:
            told = json.loads(answer.content)
        except ValueError:
            told = None
        if answer.is_success and (told is not None or answer.status_code == NO_CONTENT):
            return told
        if not isinstance(told, dict) or not isinstance(told.get("code"), str):
            hint = "does a Handrail of this version listen there? a proxy in between may have answered"
            raise ServiceSilent(f"{self.url} answered {answer.status_code}, and not as Handrail does", hint)
        detail, hint = str(told.get("detail", "")), str(told.get("hint", ""))
        raise ServiceRefused(answer.status_code, told["code"], detail, hint, told)


def service_at(url: str | None, key: str | None, data_dir: Path | None = None, role: str = "manager") -> Service:
    """Return the service that the options name; ends the command when there is no key to show.

    The key in keys.json is only shown to this machine: it opens the service that made the file and no other.
    """
    address = (url or URL_DEFAULT).rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        refuse("`--url` is no address of a service", f"write it as {URL_DEFAULT}")
    if key is not None:
        if not key.isascii() or not key.isprintable():
            refuse("`--key` is no API key", "`handrail keys create NAME --role manager` makes one")
        return Service(address, key)
    if not _is_loopback(parts.hostname):
        refuse(f"no API key for {address}", f"give a {role}'s key with --key or HANDRAIL_API_KEY")
    given = settings.load(data_dir=data_dir)
    path = keys_file(given.data_dir, given.tenant)
    found = _first_key(path, role)
    if found is None:
        refuse(
            f"no API key: {path} has none for a {role}",
            "give one with --key or HANDRAIL_API_KEY, or the service's data directory with --data-dir",
        )
    return Service(address, found)


def _first_key(path: Path, role: str) -> str | None:
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(KEYS_FILE_BYTES_MAX))
    except (OSError, ValueError):
        return None
    key = told.get(role) if isinstance(told, dict) else None
    return key if isinstance(key, str) and key.isascii() and key.isprintable() else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
