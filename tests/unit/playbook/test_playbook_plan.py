"""From a playbook to the steps of a run, and what is predicted to come of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.playbook.conditions import parse
from helios_cli.engine.playbook.facts import Facts, LoadFact, NodeFact
from helios_cli.engine.playbook.plan import Plan, WrongVariable, plan, settle
from helios_cli.engine.playbook.predict import predict
from helios_cli.engine.playbook.read import read

THREE = Facts(
    (
        NodeFact("a", "primary", "serving", "sync", True, "1", 1, 100, 100, None, "x"),
        NodeFact("b", "standby", "streaming", "sync", True, "2", 1, 100, 100, 20.0, "x"),
        NodeFact("c", "standby", "streaming", "async", False, "3", 1, 100, 90, 700.0, "x"),
    ),
    ("a", "b", "c"),
)


def planned(text: str, facts: Facts = THREE, **given: str) -> Plan:
    playbook = read("p", text)
    return plan(playbook, settle(playbook, given, facts), facts)


def steps(*lines: str) -> str:
    return "".join(f'[[steps]]\nname = "s{number}"\n{line}\n' for number, line in enumerate(lines))


def test_each_and_variables_and_groups() -> None:
    text = '[variables]\nlast = "@primary"\nt = "2s"\n' + steps(
        'each = "@standbys"\ndo = "restart"\nnode = "${node}"\nexpect = ["${node} follows"]',
        'do = "kill"\nnode = "${last}"\nparallel = "p"\ntimeout = "${t}"',
        'do = "wait"\nparallel = "p"',
    )
    found = planned(text, t="90s")
    assert [one.name for one in found.steps] == ["s0 c", "s0 b", "s1", "s2"], (
        "the one whose copy counts is restarted last"
    )
    assert found.groups == ((0,), (1,), (2, 3)) and found.steps[2].timeout_s == 90
    assert found.steps[0].expect[0].text == "c follows" and found.steps[2].undo[0].arguments == {"node": "a"}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"lst": "b"}, "did you mean 'last'"),
        ({"t": "soon"}, "t: 'soon' is not a time"),
        ({"last": "zz"}, "no node 'zz'"),
    ],
)
def test_what_a_run_is_told_must_fit(given: dict[str, str], error: str) -> None:
    text = '[variables]\nlast = "@primary"\nt = "2s"\n' + steps('do = "kill"\nnode = "${last}"\ntimeout = "${t}"')
    with pytest.raises(HeliosError, match=error):
        planned(text, THREE, **given)
    assert issubclass(WrongVariable, HeliosError)


def test_a_choice_that_nobody_fits() -> None:
    alone = THREE.with_nodes(THREE.nodes[:1])
    with pytest.raises(HeliosError, match="no standby follows now"):
        planned('[variables]\nx = "@standby"\n' + steps('do = "kill"\nnode = "${x}"'), alone)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("healthy", True), ("led", True), ("paused", False), ("not paused", True), ("checksums equal", None),
        ("a leads", True), ("b leads", False), ("b follows", True), ("c is streaming", True), ("zz runs", False),
        ("lag <= 10B", True), ("lag < 10", False), ("lag_time > 500ms", True), ("rpo == 0", True), ("term == 1", True),
        ("standbys >= 2", True), ("w is running", True), ("w.failed == 1", True), ("w.error_rate <= 5%", True),
        ("w.missing == 0", None), ("one leads", True),
    ],
)  # fmt: skip
def test_conditions(text: str, holds: bool | None) -> None:
    facts = replace(THREE, loads={"w": LoadFact(True, 50, 1)})
    assert parse(text, ("w",)).holds(facts) is holds


def test_the_checksums_are_compared_where_nodes_are_equally_far() -> None:
    level = THREE.with_nodes([replace(one, committed=100) for one in THREE.nodes])
    assert parse("checksums equal").holds(level) is True
    other = level.with_nodes([*level.nodes[:2], replace(level.nodes[2], checksum="y")])
    assert parse("checksums equal").holds(other) is False


@pytest.mark.parametrize(
    ("lines", "effects", "contradicted"),
    [
        (['do = "kill"\nnode = "a"\nexpect = ["led", "b leads"]'], ["a is down; b is elected"], []),
        (['do = "pause"', 'do = "kill"\nnode = "a"\nexpect = ["led"]'],
         ["automatic failover is off", "a is down; b is disconnected; c is disconnected; nobody leads: writes wait"],
         ["led"]),
        (['do = "kill"\nnode = ["a", "b"]\nexpect = ["led"]'],
         ["a is down; b is down; c is disconnected; nobody leads: writes wait"], ["led"]),
        (['do = "cut"\na = "a"\nb = ["b", "c"]\nexpect = ["b leads"]', 'do = "heal"\nexpect = ["healthy"]'],
         ["a is disconnected; b is elected", "a follows"], []),
        (['do = "stop"\nnode = "b"\nexpect = ["a leads"]', 'do = "start"\nnode = "b"\nexpect = ["healthy"]'],
         ["b is down", "b follows"], []),
        (['do = "switchover"\nto = "b"\nexpect = ["b leads", "healthy"]'], ["b leads"], []),
        (['do = "add-standby"\nnode = "d"\nexpect = ["standbys == 3"]', 'do = "kill"\nnode = "d"'],
         ["d copies the database and follows", "d is down"], []),
        (['do = "remove-standby"\nnode = "c"\nexpect = ["nodes == 2"]', 'do = "kill"\nnode = "a"\nexpect = ["led"]'],
         ["c is stopped and no longer counts or votes; its data stays",
          "a is down; b is disconnected; nobody leads: writes wait"], ["led"]),
    ],
)  # fmt: skip
def test_predictions(lines: list[str], effects: list[str], contradicted: list[str]) -> None:
    found = predict(planned(steps(*lines)), THREE)
    assert [one.effect for one in found] == effects
    assert [text for one in found for text in one.contradicted] == contradicted
