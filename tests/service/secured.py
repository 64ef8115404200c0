"""A master, its replica and a Sentinel behind TLS with a private CA, who know users of the documented rights."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import redis

from tests.ports import free_port
from tests.service.conftest import Server, redis_binary

PASSWORD = "p@ss:w/rd"  # of servers that live as long as one test
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def why_not() -> str | None:
    """Return why there can be no such servers here, None where there can."""
    binary = redis_binary()
    if binary is None or shutil.which("openssl") is None:
        return "no `redis-server`, or no `openssl`, on PATH"
    told = subprocess.run(
        [binary, "--port", "0", "--tls-port", "1"], capture_output=True, text=True, timeout=20, check=False
    )
    # One without TLS does not know the setting at all; one with it asks for a certificate.
    return None if "tls-cert-file" in told.stdout + told.stderr else "this `redis-server` was built without TLS"


def documented_rights() -> dict[str, str]:
    """Return user -> rights as docs/operations.md has them."""
    return dict(re.findall(r"^user (\S+) on >\S+ (.*)$", OPERATIONS.read_text(), re.MULTILINE))


@dataclass
class Secured:
    """What is asked for at 127.0.0.1 only: the certificate is for that address, and signed by `ca`."""

    master: Server
    replica: Server
    sentinel_port: int
    ca: Path

    @property
    def trusting(self) -> str:
        return f"ssl_ca_certs={quote(str(self.ca), safe='')}"

    def url(self, user: str) -> str:
        """Return the address of whoever is the master, as a user of it."""
        own = f"sentinel_username=keeper&sentinel_password={quote(PASSWORD, safe='')}"
        who = f"{user}:{quote(PASSWORD, safe='')}"
        return f"rediss+sentinel://{who}@127.0.0.1:{self.sentinel_port}/main/0?{self.trusting}&{own}"

    def sentinel(self) -> redis.Redis:
        return redis.Redis(
            host="127.0.0.1",
            port=self.sentinel_port,
            ssl=True,
            ssl_ca_certs=str(self.ca),
            username="keeper",
            password=PASSWORD,
        )

    def keeper(self, server: Server) -> redis.Redis:
        """Return a client that may do everything."""
        return redis.Redis(unix_socket_path=str(server.socket), username="keeper", password=PASSWORD)


def _certificates(folder: Path) -> Path:
    folder.mkdir()
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for words in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=private-ca -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout key.pem -out cert.csr",
        "x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out cert.pem",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, capture_output=True, check=True, timeout=60)
    return folder


def _tls_words(certs: Path, port: int) -> list[str]:
    words = ["--port", "0", "--tls-port", str(port), "--tls-replication", "yes", "--tls-auth-clients", "no"]
    for name, file in (("cert", "cert.pem"), ("key", "key.pem"), ("ca-cert", "ca.pem")):
        words += [f"--tls-{name}-file", str(certs / file)]
    return words


@contextlib.contextmanager
def secured(folder: Path) -> Iterator[Secured]:
    """Start the three of them; whoever has no name may do nothing, `keeper` is who replicates and watches."""
    binary = redis_binary()
    assert binary is not None
    certs = _certificates(folder / "tls")
    everything = f"user keeper on >{PASSWORD} ~* &* +@all"
    acl = folder / "users.acl"
    users = "".join(f"user {user} on >{PASSWORD} {rights}\n" for user, rights in documented_rights().items())
    acl.write_text(f"user default off\n{users}{everything}\n")
    found = Secured(
        Server(binary, folder / "m", port=free_port()),
        Server(binary, folder / "r", port=free_port()),
        free_port(),
        certs / "ca.pem",
    )
    (folder / "sentinel.conf").write_text(
        f"bind 127.0.0.1\ndir {folder}\nuser default off\n{everything}\n"
        f"sentinel monitor main 127.0.0.1 {found.master.port} 1\n"
        f"sentinel auth-user main keeper\nsentinel auth-pass main {PASSWORD}\n"
        "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
    )
    with contextlib.ExitStack() as stack:
        for server in (found.master, found.replica):
            more = ["--aclfile", str(acl), "--masteruser", "keeper", "--masterauth", PASSWORD]
            if server is found.replica:
                more += ["--replicaof", f"127.0.0.1 {found.master.port}"]
            server.start(*_tls_words(certs, server.port), *more)
            stack.callback(server.kill)
        watching = [binary, str(folder / "sentinel.conf"), "--sentinel", *_tls_words(certs, found.sentinel_port)]
        sentinel = subprocess.Popen(watching, stdout=subprocess.DEVNULL)
        stack.callback(sentinel.wait, 20)
        stack.callback(sentinel.kill)
        yield found
