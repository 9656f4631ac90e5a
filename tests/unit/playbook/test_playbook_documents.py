"""The shipped playbooks and docs/PLAYBOOKS.md: in order, complete, and the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helios_cli.commands._errors import Refused
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.playing import runs, shelf
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.playbook.conditions import LOAD_METRICS, METRICS, WHOLE
from helios_cli.engine.playbook.facts import Facts, NodeFact
from helios_cli.engine.playbook.journal import Entry, parse
from helios_cli.engine.playbook.plan import plan, settle
from helios_cli.engine.playbook.predict import predict
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


FOUR = Facts(
    (
        NodeFact("a", "primary", "serving", "sync", True, "1", 1, 100, 100, None, "x"),
        NodeFact("b", "standby", "streaming", "sync", True, "2", 1, 100, 100, 1.0, "x"),
        NodeFact("c", "standby", "streaming", "async", False, "3", 1, 100, 100, 1.0, "x"),
        NodeFact("o", "observer", "observing", "", False, "4", 1),
    ),
    ("a", "b", "c"),
)
DRILLS = {
    "disaster-recovery": {"drill": "true", "back": "true", "survivor": "c", "lost": "a,b,o"},
    "split-brain-recovery": {"drill": "true", "keep": "c", "wrong": "a", "others": "a,b,o"},
}


@pytest.mark.parametrize(("name", "text"), shelf.shipped().items(), ids=list(shelf.shipped()))
def test_a_whole_cluster_is_predicted_to_do_what_a_shipped_playbook_expects(name: str, text: str) -> None:
    playbook = read(name, text)
    found = predict(plan(playbook, settle(playbook, DRILLS.get(name, {}), FOUR), FOUR), FOUR)
    assert [(one.step.name, one.contradicted) for one in found if one.contradicted] == []


def test_one_playbook_at_a_time_writes_behind_the_last_whole_line(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path, ())
    run = runs.create(cluster, "x")
    with runs.Writer(cluster, run) as writer:
        writer.write(Entry(1.0, "ready", {}))
        other = runs.create(cluster, "y")
        with pytest.raises(Refused, match="a playbook runs on"):
            runs.Writer(cluster, other)
        assert not other.directory.exists()
    with run.journal.open("a") as file:
        file.write('{"at": 2, "ki')
    with runs.Writer(cluster, run) as writer:
        writer.write(Entry(3.0, "resumed", {}))
    assert [one.kind for one in parse(run.journal.read_text())] == ["ready", "resumed"]
