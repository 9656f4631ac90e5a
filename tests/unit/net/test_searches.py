"""The search for cyclic garbage is off while something large is built, and on again behind the last one."""

from __future__ import annotations

import gc

import pytest

from helios_cli.engine.net.interpreter import without_searches


def test_it_is_on_again_when_the_last_has_ended() -> None:
    assert gc.isenabled()
    with without_searches():
        assert not gc.isenabled()
        with without_searches():
            pass
        assert not gc.isenabled(), "another one still builds"
    assert gc.isenabled()


def test_an_error_leaves_it_on() -> None:
    with pytest.raises(ValueError), without_searches():
        raise ValueError
    assert gc.isenabled()
