"""What an address of a Redis says, read once for the store and for RQ's side."""

from __future__ import annotations

from typing import Any

import pytest

from service import redis_address
from service.redis_address import Sentinels
from service.store.pooled import client, close
from workers.rq_server import connect

CA = "ssl_ca_certs=%2Fetc%2Fbank%20ca.pem"
TRUSTING = {"ssl": True, "ssl_ca_certs": "/etc/bank ca.pem"}


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://db", {}),
        (f"redis+cluster://db?{CA}", {}),
        (f"rediss+cluster://db?{CA}", TRUSTING),
        (f"rediss://db?cluster=true&{CA}&ssl_check_hostname=no", {**TRUSTING, "ssl_check_hostname": False}),
        ("rediss+sentinel://db/main?ssl_check_hostname=yes", {"ssl": True, "ssl_check_hostname": True}),
        ("rediss://db?ssl_certfile=c&ssl_keyfile=k", {"ssl": True, "ssl_certfile": "c", "ssl_keyfile": "k"}),
    ],
)
def test_tls_is_said_by_the_scheme_and_its_files_by_the_query(url: str, options: dict[str, Any]) -> None:
    assert redis_address.tls(url) == options


def test_a_clusters_address_keeps_who_where_and_tls_and_nothing_else() -> None:
    url = f"rediss+cluster://bank:p%40ss@db:7000,db2,db3:7001/0?cluster=true&{CA}"
    first = "rediss://bank:p%40ss@db:7000?ssl_ca_certs=%2Fetc%2Fbank+ca.pem"
    assert redis_address.cluster_nodes(url) == (first, (("db2", 6_379), ("db3", 7_001)))
    assert redis_address.cluster_nodes("redis+cluster://db") == ("redis://db", ())


def test_sentinels_and_the_master_have_users_of_their_own_and_share_tls() -> None:
    url = f"rediss+sentinel://bank:p%2Fw@s1,s2:26380/main/3?{CA}&sentinel_username=watch&sentinel_password=p%2Bw"
    assert redis_address.sentinels(url) == Sentinels(
        (("s1", 26_379), ("s2", 26_380)),
        "main",
        {"username": "bank", "password": "p/w", "db": 3, **TRUSTING},
        {"username": "watch", "password": "p+w", **TRUSTING},
    )
    assert redis_address.sentinels("redis+sentinel://s1").service is None


async def test_both_clients_hand_it_on() -> None:
    url = f"rediss+sentinel://bank:pw@s1/main?{CA}&sentinel_username=watch&sentinel_password=x"
    store = client(url)
    own: list[dict[str, Any]] = []
    pools: tuple[Any, ...] = (store.connection_pool, connect(url).connection_pool)  # type: ignore[union-attr]  # no cluster
    for pool in pools:
        own.append(pool.connection_kwargs)
        own.append(pool.sentinel_manager.sentinels[0].connection_pool.connection_kwargs)
    assert {each["ssl_ca_certs"] for each in own} == {"/etc/bank ca.pem"}
    assert [each["username"] for each in own] == ["bank", "watch", "bank", "watch"]
    await close(store)
