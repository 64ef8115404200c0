"""Runs `handrail` in this process, and rule files and conversations for its tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from service.command_line import app

RULES = """\
handrail: 1
thresholds:
  low: 0.5
topics:
  legal: {phrases: [lawyer, abogado]}
queues:
  desk:
    answer_within: 15m
    on_timeout: {verdict: callback, say: {en: "later", es: "luego"}}
    say: {en: "One moment.", es: "Un momento."}
rules:
  - id: legal
    why: a lawyer was named
    when: topics has legal
    then: {escalate: desk, priority: high}
  - id: unsure-twice
    why: unsure two turns in a row
    when: streak(confidence < $low) >= 2
    then: {escalate: desk}
  - id: big-write
    why: a write over 100 dollars
    when: {tool_call: {all: [write = true, amount_usd > 100]}}
    then: {hold: desk}
  - id: long-talk
    why: it takes long
    when: turn_count >= 4
    then: {review: desk}
  - id: no-such-signal
    why: the caller's own classifier is angry
    when: sentiment < -0.95
    then: {review: desk}
    mode: shadow
"""
BROKEN = """\
handrail: 1
rules:
  - id: sad
    why: the customer is sad
    when: sentimant < -0.5
    then: {escalate: nowhere}
"""


def handrail(*words: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, list(words), input=stdin, env=env)


def as_json(result: Result) -> Any:
    return json.loads(result.stdout)


def rules_in(folder: Path, text: str = RULES) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "rules.yaml").write_text(text)
    return folder


def rows_in(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
