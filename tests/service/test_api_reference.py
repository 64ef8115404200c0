"""`/docs` shows every address and field by itself, and health answers whoever only looks at the head."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from service.api.reference import page
from tests.service.api_service import Api, Server, embedded, served
from tests.service.listening import listens

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(Path(tmp_path_factory.mktemp("reference")) / "s")


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    async with served(server) as found:
        yield found


class Read(HTMLParser):
    """The tags, the anchors and the links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert name in ("lang", "charset", "name", "content", "open", "id", "href"), f"{tag} {name}"
            (self.anchors if name == "id" else self.links if name == "href" else set()).add(value or "")


async def test_the_page_shows_every_address_and_field_and_loads_nothing(api: Api) -> None:
    described = (await api.get("/openapi.json")).json()
    answer = await api.client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
    read = Read(answer.text)
    assert read.tags.isdisjoint({"script", "link", "img", "iframe", "form", "input"})
    assert read.links - {"openapi.json"} == {link for link in read.links if link.startswith("#")}
    assert {link[1:] for link in read.links if link.startswith("#")} <= read.anchors
    assert set(described["components"]["schemas"]) <= read.anchors
    text = unescape(answer.text)
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            # In the contents, which lead to it, and where it is told.
            assert text.count(f"<code>{method.upper()} {path}</code>") >= 2
            assert text.count(operation["summary"]) >= 2
            for media in (operation.get("requestBody", {}), operation["responses"].get("200", {})):
                content = media.get("content", {}).get("application/json", {})
                for example in [each["value"] for each in content.get("examples", {}).values()]:
                    assert f"<pre>{json.dumps(example, indent=2, ensure_ascii=False)}</pre>" in text
    assert len(read.links) > sum(map(len, described["paths"].values()))
    assert text.count("<pre>") >= 5
    assert "`" not in text
    fields = set(re.findall(r"<td><code>([^<]+)</code>", answer.text))
    for schema in described["components"]["schemas"].values():
        assert set(schema.get("properties", {})) <= fields
    assert "<code>statee" not in answer.text
    assert "<tr><td><code>conversation_id</code><td>required<td>string, " in answer.text


def test_what_a_description_says_stays_words() -> None:
    mark = "<script>alert(1)</script>"
    operation = {"tags": [mark], "summary": mark, "description": mark, "responses": {"400": {"description": mark}}}
    found = page(
        {
            "info": {"title": mark, "description": mark},
            "tags": [{"name": mark, "description": mark}],
            "paths": {mark: {"get": operation}},
            "components": {"schemas": {"A": {"description": mark, "properties": {mark: {"enum": [mark]}}}}},
        }
    )
    assert "<script" not in found
    assert found.count(escape(mark)) == 14


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_answers_whoever_asks_for_the_head_alone(api: Api, path: str) -> None:
    whole = await api.client.get(path)
    head = await api.client.head(path)
    assert (head.status_code, head.headers["content-length"]) == (200, whole.headers["content-length"])
    assert "head" not in api.app.openapi()["paths"][path]
    async with listens(api) as listening:
        # What follows is the next answer: no body came between.
        asked = f"HEAD {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
        sent = await listening.until_closed(asked)
        assert sent.startswith(b"HTTP/1.1 200 OK\r\n")
        assert sent.endswith(b"\r\n\r\n")
