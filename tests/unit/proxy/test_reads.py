"""Which nodes a read may go to."""

from __future__ import annotations

import pytest

from helios_cli.engine.proxy.reads import Limits, Reader, readers

PRIMARY = Reader("p", True, True)
NEAR, FAR = Reader("near", False, True, 10, 5.0), Reader("far", False, True, 5000, 9000.0)
OLD = Reader("old", False, False)


def names(*nodes: Reader, limits: Limits = Limits(), read_from_primary: bool = True) -> str:  # noqa: B008
    return " ".join(readers(nodes, limits, read_from_primary=read_from_primary))


@pytest.mark.parametrize("limits", [Limits(1000, None), Limits(None, 100.0), Limits(1000, 100.0), Limits(10, 5.0)])
def test_who_lags_more_than_allowed_is_left_out(limits: Limits) -> None:
    assert names(NEAR, PRIMARY, FAR, limits=limits) == "near p"
    assert names(NEAR, PRIMARY, FAR) == "near p far"


def test_the_primary_is_left_alone_while_a_standby_can_be_asked() -> None:
    assert names(PRIMARY, NEAR, read_from_primary=False) == "near"
    assert names(PRIMARY, FAR, limits=Limits(1000), read_from_primary=False) == "p"
    assert names(PRIMARY, OLD, read_from_primary=False) == "p"


def test_an_older_term_is_read_from_when_there_is_nothing_else() -> None:
    assert names(PRIMARY, OLD, NEAR) == "p near"
    assert names(OLD) == "old"
    assert names(OLD, read_from_primary=False) == "old"
    assert names() == ""
