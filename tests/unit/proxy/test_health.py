"""When a node is called unhealthy, and how often it is asked."""

from __future__ import annotations

from helios_cli.engine.proxy.health import RETRY_MAX_S, RETRY_S, Health, Told


def test_it_is_said_once_and_after_the_threshold() -> None:
    health = Health(3)
    assert health.answered() is Told.HEALTHY
    assert [health.failed() for _ in range(5)] == [Told.NOTHING] * 2 + [Told.UNHEALTHY] + [Told.NOTHING] * 2
    assert not health.is_answering
    assert health.answered() is Told.HEALTHY
    assert health.answered() is Told.NOTHING


def test_statements_do_not_wait_for_the_threshold() -> None:
    health = Health(3)
    health.answered()
    health.broke()
    assert not health.is_answering
    assert health.failures == 0
    assert health.answered() is Told.NOTHING, "it was never said to be unhealthy"


def test_failures_count_in_a_row() -> None:
    health = Health(2)
    assert [health.failed(), health.answered(), health.failed(), health.failed()] == [
        Told.NOTHING,
        Told.HEALTHY,
        Told.NOTHING,
        Told.UNHEALTHY,
    ]


def test_a_threshold_of_nothing_is_one() -> None:
    assert Health(0).failed() is Told.UNHEALTHY


def test_attempts_become_rarer_up_to_a_limit() -> None:
    health = Health(3)
    assert health.retry_s == 0.0
    waits = []
    for _ in range(200):
        health.failed()
        waits.append(health.retry_s)
    assert waits[0] == RETRY_S
    assert waits == sorted(waits)
    assert waits[-1] == RETRY_MAX_S
