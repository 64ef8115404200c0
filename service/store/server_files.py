"""What stands in the data directory beside the data: the server's record, its socket, its log. Nothing is started here.

server.lock    held by the running server, by nobody else
server.users   held shared by every process that uses the server
server.json    where the running server listens, and what wrote the data
server.sock    the socket (in a private runtime directory where this path would be too long)
server.log     what the server says
appendonlydir/ the data
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from service.store.server_binary import ServerBinary, ServerUnavailable

FORMAT = 1  # of the data directory; a Handrail that finds a higher one leaves the directory alone
SOCKET_PATH_BYTES_MAX = 100  # the kernel takes 107 on Linux and 103 on macOS
LOG_BYTES_MAX = 10_000_000  # kept at every start, with one older file beside it
LOG_TAIL_BYTES = 4_000  # enough for the server's last words

# What the server wrote before it stopped -> code, fact, next step.
LAST_WORDS: tuple[tuple[str, str, str, str], ...] = (
    ("No space left on device", "disk_full", "the disk is full", "free some space and start again: no data are lost"),
    ("Read-only file system", "data_dir_unusable", "the disk is read-only", "mount it writable and start again"),
    ("Permission denied", "data_dir_unusable", "a file in it may not be written", "give it back to this user"),
    (
        "Unknown command",
        "data_too_new",
        "it was written by a newer server",
        "use the server that wrote it: see server.json, and docs/operations.md",
    ),
    (
        "Bad file format reading the append only file",
        "data_damaged",
        "its append-only file is damaged",
        "copy the directory, then repair it as docs/operations.md shows",
    ),
)


@dataclass(frozen=True, slots=True)
class Record:
    """The running server, or the last one: where it listens and which program it is."""

    pid: int
    socket: Path
    flavour: str
    version: str


def prepare(data_dir: Path) -> Path:
    """Make the data directory for this user alone and return its one true path.

    Raises ServerUnavailable when it cannot be made or written, or when a newer Handrail wrote it.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        data_dir = data_dir.resolve(strict=True)
        # Messages of customers stand in these files: nobody else on this machine reads them.
        if stat.S_IMODE(data_dir.stat().st_mode) & 0o077:
            data_dir.chmod(0o700)
        with tempfile.TemporaryFile(dir=data_dir) as probe:
            probe.write(b"handrail")
    except OSError as error:
        raise ServerUnavailable.by_disk(
            error,
            f"the data directory {data_dir} cannot be used",
            "set HANDRAIL_DATA_DIR to a directory of this user's",
        ) from error
    _check_format(data_dir)
    return data_dir


def holds_store(data_dir: Path) -> bool:
    """Return whether a server has ever kept anything in the directory; it need not exist."""
    return (data_dir / "server.json").exists() or (data_dir / "appendonlydir").exists()


def socket_path(data_dir: Path) -> Path:
    """Return where the server of this directory listens, in a private runtime directory when the path is too long."""
    near = data_dir / "server.sock"
    if len(os.fsencode(near)) < SOCKET_PATH_BYTES_MAX:
        return near
    name = f"handrail-{os.getuid()}-{hashlib.blake2b(os.fsencode(data_dir), digest_size=6).hexdigest()}"
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108  # checked to be ours
        if base is None or not Path(base).is_dir():
            continue
        far = Path(base) / name / "server.sock"
        if len(os.fsencode(far)) < SOCKET_PATH_BYTES_MAX:
            _make_private(far.parent)
            return far
    raise ServerUnavailable(
        "socket_path_too_long",
        f"no place for a socket: {near} is {len(os.fsencode(near))} bytes long, {SOCKET_PATH_BYTES_MAX} at most",
        "set HANDRAIL_DATA_DIR to a shorter path",
    )


def check_socket_place(socket: Path) -> None:
    """Remove the socket that a killed server left; raise ServerUnavailable when something else stands there."""
    try:
        mode = socket.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServerUnavailable(
            "socket_path_taken",
            f"{socket} is not a socket, so the server cannot listen there",
            "move that file away and start again",
        )
    socket.unlink()


def read_record(data_dir: Path) -> Record | None:
    """Return the record of the last server, None when there is none that can be read."""
    try:
        found = json.loads((data_dir / "server.json").read_text("utf-8"))
        return Record(int(found["pid"]), Path(found["socket"]), str(found["server"]), str(found["version"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(data_dir: Path, record: Record) -> None:
    """Replace the record in one step, so that a reader sees the old one or the new one."""
    body = {
        "format": FORMAT,
        "pid": record.pid,
        "socket": str(record.socket),
        "server": record.flavour,
        "version": record.version,
    }
    fresh = data_dir / "server.json.new"
    fresh.write_text(json.dumps(body, indent=1) + "\n", "utf-8")
    fresh.replace(data_dir / "server.json")


def rotate_log(server_log: Path) -> None:
    """Put a long log aside, over the one that was put aside before."""
    if server_log.exists() and server_log.stat().st_size > LOG_BYTES_MAX:
        server_log.replace(server_log.with_suffix(".log.1"))


def why_it_stopped(server_log: Path, log_start: int, program: ServerBinary) -> ServerUnavailable:
    """Return what to tell the person who started Handrail, from what the server has logged since `log_start`."""
    with server_log.open("rb") as lines:
        lines.seek(max(log_start, server_log.stat().st_size - LOG_TAIL_BYTES))
        said = lines.read(LOG_TAIL_BYTES).decode("utf-8", "replace").strip()
    for words, code, fact, step in LAST_WORDS:
        if words in said:
            return ServerUnavailable(code, f"the server of {server_log.parent} does not start: {fact}", step)
    last = said.splitlines()[-1].strip() if said else "it logged nothing"
    return ServerUnavailable(
        "server_not_started",
        f"{program.flavour} {program.version} does not start in {server_log.parent}: {last}",
        f"look at {server_log}",
    )


def _check_format(data_dir: Path) -> None:
    try:
        found = json.loads((data_dir / "server.json").read_text("utf-8"))["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if isinstance(found, int) and found > FORMAT:
        raise ServerUnavailable(
            "data_dir_too_new",
            f"{data_dir} was written by a newer Handrail (format {found}, this one reads {FORMAT})",
            "upgrade handrail, or set HANDRAIL_DATA_DIR to another directory",
        )


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    # In a directory that everybody can write, the name may have been taken by somebody else before us.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ServerUnavailable(
            "socket_path_taken",
            f"{directory} is not a private directory of this user",
            "remove it, or set HANDRAIL_DATA_DIR to a shorter path",
        )
