"""What is told of a vote."""

from __future__ import annotations

import pytest

from helios_cli.engine.node.votes import tell_vote
from helios_cli.engine.replication.messages import Ask
from helios_cli.engine.types import Term


@pytest.mark.parametrize(
    ("primary", "loyal", "reason"),
    [
        ("n1", True, "the primary n1 is still heard"),
        ("", True, "this node has just begun, and the primary that it heard before may lead on"),
        ("n1", False, "it has given its vote in term 9"),
    ],
)
def test_why_a_node_does_not_vote(primary: str, loyal: bool, reason: str) -> None:
    told: list[tuple[str, str]] = []

    def event(kind: str, text: str, **_fields: object) -> None:
        told.append((kind, text))

    tell_vote(event, Ask("n2", True, ""), Term(7, 1), Term(9, 1), primary, promised=False, loyal=loyal)
    assert told == [("no_vote", f"this node does not vote for n2 in term 7: {reason}")]


def test_a_look_around_is_not_told_of() -> None:
    def event(_kind: str, _text: str, **_fields: object) -> None:
        pytest.fail("it is told of")

    tell_vote(event, Ask("n2", False, ""), Term(7, 1), Term(9, 1), "n1", promised=False, loyal=True)
