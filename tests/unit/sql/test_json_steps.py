"""JSON that comes in pieces is the value that it would be at one go, wherever it is cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_cli.engine.sql import json_steps

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


def cut(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


@given(VALUES, st.integers(1, 30), st.integers(1, 30))
def test_it_is_what_it_would_be_at_one_go(value: Any, size: int, piece: int) -> None:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    kept, json_steps.PIECE = json_steps.PIECE, piece  # type: ignore[misc]
    try:
        assert json_steps.load(cut(text, size)) == value
    finally:
        json_steps.PIECE = kept  # type: ignore[misc]


@pytest.mark.parametrize("text", ["", "[1,2", '{"a":1', '"abc', "[1;2]", '{"a"1}', '[1,{"a":[2,3}]', "nul"])
@pytest.mark.parametrize("piece", [1, 4, 1000])
def test_what_is_no_json_is_told(text: str, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_steps, "PIECE", piece)
    with pytest.raises(ValueError):
        json_steps.load(cut(text, 3))


def test_a_long_list_is_read_an_item_at_a_time() -> None:
    """The longest stretch at which the interpreter is kept is a piece, not the list."""
    text = json.dumps({"list": list(range(100_000)), "last": "x" * 300_000}, separators=(",", ":"))
    asked: list[int] = []

    def pieces() -> Iterator[str]:
        for piece in cut(text, json_steps.PIECE):
            asked.append(len(piece))
            yield piece

    reader = json_steps.load(pieces())
    assert reader["list"][-1] == 99_999 and len(reader["last"]) == 300_000
    assert len(asked) > 10
