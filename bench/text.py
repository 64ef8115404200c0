"""Times the text matcher on messages it never saw before, and watches its memory. Writes bench/results/text.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rules.model import Topic
from rules.text.topics import Matcher

RESULTS = Path(__file__).parent / "results" / "text.json"
TARGET_US = 25.0
PHRASES, PATTERNS, MESSAGES, CHARACTERS = 2_000, 200, 100_000, 500
# By chance one message in seven holds a phrase of two words already; one in ten is written with accents.
BATCH = 1_000
HIT_SHARE, ACCENT_SHARE = 0.05, 0.10

_WORDS = """
account address advice agent airline allergy amount answer appeal appointment approve balance bank benefit bill birthday
block book branch broken budget cable calendar call cancel card care cash change charge check child claim clerk clinic
close code collect complaint confirm contract copy correct cost country coverage credit customer damage date day deal
debit debt decline deliver delivery deny deposit detail device dispute doctor document dollar door dose double due early
email employer error exchange expire extra family fee file find flight form forget fraud free freeze friend fund gate
gift give group guarantee handle health help hold home hospital hotel hour house identity income increase inform injury
insurance interest invest invoice issue item join keep kitchen label landlord late lawyer lease leave legal letter limit
line loan lock lose loss luggage machine mail manager market match medicine meeting member merchant message minute miss
mobile money month mortgage move name nurse number office online open order owner package paper parcel parent partner
passport password pay payment pension pharmacy phone photo pick place plan policy portal post premium present price
print privacy problem process product profile promise property prove purchase question quick quote rate reach reason
receipt receive record recover reduce refill refund refuse register reject release remind renew rent repair repeat reply
report request reset return review reward ring risk room safe salary sale save savings scan schedule seat security sell
send sense server service settle share ship shop sick sign signal size speak spend staff stamp start statement station
stop store story street submit subscription suit supply support surgery switch symptom system table tax teller term test
theft ticket time title today token tomorrow total track trade train transfer transit travel treat trip trust twice unit
update upgrade urgent user vehicle vendor verify visit voice vote voucher wait wallet warranty watch week welcome wire
withdraw woman word work world worry wrong year yesterday
"""
WORDS = _WORDS.split()
_SMALL = "a an the to of in on for with and or my your i we you it is was be not this that have has can please"
SMALL = _SMALL.split()
ACCENTED = ("café", "señor", "información", "teléfono", "mañana", "niño", "façade", "über", "straße", "corazón")


def build(rng: random.Random) -> tuple[dict[str, Topic], list[str]]:
    """Return 40 topics with 2,000 phrases and 200 patterns, and a sample sentence for each."""
    phrases = {" ".join(rng.choices(WORDS, k=rng.randint(2, 4))) for _ in range(PHRASES * 2)}
    listed = sorted(phrases)[:PHRASES]
    rng.shuffle(listed)
    pairs = [rng.sample(WORDS, 4) for _ in range(PATTERNS)]
    patterns = [rf"\b{a}(?:s|ed|ing)?\s+(?:{b}|{c})\b.{{0,40}}\b{d}s?\b" for a, b, c, d in pairs]
    samples = [*listed, *(f"{a}ed {c} and then the {d}s" for a, _, c, d in pairs)]
    topics = {
        f"topic_{number}": Topic(
            name=f"topic_{number}",
            phrases=tuple(listed[number::40]),
            patterns=tuple(patterns[number::40]),
            unless=("not the " + listed[number],),
        )
        for number in range(40)
    }
    return topics, samples


def message(rng: random.Random, samples: list[str]) -> str:
    """Return one message of about 500 characters that no other message equals."""
    words: list[str] = []
    length = 0
    while length < CHARACTERS:
        words.append(rng.choice(SMALL if rng.random() < 0.5 else WORDS))
        length += len(words[-1]) + 1
    if rng.random() < ACCENT_SHARE:
        words.insert(rng.randrange(len(words)), rng.choice(ACCENTED))
    if rng.random() < HIT_SHARE:
        words.insert(rng.randrange(len(words)), rng.choice(samples))
    words[0] = words[0].capitalize()
    return f"{' '.join(words)}. {rng.randrange(10**9)}"


def rss_kib() -> int:
    """Return the resident memory of this process in KiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def _list_kib(times: list[int]) -> int:
    """Return what the list of times itself weighs, in KiB."""
    return (sys.getsizeof(times) + 32 * len(times)) // 1024


def measure(messages: int) -> dict[str, float | int]:
    """Time the matcher on so many distinct messages, made as they are needed so that they do not count as growth."""
    rng = random.Random(20260302)
    topics, samples = build(rng)
    started = time.perf_counter()
    matcher = Matcher(topics)
    compile_ms = (time.perf_counter() - started) * 1000
    for _ in range(200):
        matcher.find(message(rng, samples), "message")
    times: list[int] = []
    hits = characters = cpu_ns = 0
    before = quarter = rss_kib()
    for first in range(0, messages, BATCH):
        # Made a batch at a time: the messages are new to the matcher, and do not count as its memory.
        batch = [message(rng, samples) for _ in range(BATCH)]
        characters += sum(map(len, batch))
        cpu_started_ns = time.thread_time_ns()
        for text in batch:
            started_ns = time.perf_counter_ns()
            found = matcher.find(text, "message")
            times.append(time.perf_counter_ns() - started_ns)
            hits += bool(found)
        cpu_ns += time.thread_time_ns() - cpu_started_ns
        if first <= messages // 4:
            quarter = rss_kib() - _list_kib(times)
    after = rss_kib() - _list_kib(times)
    times.sort()
    return {
        "messages": messages,
        "characters_mean": round(characters / messages),
        "share_with_a_hit": round(hits / messages, 3),
        "compile_ms": round(compile_ms),
        "mean_us": round(cpu_ns / messages / 1000, 1),
        "mean_wall_us": round(sum(times) / len(times) / 1000, 1),
        "p50_us": round(times[len(times) // 2] / 1000, 1),
        "p99_us": round(times[len(times) * 99 // 100] / 1000, 1),
        "memory_growth_kib": after - before,
        "memory_growth_after_first_quarter_kib": after - quarter,
    }


def machine() -> dict[str, str | int | float]:
    """Return what the figures depend on; with a load above the number of cores they are upper bounds."""
    versions = {"python": platform.python_version()}
    for package in ("ahocorasick-rs", "google-re2"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "cores": os.cpu_count() or 0,
        "load": round(os.getloadavg()[0], 1),
        **versions,
    }


def main() -> None:
    """Measure, and write the result beside what it depends on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5,000 messages, nothing written: under 20 seconds")
    options = parser.parse_args()
    figures = measure(5_000 if options.quick else MESSAGES)
    print(
        f"{figures['mean_us']} µs a message, p99 {figures['p99_us']} µs, "
        f"memory +{figures['memory_growth_kib'] / 1024:.1f} MiB, compiled in {figures['compile_ms']} ms"
    )
    result = {
        "what": f"{PHRASES} phrases and {PATTERNS} patterns in 40 topics, distinct messages of {CHARACTERS} characters",
        "rerun": "python -m bench.text",
        "target_us": TARGET_US,
        "met": figures["mean_us"] <= TARGET_US,
        "machine": machine(),
        **figures,
    }
    if not options.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
