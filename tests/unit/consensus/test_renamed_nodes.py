"""A node that is started under another name is the node that its disk says it is."""

from __future__ import annotations

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.consensus.steps import Follower, Step, next_step
from helios_cli.engine.types import Lsn, Term

TERM = Term(3)


def member(name: str, disk: str = "") -> Member:
    return Member(name, disk or f"disk of {name}", "h", 1, 2, 3, "")


CONFIG = ClusterConfig(
    4, SyncMode.QUORUM, tuple(map(member, "abc")), ("a", "b", "c"), primary="a", voting=("a", "b", "c")
)


def test_a_disk_under_another_name_keeps_its_place() -> None:
    known = CONFIG.known_as("z", "disk of a")
    assert [one.node_id for one in known.members] == ["b", "c", "z"]
    assert known.in_sync == known.voting == ("b", "c", "z") and known.primary == "z"
    assert known.electorate("z") == (("b", "disk of b"), ("c", "disk of c"), ("z", "disk of a"))
    assert CONFIG.known_as("a", "disk of a") is CONFIG and CONFIG.known_as("z", "") is CONFIG


def test_names_that_pile_up_are_one_node() -> None:
    names = ("n1", "n2", "n3")
    piled = ClusterConfig(
        9, SyncMode.ASYNC, tuple(member(name, "one disk") for name in names), ("n3",), primary="n3", voting=names
    )
    known = piled.known_as("n3", "one disk")
    assert known.voters("n3") == ("n3",) and known.electorate("n3") == (("n3", "one disk"),)


def step(*followers: Member) -> Step | None:
    lsns = LsnManager("a", CONFIG, TERM, Lsn(100), begins=Lsn(0))
    present = [Follower(one, Progress(TERM, Lsn(100), Lsn(100), Lsn(100)), True) for one in followers]
    return next_step(lsns, {}, present, lambda name: True, 0)


def test_a_follower_that_comes_under_another_name_takes_its_own_place() -> None:
    found = step(member("z", "disk of b"), member("c"))
    assert found is not None and found.kind == "member_renamed"
    assert found.config.voting == found.config.in_sync == ("a", "c", "z") and found.config.version > CONFIG.version


def test_two_nodes_on_copies_of_one_disk_are_not_two_members() -> None:
    assert step(member("b"), member("z", "disk of b"), member("c")) is None
