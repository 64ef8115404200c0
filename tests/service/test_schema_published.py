"""The schemas are published: by a command, over HTTP without a key, and in what `handrail init` copies."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rules.files.schema import SCHEMAS
from tests.service.api_service import Server, embedded, served
from tests.service.cli_run import handrail


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_command_prints_one(name: str) -> None:
    result = handrail("schema", name)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == SCHEMAS[name]()


def test_without_a_name_it_is_that_of_rule_files() -> None:
    assert handrail("schema").stdout == handrail("schema", "rules").stdout


def test_there_is_no_other() -> None:
    result = handrail("schema", "operators")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: there is no schema of `operators`\n       write one of rules, tests\n",
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from embedded(tmp_path_factory.mktemp("schema") / "s")


async def test_the_service_answers_with_them_to_everybody(server: Server) -> None:
    async with served(server) as api:
        for name, schema in SCHEMAS.items():
            answer = await api.client.get(f"/schema/{name}.json")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/schema+json"
            assert answer.headers["cache-control"] == "public, max-age=3600"
            assert answer.json() == schema()
