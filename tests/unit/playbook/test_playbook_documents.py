"""The shipped playbooks and docs/PLAYBOOKS.md: in order, complete, and the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helios_cli.commands.playing import shelf
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.playbook.conditions import LOAD_METRICS, METRICS, WHOLE
from helios_cli.engine.playbook.read import STEP, TOP, read
from helios_cli.engine.playbook.words import ACTIONS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "PLAYBOOKS.md").read_text()


def table(name: str) -> str:
    return PAGE.partition(f"<!-- {name} -->")[2].partition("<!-- end -->")[0]


@pytest.mark.parametrize(("name", "text"), shelf.shipped().items(), ids=list(shelf.shipped()))
def test_a_shipped_playbook_is_in_order_and_explained(name: str, text: str) -> None:
    playbook = read(name, text)
    assert playbook.title != name and playbook.summary and playbook.needs
    assert [one.name for one in playbook.variables if not one.help] == []
    assert f"| `{name}` |" in table("shipped")


def test_the_page_names_every_word() -> None:
    for word, action in ACTIONS.items():
        row = next(line for line in table("actions").strip().splitlines() if f"`{word}`" in line.split("|")[1])
        assert all(f"`{key}`" in row for key in action.takes), word
        assert not action.inverse or f"`{action.inverse}`" in row, word
    words = set(re.findall(r"`([a-z_ ]+)`", PAGE))
    assert {*WHOLE, *METRICS, *LOAD_METRICS, *TOP, *STEP} - words - {"variables", "steps"} == set()


def test_the_playbook_of_the_page_is_in_order() -> None:
    example = PAGE.partition("```toml\n")[2].partition("```")[0]
    playbook = read("freeze", example)
    assert f"{len(playbook.steps)} steps, {len(playbook.variables)} variables" in PAGE


def test_a_playbook_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("title = 1\n")
    assert shelf.find(str(path)) == ("own", "title = 1\n")
    with pytest.raises(HeliosError, match="did you mean 'switchover'"):
        shelf.find("switchovr")
    with pytest.raises(HeliosError, match="cannot read"):
        shelf.find("./none.toml")
