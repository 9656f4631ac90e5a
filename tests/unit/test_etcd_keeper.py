"""What a node does with the lead in etcd: keeps it, takes it again, gives it back, and sees that another has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest
from support.node_process import wait_until

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.consensus.authority import (
    Keys,
    Leader,
    Sync,
    Transaction,
    View,
    ask_for_term,
    give_term,
    view_of,
)
from helios_cli.engine.consensus.config import ETCD, REFEREE, ClusterConfig, Member
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.net.etcd import EtcdFailed
from helios_cli.engine.node import etcd_authority
from helios_cli.engine.node.etcd_authority import EtcdAuthority
from helios_cli.engine.node.promotion import PromotionRefused
from helios_cli.engine.types import Lsn, Term

TERM = Term(4, 9)
CONFIG = ClusterConfig(
    7, SyncMode.QUORUM, tuple(Member(name, f"disk of {name}", "h", 1, 2, 3, "") for name in ("n1", "n2")),
    ("n1", "n2"), primary="n1", authority=ETCD,
)  # fmt: skip


class Memory:
    """An etcd of one process, whose leases end when a test says so."""

    def __init__(self) -> None:
        self.revision = 0
        self.found: dict[str, tuple[str, int]] = {}
        self.leased: dict[str, str] = {}
        self.leases: set[str] = set()
        self.keys = Keys("/heliosdb", "00")
        self.endpoint = "e:1"
        self.is_lost = False
        self.may_write = True
        self.renewals = 0

    def read(self) -> View:
        self._answer()
        return view_of(self.keys, self.found)

    def grant(self, ttl_s: int) -> tuple[str, int]:
        self._answer()
        self.leases.add(lease := f"lease {len(self.leases) + 1}")
        return lease, ttl_s

    def renew(self, lease: str) -> int:
        self._answer()
        self.renewals += 1
        return 3 if lease in self.leases else 0

    def revoke(self, lease: str) -> None:
        self._answer()
        self.leases.discard(lease)
        for key in [key for key, by in self.leased.items() if by == lease]:
            del self.found[key], self.leased[key]

    def commit(self, transaction: Transaction, lease: str = "") -> bool:
        self._answer()
        if not self.may_write:
            raise EtcdFailed("etcd says: etcdserver: permission denied")
        if any(self.found.get(key, ("", 0))[1] != revision for key, revision in transaction.unchanged):
            return False
        self.revision += 1
        for put in transaction.puts:
            self.found[put.key] = (put.value, self.revision)
            self.leased.pop(put.key, None)
            if put.leased:
                self.leased[put.key] = lease
        return True

    def _answer(self) -> None:
        if self.is_lost:
            raise EtcdFailed("etcd does not answer")


class Primary:
    """The node n1, and what its keeper asks of it."""

    def __init__(self, etcd: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(etcd_authority, "Etcd", lambda *_: etcd)
        self.told: list[tuple[Any, ...]] = []
        self.hears_everybody = True
        self.asked: tuple[Term, int] | None = (TERM, 750)
        self.config = CONFIG
        lease = SimpleNamespace(hears_everybody=lambda: self.hears_everybody)
        self.leading = SimpleNamespace(lease=lease, observed=lambda *what: self.told.append(("agreed", *what)))
        self.pulse_node = SimpleNamespace(
            asks=lambda: self.asked, granted=lambda *what: self.told.append(("granted", *what))
        )
        self.visitors = SimpleNamespace(deposed=lambda term: self.told.append(("deposed", term)))
        self.watcher = SimpleNamespace(is_loyal=False)
        self.open_configs = (CONFIG,)
        self.node_id = "n1"
        record = SimpleNamespace(incarnation=b"\x01", cluster_id=b"\x00")
        loop = SimpleNamespace(call_soon_threadsafe=lambda work, *given: work(*given))
        store = SimpleNamespace(
            control=SimpleNamespace(record=record), log=SimpleNamespace(flushed=Lsn(100)),
            configs=SimpleNamespace(newest=CONFIG),
        )  # fmt: skip
        self.node = SimpleNamespace(
            settings=Settings(authority="etcd", etcd_endpoints=("e:1",)), store=store, event=lambda *_, **__: None,
            engine=SimpleNamespace(loop=loop),
        )  # fmt: skip
        this: Any = self
        self.keeper = EtcdAuthority(this)
        self.keeper._renew_at = 0.0

    def term(self) -> Term:
        return TERM

    def identity(self) -> Any:
        return SimpleNamespace(host="h", native_port=2)

    def look(self, times: int = 1) -> float:
        pause = 0.0
        for _ in range(times):
            self.keeper._renew_at = 0.0
            pause = self.keeper._look()
        return pause

    def kinds(self) -> list[str]:
        kinds = [one[0] for one in self.told]
        self.told.clear()
        return kinds


@pytest.fixture
def etcd() -> Memory:
    return Memory()


@pytest.fixture
def primary(etcd: Memory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Primary]:
    made = Primary(etcd, monkeypatch)
    yield made
    made.keeper.stop()


def test_a_primary_has_the_lead_and_its_configuration_in_etcd(etcd: Memory, primary: Primary) -> None:
    assert primary.look() == 0.0 and primary.look() == 0.0 and primary.look() > 0.5
    seen = etcd.read()
    assert seen.leader == Leader("n1", "01", 4, 9, "h", 2) and seen.sync == Sync.of(TERM, CONFIG)
    granted = next(one for one in primary.told if one[0] == "granted")
    assert granted[1:4] == (REFEREE, "etcd", TERM) and granted[5] == 3000
    assert ("agreed", REFEREE, "etcd", TERM, 7) in primary.told
    before, renewals = etcd.revision, etcd.renewals
    primary.look(5)
    assert etcd.renewals == renewals + 5
    assert etcd.revision == before, "to renew writes nothing"


def test_a_lease_that_is_over_grants_nothing_and_is_taken_anew(etcd: Memory, primary: Primary) -> None:
    primary.look(3)
    primary.kinds()
    etcd.revoke("lease 1")
    primary.look()
    assert primary.kinds() == []
    primary.look()
    assert primary.kinds() == ["granted", "agreed"] and etcd.read().leader is not None


def test_a_primary_sees_that_another_node_has_a_later_term(etcd: Memory, primary: Primary) -> None:
    primary.look(3)
    primary.kinds()
    other = Leader("n2", "02", 5, 1, "h", 2)
    lease, _ttl = etcd.grant(3)
    assert etcd.commit(give_term(etcd.keys, etcd.read(), other, Lsn(100), 1), lease)
    for _ in range(2):
        with pytest.raises(EtcdFailed, match="term 5"):
            primary.look()
        assert primary.kinds() == ["deposed"]
        # Also when that one has gone again: its term was given.
        etcd.revoke(lease)
    assert etcd.read().leader is None


def test_a_term_that_was_asked_for_and_not_given_deposes_nobody(etcd: Memory, primary: Primary) -> None:
    primary.look(3)
    primary.kinds()
    assert etcd.commit(ask_for_term(etcd.keys, etcd.read(), 5))
    etcd.revoke("lease 1")
    primary.look(4)
    seen = etcd.read()
    assert "deposed" not in primary.kinds()
    assert seen.leader is not None and (seen.leader.term, seen.term, seen.given) == (4, 5, 4)


def test_a_user_that_may_not_write_is_told_of(etcd: Memory, primary: Primary, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can read, and grant leases: nothing but the lead itself is refused."""
    told: list[tuple[str, str]] = []
    primary.node.event = lambda kind, text, **_: told.append((kind, text))
    monkeypatch.setattr(etcd_authority, "FRESH_S", 0.0)
    etcd.may_write = False
    with pytest.raises(EtcdFailed, match="permission denied"):
        primary.look()
    assert primary.keeper.trouble() == ""
    primary.keeper.begin()
    wait_until(lambda: bool(told), "it is told")
    why = "etcd says: etcdserver: permission denied: nobody is elected; "
    assert told[0][0] == "etcd_lost" and told[0][1].startswith(why)
    wait_until(lambda: primary.keeper.trouble() == told[0][1], "it is an alarm")
    etcd.may_write = True
    primary.keeper.hurry()
    wait_until(lambda: primary.keeper.trouble() == "" and len(told) == 2, "it is over")
    assert told[1][0] == "etcd_back"


