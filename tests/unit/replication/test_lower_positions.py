"""A member that comes back with less than it had acknowledged counts for what it has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.node.leading import Leading
from helios_cli.engine.types import Lsn, Term

NAMES = ("n1", "n2", "n3")
TERM = Term(4, 4)
MODE = SyncMode.QUORUM


def has(lsn: int) -> Progress:
    return Progress(TERM, Lsn(lsn), Lsn(lsn), Lsn(lsn))


def leader() -> Leading:
    """Two of three make a commit; n2 has said that it is at 500."""
    members = tuple(Member(name, "", "h", 1, 2, 3, MODE.value) for name in NAMES)
    made: Any = object.__new__(Leading)
    made.lsns = LsnManager("n1", ClusterConfig(1, MODE, members, NAMES, voting=NAMES), TERM, Lsn(200), Lsn(0))
    made.reconcile = lambda: None
    made.lease = SimpleNamespace(forget=lambda voter: None)
    made.lsns.own_flushed(Lsn(200))
    made.lsns.acknowledged("n2", has(500))
    assert made.lsns.committed == 200
    return made  # type: ignore[no-any-return]


def streamer(node_id: str, end: int) -> Any:
    return SimpleNamespace(node_id=node_id, sent=Lsn(end), hello=SimpleNamespace(incarnation=""))


def test_one_that_follows_with_less_has_no_more() -> None:
    leading = leader()
    leading.joined(streamer("n2", 100))
    assert leading.lsns.own_flushed(Lsn(400)) == 200, "n2 may have nothing of that"
    leading.lsns.acknowledged("n2", has(300))
    assert leading.lsns.committed == 300


def test_one_that_takes_a_copy_has_given_up_what_it_had() -> None:
    leading = leader()
    leading.copies("n2")
    assert leading.lsns.own_flushed(Lsn(400)) == 200


def test_one_that_was_cut_off_has_what_it_had() -> None:
    leading = leader()
    leading.joined(streamer("n2", 500))
    assert leading.lsns.own_flushed(Lsn(400)) == 400
    leading.joined(streamer("n3", 0))
