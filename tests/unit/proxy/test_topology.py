"""The nodes of a cluster, by what several of them say."""

from __future__ import annotations

import pytest

from helios_cli.engine.proxy.topology import Place, known_nodes, place_of, seen_from

A, B, C = Place("a", "h1", 1), Place("b", "h2", 2), Place("c", "h3", 3)


def local(place: Place) -> Place:
    return Place(place.name, place.host, place.port, is_local=True)


def known(reports: dict[str, tuple[Place, ...]], primary: str | None, before: tuple[Place, ...] = ()) -> str:
    found = known_nodes(reports, primary, {one.name: one for one in before})
    assert all(not one.is_local for one in found.values())
    return " ".join(f"{one.name}@{one.host}:{one.port}" for one in found.values())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("h:5432", ("h", 5432)),
        ("[::1]:5432", ("::1", 5432)),
        ("", None),
        ("h", None),
        ("h:0", None),
        ("h:99999", None),
        ("h:x", None),
    ],
)
def test_addresses(text: str, place: tuple[str, int] | None) -> None:
    found = place_of("n", text, is_local=False)
    assert (found and (found.host, found.port)) == place


def test_a_node_that_names_its_own_machine_is_where_it_was_reached() -> None:
    said = (Place("a", "127.0.0.1", 5432, is_local=True), Place("b", "127.0.0.1", 5442), Place("c", "far", 5432))
    seen = seen_from(said, "10.0.0.1", 15432)
    assert [(one.host, one.port) for one in seen] == [("10.0.0.1", 15432), ("10.0.0.1", 5442), ("far", 5432)]
    assert seen_from(said, "127.0.0.1", 15432) == said


def test_the_primary_says_who_there_is() -> None:
    assert known({"a": (local(A), B)}, "a", before=(A, B, C)) == "a@h1:1 b@h2:2"


def test_without_the_primary_nobody_goes() -> None:
    assert known({"b": (local(B), A)}, None, before=(A, B, C)) == "a@h1:1 b@h2:2 c@h3:3"


def test_a_node_that_was_removed_and_runs_on_does_not_count_by_its_own_word() -> None:
    assert known({"a": (local(A), B), "c": (local(C), A)}, "a") == "a@h1:1 b@h2:2"


def test_a_standby_of_a_standby_is_known_by_the_one_that_it_follows() -> None:
    assert known({"a": (local(A), B), "b": (local(B), A, C), "c": (local(C), B)}, "a") == "a@h1:1 b@h2:2 c@h3:3"


def test_the_primary_knows_addresses_best() -> None:
    stale = Place("b", "old", 9)
    assert known({"a": (local(A), B), "c": (local(C), stale)}, "a") == "a@h1:1 b@h2:2"
    assert known({"c": (local(C), B)}, None, before=(stale,)) == "b@old:9 c@h3:3"
