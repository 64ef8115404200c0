"""The audit log: every change of state with its actor, and every way to tamper with it shows."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.flows.audit import AuditLog, files, read, verify
from service.store.outbox import Event
from tests.service.cli_run import as_json, handrail

NOW = 1_800_000_000_000
DAY = 86_400_000


def event(number: int, at_ms: int = NOW, tenant: str = "acme") -> Event:
    return Event(
        f"{at_ms}-{number}", f"evt_{number}", "handoff.claimed", tenant, f"hof_{number}", "c1", "mia", at_ms, None, ""
    )


def written(folder: Path, count: int = 6) -> Path:
    log = AuditLog(folder / "audit")
    for number in range(count):
        log.append(0, [event(number, NOW + number * DAY // 3)])
    return folder / "audit"


def lines(directory: Path) -> list[bytes]:
    return [line for path in files(directory) for line in path.read_bytes().splitlines(keepends=True)]


def rewritten(directory: Path, changed: list[bytes]) -> None:
    """Put these lines in the place of those in the first file, and nothing into the others."""
    first, *others = files(directory)
    first.write_bytes(b"".join(changed))
    for path in others:
        path.unlink()


def test_each_day_has_its_file_and_the_chain_goes_on_over_them(tmp_path: Path) -> None:
    directory = written(tmp_path)
    assert [path.name for path in files(directory)] == ["2027-01-15.jsonl", "2027-01-16.jsonl", "2027-01-17.jsonl"]
    found = verify(directory)
    assert (found.entries, found.broken) == (6, None)
    assert found.last_hash == orjson.loads(lines(directory)[-1])["hash"]
    assert [line["actor"] for line in read(directory)] == ["mia"] * 6


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_changed_dropped_or_moved_shows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = written(tmp_path_factory.mktemp("audit"))
    before = lines(directory)
    place = data.draw(st.integers(0, len(before) - 2))
    how = data.draw(st.sampled_from(["change", "drop", "swap", "insert", "cut"]))
    after = list(before)
    if how == "change":
        line = orjson.loads(before[place])
        line[data.draw(st.sampled_from(["actor", "type", "at_ms", "handoff_id", "detail"]))] = "somebody else"
        after[place] = orjson.dumps(line) + b"\n"
    elif how == "drop":
        del after[place]
    elif how == "swap":
        after[place], after[place + 1] = after[place + 1], after[place]
    elif how == "insert":
        after.insert(place, before[data.draw(st.integers(0, len(before) - 1).filter(lambda other: other != place))])
    else:
        after[place] = before[place][: len(before[place]) // 2] + b"\n"
    rewritten(directory, after)
    broken = verify(directory).broken
    assert broken is not None
    assert broken.line in (place + 1, place + 2)


def test_the_same_events_again_stand_there_once(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit")
    assert log.append(0, []) is None
    assert log.append(0, [event(1), event(2)]) is not None
    assert log.append(0, [event(1), event(2)]) is None
    again = AuditLog(tmp_path / "audit")
    assert again.append(0, [event(2), event(3)]) is not None
    # Another partition and another tenant count for themselves.
    assert again.append(1, [event(1)]) is not None
    assert again.append(0, [event(1, tenant="other")]) is not None
    assert [(line["tenant"], line["partition"], line["entry_id"][-1]) for line in read(tmp_path / "audit")] == [
        ("acme", 0, "1"), ("acme", 0, "2"), ("acme", 0, "3"), ("acme", 1, "1"), ("other", 0, "1"),
    ]  # fmt: skip
    assert verify(tmp_path / "audit").broken is None


def test_what_a_killed_worker_had_taken_is_written_after_what_others_took_meanwhile(tmp_path: Path) -> None:
    log, other = AuditLog(tmp_path / "audit"), AuditLog(tmp_path / "audit")
    # 1 and 2 are with a worker that was killed before it wrote them; they are given to another seconds later.
    assert other.append(0, [event(3), event(4)]) is not None
    assert log.append(0, [event(1), event(2), event(3), event(1)]) is not None
    assert other.append(0, [event(2), event(4), event(5)]) is not None
    assert [line["entry_id"][-1] for line in read(tmp_path / "audit")] == ["3", "4", "1", "2", "5"]
    assert verify(tmp_path / "audit").broken is None


def test_files_that_were_put_in_the_place_of_others_count_as_they_are(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit")
    log.append(0, [event(1), event(2)])
    kept = lines(tmp_path / "audit")
    rewritten(tmp_path / "audit", kept[:1])
    assert log.append(0, [event(1), event(2)]) is not None
    assert lines(tmp_path / "audit") == kept


def test_a_line_that_was_being_written_when_the_machine_stopped_goes(tmp_path: Path) -> None:
    directory = written(tmp_path, 2)
    last = files(directory)[-1]
    last.write_bytes(last.read_bytes() + b'{"at_ms":18')
    AuditLog(directory).append(0, [event(9, NOW + 2 * DAY)])
    assert (verify(directory).entries, verify(directory).broken) == (3, None)


def _write_many(directory: Path, tenant: str) -> None:
    log = AuditLog(directory)
    for number in range(1, 41):
        log.append(0, [event(number, tenant=tenant)])


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write_many, args=(tmp_path / "audit", f"tenant-{n}")) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = verify(tmp_path / "audit")
    assert (found.entries, found.broken) == (120, None)


def test_the_command_tells_whether_it_holds_and_who_did_what(tmp_path: Path) -> None:
    directory = written(tmp_path)
    fine = handrail("audit", "verify", "--data-dir", str(tmp_path))
    assert fine.exit_code == 0
    assert fine.stdout.startswith("6 entries hold; the last hash is ")
    shown = as_json(handrail("audit", "list", "--handoff", "hof_3", "--json", "--data-dir", str(tmp_path)))
    assert [line["handoff_id"] for line in shown["entries"]] == ["hof_3"]
    assert "mia" in handrail("audit", "list", "--actor", "mia", "-n", "2", "--data-dir", str(tmp_path)).stdout
    changed = lines(directory)
    changed[2] = changed[2].replace(b"mia", b"ben")
    rewritten(directory, changed)
    wrong = handrail("audit", "verify", "--data-dir", str(tmp_path))
    assert wrong.exit_code == 1
    assert f"{directory / '2027-01-15.jsonl'}:3: it was changed after it was written" in wrong.stdout
    assert handrail("audit", "verify", "--data-dir", str(tmp_path / "nowhere")).exit_code == 2
