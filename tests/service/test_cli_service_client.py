"""Lists of a service are read by commands in one way: page after page, and no further than is wanted."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.cli import kept_arrivals
from service.cli.service_client import Service

SERVICE = Service("http://127.0.0.1:1", "no-key")
LISTED = 7


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answer with a list of seven, and return the queries that will be asked."""
    queries: list[str] = []

    def get(_self: Service, path: str) -> dict[str, Any]:
        query = urlsplit(path).query
        queries.append(query)
        given = parse_qs(query)
        begin = int(given.get("cursor", ["0"])[0])
        end = min(begin + int(given["limit"][0]), LISTED)
        return {"handoffs": list(range(begin, end)), "cursor": str(end) if end < LISTED else None}

    monkeypatch.setattr(Service, "get", get)
    return queries


def test_a_list_without_a_limit_is_read_to_its_end(asked: list[str]) -> None:
    pages = SERVICE.each_page("/handoffs", "handoffs", {"state": "waiting", "queue": None}, 3)
    assert [page["handoffs"] for page in pages] == [[0, 1, 2], [3, 4, 5], [6]]
    assert asked == [f"state=waiting&limit=3{cursor}" for cursor in ("", "&cursor=3", "&cursor=6")]


def test_no_page_is_asked_for_before_the_one_before_it_was_read(asked: list[str]) -> None:
    pages = SERVICE.each_page("/handoffs", "handoffs", {}, 3)
    assert (next(pages)["handoffs"], len(asked)) == ([0, 1, 2], 1)


@pytest.mark.parametrize(
    ("limit", "cursor", "sizes"), [(2, "2", [2]), (5, "5", [3, 2]), (6, "6", [3, 3]), (7, None, [3, 3, 1])]
)
def test_of_a_list_with_a_limit_no_more_is_asked_for(
    asked: list[str], limit: int, cursor: str | None, sizes: list[int]
) -> None:
    told = SERVICE.pages("/handoffs", "handoffs", {}, limit, 3)
    assert told == {"handoffs": list(range(limit)), "cursor": cursor}
    assert [int(parse_qs(query)["limit"][0]) for query in asked] == sizes


def test_what_a_service_has_of_handoffs_is_read_in_the_same_way(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    each_page, walked = Service.each_page, list[str]()

    def walking(self: Service, path: str, *given: Any) -> Any:
        walked.append(path)
        return each_page(self, path, *given)

    monkeypatch.setattr(Service, "each_page", walking)
    monkeypatch.setattr(kept_arrivals, "PAGE_MAX", 3)
    found: list[object] = list(kept_arrivals._handoffs(SERVICE, None))
    assert found == list(range(LISTED))
    assert walked == ["/handoffs"]
    assert len(asked) == 3
