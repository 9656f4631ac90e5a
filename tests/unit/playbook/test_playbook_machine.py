"""A run as a machine: what it does and writes, and that one made again from any part of its journal ends alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from helios_cli.engine.playbook import journal
from helios_cli.engine.playbook.facts import Facts, LoadFact, NodeFact
from helios_cli.engine.playbook.journal import Entry
from helios_cli.engine.playbook.machine import Act, End, Key, Machine, Outcome, Record
from helios_cli.engine.playbook.model import Do
from helios_cli.engine.playbook.plan import Plan, as_record, from_record, plan, settle
from helios_cli.engine.playbook.read import read
from helios_cli.engine.playbook.report import markdown, report

THREE = Facts(
    (
        NodeFact("a", "primary", "serving", "sync", True, "1", 1, 100, 100),
        NodeFact("b", "standby", "streaming", "sync", True, "2", 1, 100, 100),
        NodeFact("c", "standby", "streaming", "async", False, "3", 1, 100, 100),
    ),
    ("a", "b", "c"),
)

DRILL = """
needs = ["healthy"]
stop = { lag = "1kB" }
[[steps]]
name = "freeze"
do = "freeze"
node = "@"
expect = ["c is frozen"]
[[steps]]
name = "rest"
do = "wait"
time = "5s"
[[steps]]
name = "kill"
do = "kill"
node = "b"
expect = ["b is down"]
timeout = "9s"
parallel = "both"
[[steps]]
name = "later"
do = "pause"
delay = "3s"
parallel = "both"
[[steps]]
name = "run"
do = "command"
run = ["true"]
[[steps]]
name = "never"
do = "kill"
node = "a"
when = false
"""


def planned(text: str = DRILL, facts: Facts = THREE) -> Plan:
    playbook = read("drill", text.replace('"@"', '"c"'))
    return plan(playbook, settle(playbook, {}, facts), facts)


@dataclass
class World:
    """A cluster of names, which does what it is told at once, and a runner around a machine."""

    facts: Facts = THREE
    now_s: float = 1000.0
    entries: list[Entry] = field(default_factory=list)
    done: list[Do] = field(default_factory=list)
    outcome: Outcome | None = None

    def set(self, name: str, **changes: object) -> None:
        nodes = [replace(one, **changes) if one.name == name else one for one in self.facts.nodes]  # type: ignore[arg-type]
        self.facts = self.facts.with_nodes(nodes)

    def do(self, action: Do) -> None:
        self.done.append(action)
        name = str(action.arguments.get("node", ""))
        match action.do:
            case "kill":
                self.set(name, state="down", process="")
            case "start":
                self.set(name, state="streaming", process=f"{name}-new")
            case "freeze":
                self.set(name, state="frozen")
            case "thaw":
                self.set(name, state="streaming")
            case "pause" | "resume":
                self.facts = replace(self.facts, paused=action.do == "pause")
            case _:
                pass

    def obey(self, machine: Machine, effects: Sequence[object], failing: str = "") -> None:
        for effect in effects:
            if isinstance(effect, Record):
                self.entries.append(effect.entry)
            elif isinstance(effect, Act):
                wrong = effect.action.do == failing
                if not wrong:
                    self.do(effect.action)
                self.obey(machine, machine.acted(self.now_s, effect.key, "it broke" if wrong else None), failing)
            else:
                assert isinstance(effect, End)
                self.outcome = effect.outcome

    def run(self, machine: Machine, failing: str = "", seconds: float = 60.0) -> Outcome:
        end = self.now_s + seconds
        while self.outcome is None:
            self.obey(machine, machine.seen(self.now_s, self.facts), failing)
            self.now_s += 0.5
            assert self.now_s < end, "it does not end"
        return self.outcome

    def did(self) -> list[str]:
        return [f"{one.do} {one.arguments.get('node', '')}".strip() for one in self.done]


def phases(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    for one in journal.of_kind(entries, "step"):
        yield str(one.fields["name"]), str(one.fields["phase"])


def test_steps_are_done_in_their_order_each_written_down_before_it_is_done() -> None:
    world = World()
    machine = Machine(planned())
    effects = machine.seen(world.now_s, world.facts)
    acts = [place for place, one in enumerate(effects) if isinstance(one, Act)]
    wrote = [one.entry.fields.get("phase") if isinstance(one, Record) else "act" for one in effects]
    assert len(acts) == 1 and wrote[acts[0] - 1] == "acting"
    world.obey(machine, effects)
    assert world.run(machine) is Outcome.DONE
    assert world.did() == ["freeze c", "kill b", "pause", "command"]
    assert ("never", "left out") in set(phases(world.entries))
    begun = {
        name: one.at_s for one in world.entries if one.fields.get("phase") == "acting" for name in [one.fields["name"]]
    }
    assert begun["kill"] - begun["rest"] >= 5 and begun["later"] - begun["kill"] >= 3


def test_what_a_playbook_needs_is_waited_for_a_moment_and_then_it_is_refused() -> None:
    world = World()
    world.set("b", state="down")
    assert world.run(Machine(planned())) is Outcome.REFUSED
    assert world.done == [] and world.entries[-1].fields["reason"] == "the playbook needs: healthy"


def test_a_step_that_fails_has_all_that_was_done_undone_the_last_first() -> None:
    world = World()
    assert world.run(Machine(planned()), failing="command") is Outcome.FAILED
    assert world.did() == ["freeze c", "kill b", "pause", "resume", "start b", "thaw c"]
    assert world.entries[-1].fields["reason"] == "run: it broke"


def test_an_effect_that_does_not_come_is_a_timeout() -> None:
    world = World()
    plain = planned(DRILL.replace("b is down", "c is down"))
    assert world.run(Machine(plain)) is Outcome.TIMEOUT
    assert world.entries[-1].fields["reason"] == "kill: not within 9.0 s: c is down"
    assert world.did()[-3:] == ["resume", "start b", "thaw c"]


def test_a_bound_that_is_passed_ends_the_run_and_undoes_it() -> None:
    world = World()
    machine = Machine(planned())
    for _ in range(4):
        world.obey(machine, machine.seen(world.now_s, world.facts))
        world.now_s += 0.5
    world.set("a", flushed=5000)
    assert world.run(machine) is Outcome.STOPPED
    assert world.entries[-1].fields["reason"] == "rest: the lag of a standby is 4900 B, more than 1kB"
    assert world.did() == ["freeze c", "thaw c"]


def test_an_interrupt_undoes_too() -> None:
    world = World()
    machine = Machine(planned())
    world.obey(machine, machine.seen(world.now_s, world.facts))
    world.obey(machine, machine.interrupt(world.now_s))
    assert world.run(machine) is Outcome.INTERRUPTED and world.did() == ["freeze c", "thaw c"]


def test_a_run_that_is_made_again_from_any_part_of_its_journal_ends_in_the_same_state() -> None:
    """The runner dies behind each entry: before its action is done, and after."""
    whole = World()
    whole.run(Machine(planned()))
    count = len(whole.entries)
    assert count > 15
    again = 'run = ["true"]\nagain = true'
    for cut in range(count):
        for acted in (False, True):
            world = World()
            self_made = from_record(as_record(planned(DRILL.replace('run = ["true"]', again))))
            machine = Machine(self_made)
            _die_behind(world, machine, cut, acted)
            text = "".join(one.line() for one in world.entries)
            entries = journal.parse(text + '{"at": 1, "kind": "st')  # and a torn line
            world.now_s += 30
            later = Machine(self_made, entries, world.now_s)
            if world.outcome is None:
                assert world.run(later) is Outcome.DONE, (cut, acted)
            assert world.facts == whole.facts, (cut, acted)
            assert world.did().count("kill b") <= 1 + (not acted), (
                cut,
                acted,
                "a kill that had its effect is not repeated",
            )


def test_a_run_that_goes_back_goes_on_going_back() -> None:
    """The runner dies behind each entry of a run whose last action fails: all is undone in the end."""
    whole = World()
    assert whole.run(Machine(planned()), failing="command") is Outcome.FAILED
    begin = next(place for place, one in enumerate(whole.entries) if one.kind == "failing")
    for cut in range(begin, len(whole.entries) - 1):
        world = World(replace(whole.facts, paused=True), whole.entries[cut].at_s + 30, whole.entries[: cut + 1])
        for name, state in (("b", "down"), ("c", "frozen")):
            world.set(name, state=state)
        undone = [one.fields for one in journal.of_kind(world.entries, "undo") if one.fields["came"] == "done"]
        assert world.run(Machine(planned(), world.entries, world.now_s)) is Outcome.FAILED
        assert world.did() == ["resume", "start b", "thaw c"][len(undone) :], cut
        assert world.entries[-1].fields["reason"] == "run: it broke"


def test_of_parallel_steps_that_fail_the_first_is_why() -> None:
    machine = Machine(planned(DRILL.replace('delay = "3s"\n', "")))
    world = World()
    acting: list[Key] = []
    while len(acting) < 3:
        for effect in machine.seen(world.now_s, world.facts):
            if isinstance(effect, Act):
                acting.append(effect.key)
                if effect.action.do == "freeze":
                    world.do(effect.action)
                    machine.acted(world.now_s, effect.key, None)
        world.now_s += 0.5
    machine.acted(world.now_s, acting[1], "first")
    assert not [one for one in machine.seen(world.now_s, world.facts) if isinstance(one, Act)], (
        "the other is waited for"
    )
    machine.acted(world.now_s, acting[2], "second")
    assert machine.failing == (Outcome.FAILED, "kill: first")
    assert [one.action.do for one in machine.seen(world.now_s, world.facts) if isinstance(one, Act)] == ["resume"]


def _die_behind(world: World, machine: Machine, count: int, acted: bool) -> None:
    """Run until so many entries are written; ``acted``: the action behind the last one is done, untold."""
    while True:
        pending = list(machine.seen(world.now_s, world.facts))
        while pending:
            effect = pending.pop(0)
            if isinstance(effect, Record):
                world.entries.append(effect.entry)
            elif isinstance(effect, Act):
                if len(world.entries) > count:
                    if acted:
                        world.do(effect.action)
                    return
                world.do(effect.action)
                pending += machine.acted(world.now_s, effect.key, None)
            else:
                world.outcome = effect.outcome
                return
        if len(world.entries) > count:
            return
        world.now_s += 0.5


def test_a_command_of_which_nobody_knows_whether_it_was_done_is_not_done_again() -> None:
    world = World()
    machine = Machine(planned())
    while not any(one.fields.get("name") == "run" and one.fields["phase"] == "acting" for one in world.entries):
        for effect in machine.seen(world.now_s, world.facts):
            if isinstance(effect, Record):
                world.entries.append(effect.entry)
            elif isinstance(effect, Act) and effect.action.do != "command":
                world.do(effect.action)
                world.obey(machine, machine.acted(world.now_s, effect.key, None))
        world.now_s += 0.5
    later = Machine(planned(), world.entries, world.now_s)
    assert world.run(later) is Outcome.FAILED
    assert "nobody knows whether it was done: run true" in world.entries[-1].fields["reason"]
    assert world.did()[-3:] == ["resume", "start b", "thaw c"]


def test_an_action_that_does_not_return_is_given_up() -> None:
    world = World()
    machine = Machine(planned(DRILL.replace('expect = ["c is frozen"]', 'timeout = "4s"')))
    hung: list[Key] = []
    while machine.outcome is None and world.now_s < 1200:
        for effect in machine.seen(world.now_s, world.facts):
            if isinstance(effect, Act):
                hung.append(effect.key)
                if effect.key[1] >= 0:
                    machine.acted(world.now_s, effect.key, None)
        world.now_s += 0.5
    assert machine.outcome is Outcome.TIMEOUT and hung == [(0, -1), (0, 0)]
    assert machine.failing is not None and "freeze c did not end within 4.0 s" in machine.failing[1]


@pytest.mark.parametrize(("bound", "value"), [("rpo", 900), ("outage", 31.0), ("error_rate", 0)])
def test_other_bounds(bound: str, value: float) -> None:
    facts = THREE.with_nodes([replace(THREE.nodes[0], committed=1000), *THREE.nodes[1:]])
    facts = replace(facts, unled_s=value, loads={"a": LoadFact(True, 60, 0), "b": LoadFact(True, 40, 2)})
    text = {"rpo": "899B", "outage": "30s", "error_rate": "1.9%"}[bound]
    playbook = read("b", f'stop = {{ {bound} = "{text}" }}\n[[steps]]\nname = "w"\ndo = "wait"\n')
    assert playbook.stop.passed(facts) is not None
    assert playbook.stop.passed(THREE) is None


def test_the_report_has_the_times_of_the_journal() -> None:
    world = World()
    plain = planned()
    world.entries.append(Entry(world.now_s, "began", {"run": "r", "cluster": "c", "plan": as_record(plain)}))
    world.run(Machine(plain))
    found = report(world.entries, {}, {})
    times = {one["name"]: (one["at_s"], one["took_s"]) for one in found["steps"]}
    assert times["freeze"] == (0.0, 0.5) and times["rest"] == (0.5, 5.0) and times["never"] == (None, None)
    assert times["later"][0] == times["kill"][0] + 3
    assert found["outcome"] == "done" and "| 0.0 s | freeze | freeze c | done |" in markdown(found)
