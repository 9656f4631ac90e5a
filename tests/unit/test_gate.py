"""The gate before a node's calls to others: whose bytes are lost, what ends when it opens, and who may shut it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.gate import NAME, Cuts, Gate

PLACES = {"a": ["127.0.0.1", 1], "b": ["127.0.0.1", 2], "c": ["10.0.0.3", 3]}


@dataclass(eq=False)
class Link:
    """A call, as the gate needs it."""

    mute: bool = False
    deaf: bool = False
    ends: int = 0

    def cut_off(self) -> None:
        self.ends += 1


def lost(*pairs: str) -> dict[str, Any]:
    """The order that what the first of each two letters sends to the second is lost."""
    return {"lost": [list(pair) for pair in pairs], "places": PLACES}


def untold(*_: object, **__: object) -> None:
    pass


def gate(directory: Path, *, faults: bool = True) -> Gate:
    made = Gate()
    made.open_for(str(directory) if faults else None, "a")
    return made


def test_whose_bytes_are_lost() -> None:
    cuts = Cuts.of(lost("ab", "ca"))
    assert [cuts.towards("a", other) for other in ("b", "c", None)] == [(True, False), (False, True), (False, False)]
    assert cuts.towards("b", "a") == (False, True)
    assert [cuts.name_at("localhost", 2), cuts.name_at("10.0.0.3", 3), cuts.name_at("10.0.0.4", 3)] == ["b", "c", None]
    assert Cuts.of(cuts.record()) == cuts
    wrongs: list[dict[str, Any]] = [
        {}, {"lost": [["a"]], "places": {}}, {"lost": 3, "places": {}}, {"lost": [], "places": []},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(HeliosError, match="these are no cuts") as caught:
            Cuts.of(wrong)
        assert caught.value.sqlstate == "22023"


def test_only_a_node_that_was_started_for_it_lets_its_links_be_cut(tmp_path: Path) -> None:
    with pytest.raises(HeliosError, match="does not let its links be cut") as caught:
        gate(tmp_path, faults=False).change(lost("ab"), untold)
    assert caught.value.sqlstate == "55000" and not (tmp_path / NAME).exists()
    gate(tmp_path).change(lost("ab"), untold)
    assert gate(tmp_path).told() == "a -x> b", "a restart does not mend it"
    assert gate(tmp_path, faults=False).told() == ""
    (tmp_path / NAME).write_text("torn {")
    assert gate(tmp_path).told() == ""


@pytest.mark.asyncio
async def test_links_fall_silent_and_end_when_they_are_mended(tmp_path: Path) -> None:
    own, to_b, to_c = gate(tmp_path), Link(), Link()
    own.called(to_b, "127.0.0.1", 2)
    own.called(to_c, "10.0.0.3", 3)

    def states() -> list[tuple[bool, bool, int]]:
        return [(one.mute, one.deaf, one.ends) for one in (to_b, to_c)]

    told: list[str] = []
    assert own.change(lost("ab", "ba", "bc"), lambda _kind, text, **_: told.append(text))["lost"] == [
        ["a", "b"],
        ["b", "a"],
        ["b", "c"],
    ]
    assert states() == [(True, True, 0), (False, False, 0)], "the others' link is not ours"
    assert told == ["links are cut on purpose: a x b"]
    late = Link()
    own.called(late, "localhost", 2)
    assert late.mute and late.deaf
    own.change(lost("ab"), untold)
    await asyncio.sleep(0)
    assert states()[0] == (True, True, 1), "no byte goes through a link of which bytes are lost"
    own.change(lost("ca"), untold)
    await asyncio.sleep(0)
    assert states()[1] == (False, True, 0)
    own.change(lost("bc"), lambda kind, text, **_: told.append(f"{kind}: {text}"))
    assert told[1:] == ["links_mended: links are no longer cut: a <x- c"]
    own.change(lost("ca"), untold)
    assert json.loads((tmp_path / NAME).read_text())["lost"] == [["c", "a"]]


@pytest.mark.asyncio
async def test_a_call_waits_before_the_gate(tmp_path: Path) -> None:
    own = gate(tmp_path)
    async with asyncio.timeout(10):
        await own.passes("127.0.0.1", 2)
        for way in ("ab", "ba"):
            own.change(lost(way), untold)
            await own.passes("10.0.0.3", 3)
            call = asyncio.ensure_future(own.passes("127.0.0.1", 2))
            done, _ = await asyncio.wait((call,), timeout=0.12)
            assert not done, "one that hears no answer cannot connect either"
            own.change(lost(), untold)
            await call


@pytest.mark.asyncio
async def test_what_is_handed_on_is_cut_and_mended_as_before(tmp_path: Path) -> None:
    own, first, second = gate(tmp_path), Link(), Link()
    own.called(first, "127.0.0.1", 2)
    own.change(lost("ab"), untold)
    own.handed_on(first, second)
    assert (second.mute, second.deaf) == (True, False)
    own.change(lost("ba"), untold)
    await asyncio.sleep(0)
    assert (first.ends, second.ends) == (0, 1), "whose connection it is now"
    own.handed_on(Link(), third := Link())
    assert not third.mute
