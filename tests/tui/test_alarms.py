"""Alarms that were acknowledged: which are hidden, and until when."""

from __future__ import annotations

from dataclasses import replace

from support.played_cluster import lost, sample

from helios_cli.tui.alarms import Acknowledged
from helios_cli.tui.facts import Sample
from helios_cli.tui.gateway import Act
from helios_cli.tui.snapshot import Snapshot, follow


def alarmed(base: Sample, *texts: str) -> Snapshot:
    nodes = tuple(
        replace(one, facts=replace(one.facts, alarms=texts)) if one.name == "primary" and one.facts else one
        for one in base.nodes
    )
    return follow(follow(None, sample(0)), replace(base, nodes=nodes))


def test_what_is_acknowledged_is_hidden_until_it_is_over() -> None:
    known, two = Acknowledged(), alarmed(sample(1), "a", "b")
    assert known.act(two) == Act("acknowledge")
    assert known.carry_out(known.act(two), two) == ["acknowledged: 2", "primary: a", "primary: b"]
    assert known.shown(alarmed(sample(2), "b", "c")) == [("primary", "c")], "another one is shown"
    known.seen(alarmed(sample(3), "b"))
    again = alarmed(sample(4), "a", "b")
    assert (known.shown(again), known.hidden(again)) == ([("primary", "a")], [("primary", "b")])


def test_a_node_that_does_not_answer_ends_no_alarm() -> None:
    known, one = Acknowledged(), alarmed(sample(1), "a")
    known.carry_out(known.act(one), one)
    known.seen(follow(one, lost(sample(2), "primary")))
    assert known.shown(alarmed(sample(3), "a")) == []


def test_they_are_shown_again_and_nothing_is_asked_where_there_is_nothing() -> None:
    known, one = Acknowledged(), alarmed(sample(1), "a")
    assert known.plan(known.act(alarmed(sample(0))), alarmed(sample(0))) is None
    known.carry_out(known.act(one), one)
    act = known.act(one)
    plan = known.plan(act, one)
    assert act == Act("unacknowledge") and plan is not None and plan.lines[1:] == ("primary: a",)
    known.carry_out(act, one)
    assert known.shown(one) == [("primary", "a")]
