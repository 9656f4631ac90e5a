"""Whether observers agree on one primary, by what each of them says."""

from __future__ import annotations

from typing import Any

import pytest

from helios_cli.engine.errors import ConfigError
from helios_cli.replication import ObserverConfig
from helios_cli.replication.protection import judge


def told(primary: str = "n1", term: int = 3, *, hears: bool = True, **more: Any) -> dict[str, Any]:
    known = {"role": "observer", "cluster_id": "c", "term": term, "primary_id": primary, "reaches_primary": hears}
    return known | more


def test_a_quorum_hears_one_primary() -> None:
    found = judge({"a": told(), "b": told(), "c": told(hears=False)}, 2)
    assert (found.primary, found.term, found.agreeing, found.has_quorum) == ("n1", 3, ("a", "b"), True)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({}, "0 observers answer, and 2 are needed"),
        ({"a": told()}, "1 observers answer, and 2 are needed"),
        ({"a": told(), "b": told(hears=False)}, "1 observers hear one primary in term 3, and 2 are needed"),
        ({"a": told("n1"), "b": told("n2")}, "1 observers hear one primary in term 3, and 2 are needed"),
        # The newer term is promised to somebody: what is heard in the older one counts no more.
        ({"a": told(), "b": told(), "c": told(term=4, hears=False)}, "0 observers hear one primary in term 4"),
        ({"a": told(), "b": told(cluster_id="d")}, "the observers belong to different clusters"),
        ({"a": told(), "b": told(role="standby")}, "b: this is no observer"),
    ],
)
def test_there_is_no_quorum(answers: dict[str, Any], problem: str) -> None:
    found = judge(answers, 2)
    assert found.primary == "" and not found.has_quorum
    assert found.problem.startswith(problem)


def test_addresses_and_sizes_are_checked() -> None:
    config = ObserverConfig(
        observers=["observer1.example.com", "observer2.example.com:9090", "[::1]:9091"], quorum_size=2
    )
    assert config.observers == ("observer1.example.com:8080", "observer2.example.com:9090", "[::1]:9091")
    for size in (0, 1, 3):
        with pytest.raises(ConfigError, match="quorum_size must be a majority of the 2 observers"):
            ObserverConfig(observers=["a", "b"], quorum_size=size)
    with pytest.raises(ConfigError, match="names one twice"):
        ObserverConfig(observers=["a", "a:8080"], quorum_size=2)
    with pytest.raises(ConfigError, match="above zero"):
        ObserverConfig(observers=["a"], quorum_size=1, check_interval_s=0)