def test_an_etcd_that_has_forgotten_is_told_while_everybody_is_heard(etcd: Memory, primary: Primary) -> None:
    primary.look(3)
    primary.kinds()
    etcd.found.clear()
    etcd.leases.clear()
    primary.hears_everybody = False
    with pytest.raises(EtcdFailed, match="has forgotten this cluster"):
        primary.look()
    assert not etcd.found and primary.kinds() == []
    primary.hears_everybody = True
    primary.look(3)
    seen = etcd.read()
    assert seen.leader is not None and seen.sync == Sync.of(TERM, CONFIG)


def test_a_sick_primary_gives_the_lead_back(etcd: Memory, primary: Primary) -> None:
    primary.look(3)
    primary.asked = (TERM, 0)
    primary.look()
    assert etcd.read().leader is None and etcd.read().sync is not None


def test_a_primary_that_stops_gives_the_lead_back(etcd: Memory, primary: Primary) -> None:
    primary.look(3)
    primary.keeper.stop()
    assert etcd.read().leader is None


@pytest.mark.asyncio
async def test_a_candidate_gets_the_term_if_nothing_has_changed(
    etcd: Memory, primary: Primary, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary.look(3)
    other = Primary(etcd, monkeypatch)
    other.node_id, other.keeper._own = "n2", ("n2", "02")
    try:
        told = await other.keeper.consult("", promise=True)
        assert told is not None and told.promised and (told.term, told.primary_id) == (4, "n1")
        primary.node.store.configs.newest = CONFIG.with_in_sync(("n1",))
        primary.look()
        with pytest.raises(PromotionRefused, match="agreed to another configuration"):
            await other.keeper.claim(Term(5, 1), by_force=False)
        assert await other.keeper.consult("", promise=True) is not None
        with pytest.raises(PromotionRefused, match="asked etcd for term 4 already"):
            await other.keeper.claim(Term(4, 10), by_force=False)
        assert await other.keeper.reserve(0, "", by_force=False) == 4
        with pytest.raises(PromotionRefused, match="another node asks etcd"):
            await other.keeper.reserve(0, "", by_force=False)
        with pytest.raises(PromotionRefused, match="meanwhile"):
            await other.keeper.claim(Term(5, 1), by_force=False)
        assert await other.keeper.consult("", promise=True) is not None
        await other.keeper.claim(Term(5, 1), by_force=False)
        leader = etcd.read().leader
        assert leader is not None and (leader.node_id, leader.term) == ("n2", 5)
        etcd.is_lost = True
        assert await other.keeper.consult("", promise=True) is None
        with pytest.raises(PromotionRefused, match="does not answer"):
            await other.keeper.claim(Term(6, 1), by_force=False)
        with pytest.raises(PromotionRefused, match="does not answer"):
            await other.keeper.reserve(5, "", by_force=False)
        assert await other.keeper.reserve(5, "", by_force=True) == 5
        await other.keeper.claim(Term(6, 1), by_force=True)
        with pytest.raises(EtcdFailed):
            await other.keeper.demand()
    finally:
        etcd.is_lost = False
        other.keeper.stop()


@pytest.mark.asyncio
async def test_a_candidate_is_not_helped_by_an_etcd_that_has_forgotten(etcd: Memory, primary: Primary) -> None:
    primary.asked = None
    assert await primary.keeper.consult("", promise=True) is None
    with pytest.raises(PromotionRefused, match="does not know"):
        await primary.keeper.demand()
    primary.look()
    assert not primary.keeper.may_stand()
    assert "does not know the configuration" in primary.keeper.present()[0]
    etcd.found[etcd.keys.sync] = (json.dumps(asdict(Sync.of(TERM, CONFIG))), 1)
    primary.look()
    assert primary.keeper.may_stand() and await primary.keeper.consult("", promise=True) is not None
    etcd.found[etcd.keys.sync] = (json.dumps(asdict(Sync(4, 6, "{}"))), 2)
    assert await primary.keeper.consult("", promise=True) is None, "an older one than before: a backup was restored"
