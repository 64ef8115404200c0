"""The embedded server: one real Valkey a data directory, shared by every Handrail process that uses the directory.

Two lock files say who lives. `server.lock` is inherited by the server itself, so the kernel frees it when the server
and its rewrite child are gone, and whoever gets it then is the one to start the next. `server.users` is held shared
by every process that uses the server, so the one that can get it alone is the last, and stops the server cleanly.
Neither needs anybody to tidy up after a kill -9. No keys are known here.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import structlog

from service.store import server_binary
from service.store.file_locks import LOCK_POLL_MS, open_lock, shared_by, try_exclusive
from service.store.server_binary import ServerUnavailable
from service.store.server_files import (
    Record,
    check_socket_place,
    prepare,
    read_record,
    rotate_log,
    socket_path,
    why_it_stopped,
    write_record,
)
from service.store.server_talk import Answer, ask, server_pid

START_WAIT_MS_MAX = 30_000  # a fresh server answers in 50 ms; a rewrite child of a killed one holds the lock longer
LOADING_WAIT_MS_MAX = 600_000  # about 10 GB of append-only file; the server says that it is loading, so it is alive
STOP_WAIT_MS_MAX = 10_000  # SHUTDOWN flushes one file
WATCH_EVERY_MS = 300  # how soon a dead server is noticed; asking is one system call
WATCH_BACKOFF_MS_MAX = 5_000  # a full disk is not asked more often than this

log = structlog.get_logger("handrail.server")


class Embedded:
    """This process's use of the server of one data directory; `started` tells whether it was the one to start it."""

    def __init__(self, data_dir: Path, url: str, pid: int, started: bool, users: int, binary: Path | None) -> None:
        self.data_dir = data_dir
        self.url = url
        self.pid = pid
        self.started = started
        self._users: int | None = users
        self._binary = binary
        self._leaving = threading.Event()
        self._watcher: threading.Thread | None = None

    def revive(self) -> bool:
        """Start the server again if it has died, and return whether this call did; its data are all there."""
        with _alone(self.data_dir / "server.lock") as lock:
            if lock is None:
                return False
            self.pid = _start(self.data_dir, lock, self._binary)
            return True

    def watch(self) -> None:
        """Start a thread that revives the server whenever it dies, until `close`."""
        self._watcher = threading.Thread(target=self._watch, name="handrail-server-watch", daemon=True)
        self._watcher.start()

    def close(self, patience_ms: int = 0) -> bool:
        """Leave the server, stop it cleanly when nobody else uses it, and return whether it was stopped.

        `patience_ms` is how long to look whether the others leave too: the kernel frees the locks of a process that
        was killed some time after it is gone, on a busy machine half a second.
        """
        self._leaving.set()
        if self._watcher is not None:
            self._watcher.join(timeout=START_WAIT_MS_MAX / 1000)
        if self._users is None:
            return False
        os.close(self._users)
        self._users = None
        deadline_s = time.monotonic() + patience_ms / 1000
        while True:
            # Who comes while the lock is held here waits, then finds no server and starts one: nobody is cut off.
            with _alone(self.data_dir / "server.users") as users:
                if users is not None:
                    return _stop(self.data_dir)
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(LOCK_POLL_MS / 1000)

    def __enter__(self) -> Embedded:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _watch(self) -> None:
        pause_ms = WATCH_EVERY_MS
        while not self._leaving.wait(pause_ms / 1000):
            try:
                revived = self.revive()
            except (ServerUnavailable, OSError) as error:
                pause_ms = min(pause_ms * 2, WATCH_BACKOFF_MS_MAX)
                log.error("server_not_revived", reason=str(error), next_try_ms=pause_ms)
                continue
            pause_ms = WATCH_EVERY_MS
            if revived:
                log.warning("server_revived", pid=self.pid)


def start_or_attach(data_dir: Path, *, binary: Path | None = None, wait_ms: int = START_WAIT_MS_MAX) -> Embedded:
    """Return the server of `data_dir`, started here unless it runs already; `wait_ms` bounds the wait for others.

    Raises ServerUnavailable with the fact and the next step: no program, a directory that cannot be used or was
    written by a newer Handrail, a full disk, a damaged file, or a lock that its holder does not answer for.
    """
    data_dir = prepare(data_dir)
    deadline_s = time.monotonic() + wait_ms / 1000
    users = open_lock(data_dir / "server.users")
    try:
        if not shared_by(users, deadline_s):
            raise _silent(data_dir, wait_ms)
        url, pid, started = _start_or_find(data_dir, deadline_s, wait_ms, binary)
    except BaseException:
        os.close(users)
        raise
    return Embedded(data_dir, url, pid, started, users, binary)


