"""The matcher tells the places that a slow reading tells, in patterns and texts made up by chance.

`HANDRAIL_TEXT_FUZZ_TEXTS=20000` makes it long (about ten minutes), `HANDRAIL_TEXT_FUZZ_SEED` another one.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from rules.compile.rule_files import files_or_raise
from rules.model import Topic
from rules.text.normalise import normalise, original_spans
from rules.text.topics import Matcher
from tests.rules import slow_reading, text_samples

TEXTS = int(os.environ.get("HANDRAIL_TEXT_FUZZ_TEXTS", "200"))
SEED = int(os.environ.get("HANDRAIL_TEXT_FUZZ_SEED", "4"))
TEXTS_A_RULE_FILE = 20
# Of the library: so many topics of one pattern each are read slowly beside those that were told.
PATTERNS_READ = 5
# One text in twenty is as long as a person writes in a quarter of an hour; one in a hundred as a pasted document.
WORDS = [20] * 19 + [300]
WORDS_PASTED = 3_000
REPOSITORY = Path(__file__).parents[2]
SHARED = Path(os.environ.get("HANDRAIL_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
READ_CHARS_MAX = 600


def told(matcher: Matcher, text: str) -> Mapping[str, list[slow_reading.Span]]:
    """Return the places that the matcher tells, by topic."""
    places: defaultdict[str, list[slow_reading.Span]] = defaultdict(list)
    for each in matcher.find(text, "message"):
        places[each.topic].append((each.start, each.end))
    return places


def differing(
    topics: Mapping[str, Topic], places: Mapping[str, list[slow_reading.Span]], text: str
) -> Iterator[object]:
    """Yield every topic whose places a slow reading tells otherwise, with both and the text."""
    folded = normalise(text)
    for name, topic in topics.items():
        slowly = original_spans(text, folded, slow_reading.of_topic(topic, folded))
        if places.get(name, []) != slowly:
            yield topic, text, places.get(name, []), slowly


def made_up(rng: random.Random) -> Topic:
    """Return a topic of words by chance."""
    listed = text_samples.WORDS + text_samples.SMALL

    def phrases(most: int) -> tuple[str, ...]:
        return tuple(" ".join(rng.choices(listed, k=rng.randint(1, 3))) for _ in range(rng.randint(0, most)))

    patterns = tuple(text_samples.pattern(rng) for _ in range(rng.choice([1, 1, 2])))
    return Topic("t", phrases=phrases(3), patterns=patterns, unless=phrases(1))


def test_rule_files_made_up_by_chance() -> None:
    rng = random.Random(SEED)
    for _ in range(TEXTS // TEXTS_A_RULE_FILE):
        topics = {f"t{number}": made_up(rng) for number in range(rng.choice([1, 2, 4, 8, 30]))}
        topics = {
            name: Topic(name, phrases=t.phrases, patterns=t.patterns, unless=t.unless) for name, t in topics.items()
        }
        matcher = Matcher(topics)
        for _ in range(TEXTS_A_RULE_FILE):
            meant = rng.choice(list(topics.values()))
            said = rng.choice([*meant.phrases, text_samples.sample(rng, rng.choice(meant.patterns))])
            text = text_samples.text_around(rng, said, WORDS_PASTED if rng.random() < 0.01 else rng.choice(WORDS))
            read = {name: topics[name] for name in {meant.name, *rng.sample(list(topics), min(len(topics), 3))}}
            assert not list(differing(read, told(matcher, text), text))


@cache
def library() -> Mapping[str, Topic]:
    """Return the topics of the shipped library, each looked for in messages."""
    paths = (REPOSITORY / "rules" / "library").glob("*.yaml")
    texts = {path.name: path.read_text("utf-8") for path in paths if not path.name.endswith(".tests.yaml")}
    topics = files_or_raise(texts).topics
    return {name: replace(topic, inside=frozenset({"message"})) for name, topic in topics.items()}


def test_every_pattern_and_phrase_of_the_library_in_any_surroundings() -> None:
    rng = random.Random(SEED)
    alone = [Topic("t", patterns=(each,)) for topic in library().values() for each in topic.patterns]
    alone += [Topic("t", phrases=(each,)) for topic in library().values() for each in topic.phrases]
    topics = {f"t{number}": topic for number, topic in enumerate(alone)}
    topics = {name: Topic(name, phrases=each.phrases, patterns=each.patterns) for name, each in topics.items()}
    matcher = Matcher(topics)
    for _ in range(TEXTS):
        meant = rng.choice(list(topics.values()))
        said = meant.phrases[0] if meant.phrases else text_samples.sample(rng, meant.patterns[0])
        text = text_samples.text_around(rng, said, rng.choice(WORDS))
        places = told(matcher, text)
        read = {name: topics[name] for name in {meant.name, *places, *rng.sample(list(topics), PATTERNS_READ)}}
        assert not list(differing(read, places, text))


def written() -> Iterator[str]:
    """Yield what people wrote in the shared recordings."""
    for path in sorted(SHARED.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield from _texts(json.loads(line))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value[:READ_CHARS_MAX]
    elif isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared recordings are not on this machine")
def test_the_library_in_what_people_wrote() -> None:
    listed = sorted({text for text in written() if len(text) > 20})
    matcher = Matcher(library())
    for text in random.Random(SEED).sample(listed, min(TEXTS // 10, len(listed))):
        assert not list(differing(library(), told(matcher, text), text))
