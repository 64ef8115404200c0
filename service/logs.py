"""Log lines: JSON through structlog, written by a thread of their own. Nothing a customer said goes into one.

A stalled reader of the log must never stall a decision: lines wait in a bounded buffer, and what does not fit is
counted and said. A kill -9 loses at most FLUSH_MS of lines; what must not be lost is in the store.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Literal

import orjson
import structlog

from service.clock import now_ms

# A person who watches a terminal does not notice it, and a busy process writes a thousand lines in one system call.
FLUSH_MS = 100
# About 5 MB of lines: a reader that is behind by more is not reading.
LINES_WAITING_MAX = 20_000
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# The innermost calls say where it happened; the rest is the server's own way down.
FRAMES_MAX = 12
_ROOT = Path(__file__).resolve().parent.parent


class Lines:
    """Where log lines wait until the writer thread has written them to a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._wake = threading.Event()
        self._closed = False
        self._writing = threading.Lock()
        self._writer = threading.Thread(target=self._write_on, name="handrail-log", daemon=True)
        self._writer.start()

    def add(self, line: bytes) -> None:
        """Take a line to be written soon; at once in order, never blocking."""
        if len(self._waiting) >= LINES_WAITING_MAX:
            self._dropped += 1
            return
        first = not self._waiting
        self._waiting.append(line)
        if first:
            self._wake.set()

    def flush(self) -> None:
        """Write what waits, now and in this thread."""
        with self._writing:
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if self._dropped:
                lines.append(orjson.dumps({"event": "log lines dropped", "level": "warning", "lines": self._dropped}))
                self._dropped = 0
            if lines:
                _write(self._descriptor, b"\n".join(lines) + b"\n")

    def close(self) -> None:
        """Write what waits and end the writer."""
        self._closed = True
        self._wake.set()
        self._writer.join(timeout=2 * FLUSH_MS / 1000)
        self.flush()

    def _write_on(self) -> None:
        pause = threading.Event()
        while not self._closed:
            # The wait is bounded because a line may slip in between the writer's last look and the next wake-up.
            self._wake.wait(timeout=1.0)
            self._wake.clear()
            pause.wait(FLUSH_MS / 1000)
            self.flush()


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        # A closed pipe or a full disk: the service goes on deciding, and the log is the one thing it cannot log.
        return


class _LineLogger:
    """What structlog hands finished lines to."""

    def __init__(self, lines: Lines) -> None:
        self._add = lines.add

    def msg(self, line: bytes | str) -> None:
        self._add(line if isinstance(line, bytes) else line.encode("utf-8", "replace"))

    debug = info = warning = error = critical = log = msg


class _StandardLibrary(logging.Handler):
    """Takes what libraries log and says it as one of our lines; an exception's own words stay out of it."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger(record.name)
        cause = record.exc_info[1] if record.exc_info else None
        fields = failure(cause) if cause is not None else {}
        level = next((name for name, number in reversed(LEVELS.items()) if record.levelno >= number), "debug")
        getattr(logger, level)(record.getMessage().strip(), source=record.name, **fields)


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["auto", "json", "pretty"] = "auto",
    descriptor: int | None = None,
) -> Lines:
    """Make every logger of this process write to a descriptor, standard error when none is given."""
    out = sys.__stderr__.fileno() if descriptor is None and sys.__stderr__ else descriptor or 2
    pretty = form == "pretty" or (form == "auto" and os.isatty(out))
    lines = Lines(out)
    filtering: type[Any] = structlog.make_filtering_bound_logger(LEVELS[level])
    steps: list[Any] = [_json]
    if pretty:
        steps = [structlog.processors.add_log_level, _clock_time, structlog.dev.ConsoleRenderer(os.isatty(out))]
    structlog.configure(
        processors=steps,
        wrapper_class=filtering if pretty or LEVELS[level] > LEVELS["info"] else _short_info(filtering),
        logger_factory=lambda *_names: _LineLogger(lines),
        cache_logger_on_first_use=False,
    )
    handler = _StandardLibrary()
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(LEVELS[level], logging.INFO))
    # httpx tells every request at INFO; whoever makes a request of their own logs what matters of it.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return lines


def _short_info(filtering: type[Any]) -> type[Any]:
    """Return the logger with one call instead of six where JSON is written at every turn."""

    def info(self: Any, event: str, *words: Any, **fields: Any) -> None:
        if words or self._processors[-1] is not _json:
            # Words to put in, or somebody who listens, as tests do.
            filtering.info(self, event, *words, **fields)
        else:
            self._logger.msg(_json(None, "info", {**self._context, **fields, "event": event}))

    return type("Short", (filtering,), {"info": info})


def failure(error: BaseException) -> dict[str, object]:
    """Return what may be said of an exception: its kind and where it happened, not its words, which may quote input."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
    return {
        "error": type(error).__name__,
        "frames": [f"{_place(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _place(file: str) -> str:
    path = Path(file)
    if path.is_relative_to(_ROOT):
        return path.relative_to(_ROOT).as_posix()
    return "/".join(path.parts[-3:])


_clock_time = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)


def _json(_logger: object, method: str, event: MutableMapping[str, Any]) -> bytes:
    event["level"] = method
    event["at_ms"] = now_ms()
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)