def _start_or_find(data_dir: Path, deadline_s: float, wait_ms: int, binary: Path | None) -> tuple[str, int, bool]:
    while True:
        with _alone(data_dir / "server.lock") as lock:
            if lock is not None:
                pid = _start(data_dir, lock, binary)
                return _url(_recorded(data_dir)), pid, True
        record = read_record(data_dir)
        answer = ask(record.socket, "PING") if record else Answer.AWAY
        if record and answer is Answer.READY:
            return _url(record), server_pid(record.socket) or record.pid, False
        if answer is Answer.LOADING:
            deadline_s = max(deadline_s, time.monotonic() + LOADING_WAIT_MS_MAX / 1000)
        if time.monotonic() >= deadline_s:
            raise _silent(data_dir, wait_ms)
        time.sleep(LOCK_POLL_MS / 1000)


def _start(data_dir: Path, lock: int, binary: Path | None) -> int:
    """Start the server under the held `lock`, wait until it answers, and return its pid."""
    program = server_binary.find(binary)
    socket = socket_path(data_dir)
    check_socket_place(socket)
    server_log = data_dir / "server.log"
    rotate_log(server_log)
    log_start = server_log.stat().st_size if server_log.exists() else 0
    process = _spawn(server_binary.arguments(program, data_dir, socket, server_log), server_log, lock)
    write_record(data_dir, Record(process.pid, socket, program.flavour, program.version))
    begun_s = time.monotonic()
    wait_ms = START_WAIT_MS_MAX
    while True:
        answer = ask(socket, "PING")
        if answer is Answer.READY:
            return process.pid
        if answer is Answer.LOADING:
            wait_ms = LOADING_WAIT_MS_MAX
        if process.returncode is not None or (time.monotonic() - begun_s) * 1000 > wait_ms:
            if process.returncode is None:
                process.kill()
            raise why_it_stopped(server_log, log_start, program)
        time.sleep(LOCK_POLL_MS / 1000)


def _spawn(words: list[str], server_log: Path, lock: int) -> subprocess.Popen[bytes]:
    with server_log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  # a program that `find` has checked, with our own arguments
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # The server holds the lock from now on, whatever becomes of this process.
            pass_fds=(lock,),
            # A session of its own: Ctrl-C in the terminal ends Handrail, and Handrail ends the server when it is last.
            start_new_session=True,
            # Keys and secrets of our environment are none of the server's business.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
    # The thread reaps the server whenever it ends, so that it never stays behind as a zombie of this process.
    threading.Thread(target=process.wait, name="handrail-server-reaper", daemon=True).start()
    return process


def _stop(data_dir: Path) -> bool:
    record = read_record(data_dir)
    if record is None or ask(record.socket, "SHUTDOWN") is Answer.REFUSED:
        log.error("server_not_stopped", data_dir=str(data_dir))
        return False
    deadline_s = time.monotonic() + STOP_WAIT_MS_MAX / 1000
    while time.monotonic() < deadline_s:
        with _alone(data_dir / "server.lock") as lock:
            if lock is not None:
                return True
        time.sleep(LOCK_POLL_MS / 1000)
    log.error("server_still_stopping", pid=record.pid, waited_ms=STOP_WAIT_MS_MAX)
    return False


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[int | None]:
    """Hold the lock at `path` alone within the block, or yield None at once when somebody else has it."""
    try:
        lock = open_lock(path)
    except OSError as error:
        raise ServerUnavailable.by_disk(
            error, f"{path} cannot be opened", "let this user write it and start again"
        ) from error
    try:
        yield lock if try_exclusive(lock) else None
    finally:
        # Closing our copy keeps the lock while a server that inherited it lives; LOCK_UN would take it from both.
        os.close(lock)


def _recorded(data_dir: Path) -> Record:
    record = read_record(data_dir)
    if record is None:
        raise _silent(data_dir, 0)
    return record


def _url(record: Record) -> str:
    return "unix://" + quote(str(record.socket))


def _silent(data_dir: Path, waited_ms: int) -> ServerUnavailable:
    record = read_record(data_dir)
    who = f"process {record.pid}" if record else "another process"
    return ServerUnavailable(
        "server_silent",
        f"{who} holds {data_dir} but did not answer within {waited_ms} ms",
        f"look at {data_dir / 'server.log'}; end that process if it hangs, and start again: no data are lost",
    )
