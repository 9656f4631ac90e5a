"""A playbook's text: what is understood, and what is wrong with it, line by line."""

from __future__ import annotations

import pytest

from helios_cli.engine.playbook import values
from helios_cli.engine.playbook.lines import line_of, lines_of
from helios_cli.engine.playbook.read import Faulty, read

WHOLE = """\
title = "A test"
needs = ["healthy", "standbys >= ${many}"]
stop = { lag = "1MB" }

[variables]
many = 1
away = { default = "5s", help = "for how long" }
victim = "@primary"

[[steps]]
name = "load"
do = "workload"
load = "w"

[[steps]]
name = "kill"
do = "kill"
node = "${victim}"
expect = [
    "${victim} is down",
    "w is running",
]
stop = { outage = "${away}" }
undo = [{ do = "start", node = "${victim}" }]

[[steps]]
name = "end"
do = "finish"
load = "w"
expect = ["w.failed == 0"]
"""


def problems(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(Faulty) as caught:
        read("test", text)
    return [(one.line, one.text, one.hint) for one in caught.value.problems]


def test_a_whole_one_is_read() -> None:
    playbook = read("test", WHOLE)
    assert [one.name for one in playbook.steps] == ["load", "kill", "end"]
    assert {one.name: one.default for one in playbook.variables} == {"many": 1, "away": "5s", "victim": "@primary"}
    assert playbook.loads == ("w",) and playbook.steps[1].line == 15
    assert playbook.steps[1].undo is not None and playbook.steps[1].undo[0].do == "start"
    assert playbook.stop.beside(playbook.steps[1].stop).bounds == {"lag": "1MB", "outage": "${away}"}


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("title =", "titel =", 1, "a playbook has no 'titel'; did you mean 'title'?"),
        ('do = "kill"', 'do = "kil"', 17, "there is no action 'kil'; did you mean 'kill'?"),
        ("expect = [\n", "expects = [\n", 19, "has no 'expects'; did you mean 'expect'?"),
        ('"${victim} is down"', '"${victm} is down"', 19, "there is no variable 'victm'; did you mean 'victim'?"),
        ("w is running", "w is lost", 19, "'lost' is no state of a node"),
        ("w.failed == 0", "v.failed == 0", 30, "there is no workload 'v'"),
        ("w.failed == 0", "w.faild == 0", 30, "there is no number 'faild'"),
        ('"healthy"', '"helthy"', 2, "'helthy' is no condition"),
        ("${many}", "${mny}", 2, "there is no variable 'mny'; did you mean 'many'?"),
        ('lag = "1MB"', 'lag = "1 mile"', 3, "'1 mile' is not a size"),
        ("{ lag =", "{ lagg =", 3, "stop has no 'lagg'; did you mean 'lag'?"),
        ('node = "${victim}"\nexpect', "expect", 15, "'kill' needs 'node'"),
        ('undo = [{ do = "start", node', 'undo = [{ do = "start", nod', 24, "has no 'nod'; did you mean 'node'?"),
        ('name = "end"', 'name = "kill"', 26, "there is a step 'kill' already"),
        ('name = "end"\n', "", 26, "a step has a name"),
        ('load = "w"\nexpect', 'load = "x"\nexpect', 29, "no step starts a workload 'x'"),
        ('"@primary"', '"@primry"', 8, "'@primry' stands for no nodes; did you mean '@primary'?"),
        ("many = 1", "Many = 1", 6, "a variable cannot be called 'Many'"),
        ("[[steps]]", "[steps]", 10, "no TOML"),
    ],
)
def test_a_mistake_is_told_with_its_line(old: str, new: str, line: int, said: str) -> None:
    count = 1 if old != "[[steps]]" else -1
    found = problems(WHOLE.replace(old, new, count) if old != "[[steps]]" else WHOLE.replace(old, new, 2))
    assert any(at == line and said in text for at, text, _ in found) or said == "no TOML", found
    if said == "no TOML":
        assert "this is no TOML" in found[0][1]


def test_all_mistakes_are_told_at_once_and_the_first_in_the_error() -> None:
    text = WHOLE.replace("title", "titel").replace('do = "kill"', 'do = "slay"')
    assert [line for line, _, _ in problems(text)] == [1, 17]
    with pytest.raises(Faulty, match=r"test, line 1: .* \(and 1 more\)"):
        read("test", text)


def test_lines_of_tables_in_tables_and_of_values_over_several_lines() -> None:
    head = 'a = """\n[no]\nb = 1\n"""\n[t.u]\nc = [\n  "]", # ]\n]\n"d e".f = 1\n'
    text = head + "[[s]]\n[[s.x]]\ny = 1\n[[s]]\n[[s.x]]\n[[s.x]]\nz = 2\n"
    lines = lines_of(text)
    assert lines["a",] == 1 and lines["t", "u", "c"] == 6 and lines["t", "u", "d e", "f"] == 9
    assert lines["s", 0, "x", 0, "y"] == 12 and lines["s", 1, "x", 1, "z"] == 16
    assert ("b",) not in lines and line_of(lines, ("s", 1, "x", 1, "none", 3)) == 15


@pytest.mark.parametrize(
    ("text", "seconds"), [("20s", 20), ("500ms", 0.5), ("2 min", 120), ("1h", 3600), (3, 3), ("1.5", 1.5)]
)
def test_durations(text: object, seconds: float) -> None:
    assert values.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5 apples", "-1s", True, None, "5s5"])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        values.duration(text)


def test_variables_keep_their_kind_when_they_are_the_whole_value() -> None:
    known: dict[str, values.Value] = {"n": 3, "flag": True, "name": "a"}
    assert values.filled({"x": ["${n}", "${name}-${n}"], "y": "${flag}"}, known) == {"x": [3, "a-3"], "y": True}
    assert values.like("yes", True) is True and values.like("4", 3) == 4 and values.like("2min", "5s") == "2min"
    for wrong, default in (("maybe", True), ("many", 3), ("soon", "5s")):
        with pytest.raises(ValueError, match="is n"):
            values.like(wrong, default)
