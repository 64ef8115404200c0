"""Child processes that must not be missing: started again when they die, and gone when their parent is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from pydantic import SecretStr

from service.settings import PREFIX, Settings

RESTART_AFTER_MS_MIN = 100  # a child killed by hand is back before anybody waits for it
RESTART_AFTER_MS_MAX = 5_000  # a child that cannot start must not take a core while somebody mends its settings
STEADY_AFTER_MS = 10_000  # a child that ran this long had started well: its next restart is quick again
STOP_WAIT_MS_MAX = 15_000  # a delivery under way may take 10 s to end
# A child whose parent is gone ends its own children first, which may take STOP_WAIT_MS_MAX, and then the server.
LEAVE_WAIT_MS_MAX = 45_000
LIFELINE = "HANDRAIL_LIFELINE"  # tells a child that its standard input is the pipe to watch

log = structlog.get_logger("handrail.supervise")
_parent_gone = threading.Event()


class Keeper:
    """Keeps one child process running until `stop`. The child holds the reading end of a pipe as its standard input;
    the kernel closes the other end whenever this process dies, kill -9 included, and the child leaves (`watch_parent`).
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.restarts = 0
        self._command = tuple(command)
        self._environment = dict(os.environ if environment is None else environment) | {LIFELINE: "stdin"}
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name=f"handrail-keeper-{name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """Return the child's process id, None between two lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Start the child, and a thread that starts it again."""
        self._thread.start()

    def stop(self, wait_ms: int = STOP_WAIT_MS_MAX) -> None:
        """Ask the child to end, make it end after `wait_ms`, and return when it has."""
        with self._turn:
            self._stopping.set()
            process = self._process
            if process is not None:
                process.terminate()
        self._thread.join(wait_ms / 1000)
        if self._thread.is_alive() and process is not None:
            log.warning("child_killed", child=self.name, pid=process.pid, waited_ms=wait_ms)
            process.kill()
            self._thread.join()

    def _keep(self) -> None:
        pause_ms = RESTART_AFTER_MS_MIN
        while True:
            with self._turn:
                if self._stopping.is_set():
                    return
                process = self._spawn()
            began_s = time.monotonic()
            if process is not None:
                code = process.wait()
                if process.stdin is not None:
                    process.stdin.close()
                if self._stopping.is_set():
                    return
                log.warning("child_ended", child=self.name, pid=process.pid, exit_code=code, again_in_ms=pause_ms)
            if (time.monotonic() - began_s) * 1000 >= STEADY_AFTER_MS:
                pause_ms = RESTART_AFTER_MS_MIN
            if self._stopping.wait(pause_ms / 1000):
                return
            pause_ms = min(pause_ms * 2, RESTART_AFTER_MS_MAX)
            self.restarts += 1

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own command, built from our own settings
                self._command,
                stdin=subprocess.PIPE,
                env=self._environment,
                # Ctrl-C goes to the parent alone, which then ends its children in order.
                start_new_session=True,
            )
        except OSError as error:
            log.error("child_not_started", child=self.name, reason=error.strerror)
            self._process = None
        return self._process


def watch_parent(leave: Callable[[], None] | None = None) -> None:
    """In a child: call `leave` (SIGTERM to this process, unless given) as soon as the parent is gone.

    Does nothing in a process that no Keeper started.
    """
    if os.environ.pop(LIFELINE, None) != "stdin":
        return

    def wait() -> None:
        # The parent never writes: reading ends when its end of the pipe is closed, which no death can prevent.
        while os.read(0, 1):
            pass
        _parent_gone.set()
        (leave or _terminate)()
        # What does not end in this time is left: it is done again by whoever comes next.
        time.sleep(LEAVE_WAIT_MS_MAX / 1000)
        os._exit(1)

    threading.Thread(target=wait, name="handrail-lifeline", daemon=True).start()


def orphaned() -> bool:
    """Return whether this process leaves because its parent is gone."""
    return _parent_gone.is_set()


def worker(settings: Settings) -> Keeper:
    """Return a keeper for `serve`'s own worker: a whole `handrail work` with the same settings."""
    return Keeper("work", command("work"), environment(settings))


def command(*words: str) -> list[str]:
    """Return how to call a worker process of this very installation; `-P` keeps the current directory out of it."""
    return [sys.executable, "-P", "-m", "workers.run", *words]


def environment(settings: Settings, **other: str) -> dict[str, str]:
    """Return this process's environment with every setting written into it, so that a child reads the same ones."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in known}
    return kept | {name: value for name, value in _written(settings)} | other


def _written(settings: Settings) -> list[tuple[str, str]]:
    written = []
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is not None:
            written.append((PREFIX + name.upper(), str(value)))
    return written


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
