"""The adapter of etcd against a real one: compare-and-swap, leases, members that are gone, passwords and TLS."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
from support.etcd_server import EtcdProcess, MakeEtcd
from support.node_process import free_port, wait_until

from helios_cli.engine.consensus.authority import Keys, Leader, Put, Sync, Transaction, agree, give_term
from helios_cli.engine.net.etcd import Access, Etcd, EtcdFailed
from helios_cli.engine.types import Lsn

KEYS = Keys("/heliosdb", "c1")


def client(etcd: EtcdProcess) -> Etcd:
    return Etcd(Access((etcd.endpoint,)), KEYS)


def leader(name: str, term: int) -> Leader:
    return Leader(name, f"disk of {name}", term, 1, "h", 2)


def test_of_two_candidates_at_once_one_gets_the_term(etcd: EtcdProcess) -> None:
    clients = {name: client(etcd) for name in ("n1", "n2", "n3")}
    together = threading.Barrier(len(clients))

    def take(name: str, term: int) -> bool:
        own = clients[name]
        seen = own.read()
        lease, _ttl = own.grant(10)
        together.wait(10)
        return own.commit(give_term(KEYS, seen, leader(name, term), Lsn(0), 1), lease)

    with ThreadPoolExecutor(len(clients)) as pool:
        for term in range(1, 11):
            taken = dict(zip(clients, pool.map(lambda name, term=term: take(name, term), clients), strict=True))
            (winner,) = [name for name, done in taken.items() if done]
            found = clients["n1"].read()
            assert found.leader is not None and (found.leader.node_id, found.term) == (winner, term)


def test_a_configuration_is_agreed_to_in_the_term_that_was_given_last(etcd: EtcdProcess) -> None:
    own = client(etcd)
    lease, ttl_s = own.grant(10)
    assert ttl_s == 10
    assert own.commit(give_term(KEYS, own.read(), leader("n1", 1), Lsn(0), 1), lease)
    before = own.read()
    assert own.commit(agree(KEYS, before, Sync(1, 1, "{}")))
    assert not own.commit(agree(KEYS, before, Sync(1, 2, "{}"))), "it was agreed to another one since"
    now = own.read()
    assert now.sync == Sync(1, 1, "{}")
    assert not own.commit(give_term(KEYS, before, leader("n2", 2), Lsn(0), 1), lease), "judged by the one before"
    assert own.commit(give_term(KEYS, now, leader("n2", 2), Lsn(0), 1), lease)
    assert not own.commit(agree(KEYS, now, Sync(1, 2, "{}"))), "n1 leads no more"


def test_a_lease_that_is_not_renewed_is_over(etcd: EtcdProcess) -> None:
    own = client(etcd)
    lease, ttl_s = own.grant(2)
    assert own.commit(give_term(KEYS, own.read(), leader("n1", 1), Lsn(0), 1), lease)
    began = time.monotonic()
    assert own.renew(lease) == ttl_s == 2
    wait_until(lambda: own.read().leader is None, "the key is gone", 10)
    assert time.monotonic() - began > 1.9
    assert own.renew(lease) == 0 and own.read().term == 1
    with pytest.raises(EtcdFailed, match="lease not found"):
        own.revoke(lease)


def test_the_history_is_bounded(etcd: EtcdProcess) -> None:
    own = client(etcd)
    for number in (1, 2, 3):
        assert own.commit(Transaction((), (Put(KEYS.history(number), "x"),)))
    lease, _ttl = own.grant(10)
    assert own.commit(give_term(KEYS, own.read(), leader("n1", 1002), Lsn(7), 1), lease)
    assert [key for key in sorted(etcd.keys()) if "/history/" in key] == [KEYS.history(n) for n in (2, 3, 1002)]


def test_members_that_do_not_answer_are_passed_over(etcd: EtcdProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        own = Etcd(Access((f"127.0.0.1:{free_port()}", where, etcd.endpoint)), KEYS, request_s=0.3)
        assert own.read().term == 0 and own.endpoint == etcd.endpoint
        alone = Etcd(Access((where,)), KEYS, request_s=0.3)
        with pytest.raises(EtcdFailed, match="it takes too long"):
            alone.read()
    with pytest.raises(EtcdFailed, match="nobody listens there"):
        Etcd(Access((f"127.0.0.1:{free_port()}",)), KEYS).read()


def test_what_another_program_wrote_is_told(etcd: EtcdProcess) -> None:
    etcd.control("put", KEYS.leader, "not ours")
    with pytest.raises(EtcdFailed, match="cannot be read"):
        client(etcd).read()


def test_a_user_whose_token_is_over_logs_in_again(make_etcd: MakeEtcd) -> None:
    etcd = make_etcd()
    etcd.control("user", "add", "root:secret")
    etcd.control("user", "grant-role", "root", "root")
    etcd.control("auth", "enable")
    own = Etcd(Access((etcd.endpoint,), user="root", password="secret"), KEYS)
    assert own.read().term == 0
    as_root = ("--user", "root:secret")
    etcd.control("role", "add", "more", flags=as_root)
    assert own.read().term == 0, "rights have changed"
    etcd.control("user", "passwd", "root", "--interactive=false", flags=as_root, given="secret")
    assert own.read().term == 0, "the tokens of a user whose password is changed are over"
    for user, password, expected in (("root", "wrong", "authentication failed"), ("", "", "user name is empty")):
        with pytest.raises(EtcdFailed, match=expected) as failed:
            Etcd(Access((etcd.endpoint,), user=user, password=password), KEYS).read()
        assert "etcd_user" in (failed.value.hint or "")


def test_certificates_both_ways(make_etcd: MakeEtcd, tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    for name, made in (
        ("server", authority.issue_cert("127.0.0.1")), ("node", authority.issue_cert("node")),
        ("stranger", other.issue_cert("node")),
    ):  # fmt: skip
        made.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        made.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    etcd = make_etcd(
        "--cert-file", str(tmp_path / "server.pem"), "--key-file", str(tmp_path / "server.key"), "--client-cert-auth",
        "--trusted-ca-file", str(tmp_path / "ca.pem"),
    )  # fmt: skip

    def access(ca: str, name: str) -> Access:
        cert, key = (str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.key")) if name else ("", "")
        return Access((etcd.endpoint,), ca=str(tmp_path / ca), cert=cert, key=key)

    assert Etcd(access("ca.pem", "node"), KEYS).read().term == 0
    for ca, name in (("other.pem", "node"), ("ca.pem", ""), ("ca.pem", "stranger")):
        with pytest.raises(EtcdFailed) as failed:
            Etcd(access(ca, name), KEYS).read()
        assert failed.value.sqlstate == "08006"
    with pytest.raises(EtcdFailed) as failed:
        Etcd(access("other.pem", "node"), KEYS).read()
    assert "etcd_ca" in (failed.value.hint or ""), failed.value
