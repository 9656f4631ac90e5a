"""A playbook and what a run was told → the steps of that run: nodes named, variables filled, each step by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.playbook import conditions, values
from helios_cli.engine.playbook.conditions import Condition
from helios_cli.engine.playbook.facts import Facts
from helios_cli.engine.playbook.model import Do, Playbook, Step, Stop
from helios_cli.engine.playbook.values import Value
from helios_cli.engine.playbook.words import ACTIONS, nodes_of, sentence


@dataclass(frozen=True, slots=True)
class Planned:
    """One step of a run."""

    name: str
    action: Do
    needs: tuple[Condition, ...]
    expect: tuple[Condition, ...]
    timeout_s: float
    delay_s: float
    stop: Stop
    undo: tuple[Do, ...]
    wanted: bool
    """False: ``when`` leaves it out."""

    @property
    def sentence(self) -> str:
        """What it does, in a few words."""
        return sentence(self.action.do, self.action.arguments)


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps of a run."""

    playbook: str
    """Its name."""
    title: str
    variables: Mapping[str, Value]
    """With the nodes that ``@primary`` and the like stood for."""
    loads: tuple[str, ...]
    """Names of the workloads."""
    needs: tuple[Condition, ...]
    steps: tuple[Planned, ...]
    groups: tuple[tuple[int, ...], ...]
    """Numbers of steps: those of a group are done at the same time, the groups one after the other."""


class WrongVariable(HeliosError):
    """A run was told something that does not fit its playbook."""

    sqlstate = "F0000"


def settle(playbook: Playbook, given: Mapping[str, str], facts: Facts) -> dict[str, Value]:
    """The value of every variable: what was given, else the default; ``@primary`` and the like become nodes.

    Raises:
        WrongVariable: a name or a value does not fit.
        HeliosError: there is no such node now (55000).
    """
    known = {one.name: one for one in playbook.variables}
    for name in given:
        if name not in known:
            near = get_close_matches(name, list(known), 1)
            raise WrongVariable(
                f"{playbook.name} has no variable {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
                hint=f"It has: {', '.join(known)}." if known else "It has none.",
            )
    found: dict[str, Value] = {}
    for name, one in known.items():
        try:
            value = values.like(given[name], one.default) if name in given else one.default
        except ValueError as error:
            raise WrongVariable(f"{name}: {error}", hint=f"Its default is {values.text(one.default)}.") from None
        if isinstance(value, str) and value.startswith("@"):
            value = ",".join(chosen(value, facts))
        found[name] = value
    return found


MAY_BE_EMPTY: Final = ("@observers", "@deposed", "@others")
MEANT: Final = {"@primary": "node leads", "@survivor": "data node runs"}


def _choices(facts: Facts) -> dict[str, list[str]]:
    primary, standbys = facts.primary, [one.name for one in facts.standbys]
    leads = [] if primary is None else [primary.name]
    alive = [one for one in facts.data_nodes if one.runs and one.term]
    furthest = max(alive, key=lambda one: (one.leads, one.term, one.flushed), default=None)
    return {
        "@primary": leads,
        "@standby": standbys[:1],
        "@last-standby": standbys[-1:],
        "@survivor": [] if furthest is None else [furthest.name],
        "@standbys": standbys[::-1],
        "@nodes": [*standbys[::-1], *leads],
        "@all": [one.name for one in facts.nodes],
        "@others": [one.name for one in facts.nodes if one is not primary],
        "@observers": [one.name for one in facts.nodes if one.role == "observer"],
        "@deposed": [one.name for one in facts.nodes if one.leads and one is not primary],
    }


def chosen(choice: str, facts: Facts) -> list[str]:
    """The nodes that a word such as ``@primary`` stands for now.

    Raises:
        HeliosError: there is none (55000), or no such word (F0000).
    """
    known = _choices(facts)
    if choice not in known:
        raise WrongVariable(f"{choice!r} stands for no nodes", hint=f"There are: {', '.join(known)}.")
    if not known[choice] and choice not in MAY_BE_EMPTY:
        raise HeliosError(
            f"no {MEANT.get(choice, 'standby follows')} now, which {choice} would be", sqlstate="55000",
            hint="heliosdb-nano cluster status shows how it is; --set names a node.",
        )  # fmt: skip
    return known[choice]


def plan(playbook: Playbook, variables: Mapping[str, Value], facts: Facts) -> Plan:
    """The steps, with each variable's value in its place.

    Raises:
        WrongVariable: a value makes no sense where it stands.
        HeliosError: a step names a node that there is not (42704).
    """
    steps: list[Planned] = []
    groups: list[list[int]] = []
    before = ""
    for step in playbook.steps:
        for own in _each(step, variables, facts):
            try:
                steps.append(_planned(step, playbook, {**variables, **own}))
            except ValueError as error:
                raise WrongVariable(f"line {step.line}, {step.name}: {error}") from None
            if step.parallel and step.parallel == before:
                groups[-1].append(len(steps) - 1)
            else:
                groups.append([len(steps) - 1])
            before = step.parallel
    _refuse_unknown_nodes(steps, facts)
    try:
        needs = _conditions(playbook.needs, playbook, variables)
    except ValueError as error:
        raise WrongVariable(f"needs: {error}") from None
    return Plan(
        playbook.name, playbook.title, variables, playbook.loads, needs, tuple(steps), tuple(map(tuple, groups))
    )


def _each(step: Step, variables: Mapping[str, Value], facts: Facts) -> Iterator[dict[str, Value]]:
    """The variables that each of the steps has besides; one step without any when there is no ``each``."""
    if not step.each:
        yield {}
        return
    value = str(values.filled(step.each, variables))
    for name in chosen(value, facts) if value.startswith("@") else nodes_of({"node": value}):
        yield {"node": name}


def _planned(step: Step, playbook: Playbook, variables: Mapping[str, Value]) -> Planned:
    action = _checked(Do(step.action.do, values.filled(step.action.arguments, variables)))
    wanted = values.filled(step.when, variables)
    stop = Stop(values.filled(playbook.stop.beside(step.stop).bounds, variables))
    stop.check()
    return Planned(
        str(values.filled(step.name, variables)) + _of_node(step, variables),
        action,
        _conditions(step.needs, playbook, variables),
        _built_in(action, playbook) + _conditions(step.expect, playbook, variables),
        _timeout(step, action, variables),
        values.duration(values.filled(step.delay, variables)),
        stop,
        _undo(step, action, variables),
        values.text(wanted) == "true",
    )  # fmt: skip


def _of_node(step: Step, variables: Mapping[str, Value]) -> str:
    """What tells the steps of one ``each`` apart."""
    return f" {variables['node']}" if step.each and "${node}" not in step.name else ""


def _built_in(action: Do, playbook: Playbook) -> tuple[Condition, ...]:
    """What is expected of an action whatever the step says."""
    texts = {"workload": "{}.total > 0", "finish": "{} is finished"}
    text = texts.get(action.do)
    return () if text is None else (conditions.parse(text.format(action.arguments["load"]), playbook.loads),)


def _timeout(step: Step, action: Do, variables: Mapping[str, Value]) -> float:
    default = ACTIONS[action.do].timeout_s
    return default if step.timeout is None else values.duration(values.filled(step.timeout, variables))


def _undo(step: Step, action: Do, variables: Mapping[str, Value]) -> tuple[Do, ...]:
    """What a step is undone by: what it says, else the inverse of its action with the same arguments."""
    if step.undo is not None:
        return tuple(_checked(Do(one.do, values.filled(one.arguments, variables))) for one in step.undo)
    inverse = ACTIONS[action.do].inverse
    if not inverse:
        return ()
    taken = ACTIONS[inverse].takes
    arguments = {key: one for key, one in action.arguments.items() if key in taken}
    return (Do(inverse, {**arguments, "now": True} if inverse == "finish" else arguments),)


def _checked(action: Do) -> Do:
    for key, value in action.arguments.items():
        ACTIONS[action.do].takes[key](value)
    return action


def _conditions(texts: tuple[str, ...], playbook: Playbook, variables: Mapping[str, Value]) -> tuple[Condition, ...]:
    return tuple(conditions.parse(str(values.filled(f" {one}", variables)), playbook.loads) for one in texts)


def _refuse_unknown_nodes(steps: list[Planned], facts: Facts) -> None:
    """Complain of a node that is not in the cluster, and that no step adds."""
    known = [one.name for one in facts.nodes]
    known += [str(one.action.arguments["node"]) for one in steps if one.action.do == "add-standby"]
    for step in steps:
        for action in (step.action, *step.undo):
            for key in ACTIONS[action.do].names_nodes:
                for name in nodes_of(action.arguments, key):
                    if name not in known and name != "proxy":
                        raise HeliosError(
                            f"{step.name}: there is no node {name!r} in the cluster", sqlstate="42704",
                            hint=f"Its nodes are {', '.join(known)}.",
                        )  # fmt: skip


def as_record(plan: Plan) -> dict[str, Any]:
    """A plan for programs, and for the journal."""
    return {
        "playbook": plan.playbook, "title": plan.title, "variables": dict(plan.variables), "loads": list(plan.loads),
        "needs": [one.text for one in plan.needs], "groups": [list(group) for group in plan.groups],
        "steps": [_step_record(one) for one in plan.steps],
    }  # fmt: skip


def _step_record(step: Planned) -> dict[str, Any]:
    return {
        "name": step.name, "sentence": step.sentence, "action": _do_record(step.action),
        "needs": [one.text for one in step.needs], "expect": [one.text for one in step.expect],
        "timeout_s": step.timeout_s, "delay_s": step.delay_s, "stop": dict(step.stop.bounds),
        "undo": [_do_record(one) for one in step.undo], "wanted": step.wanted,
    }  # fmt: skip


def _do_record(action: Do) -> dict[str, Any]:
    return {"do": action.do, **action.arguments}


def from_record(record: Mapping[str, Any]) -> Plan:
    """The plan of a record. Raises KeyError, TypeError and ValueError for another one."""
    loads = tuple(record["loads"])
    steps = tuple(_step_of(one, loads) for one in record["steps"])
    needs = tuple(conditions.parse(one, loads) for one in record["needs"])
    groups = tuple(tuple(int(number) for number in group) for group in record["groups"])
    return Plan(str(record["playbook"]), str(record["title"]), record["variables"], loads, needs, steps, groups)


def _step_of(record: Mapping[str, Any], loads: tuple[str, ...]) -> Planned:
    needs, expect = (tuple(conditions.parse(one, loads) for one in record[key]) for key in ("needs", "expect"))
    return Planned(
        str(record["name"]), _do_of(record["action"]), needs, expect, float(record["timeout_s"]),
        float(record["delay_s"]), Stop(record["stop"]), tuple(map(_do_of, record["undo"])), bool(record["wanted"]),
    )  # fmt: skip


def _do_of(record: Mapping[str, Any]) -> Do:
    return Do(str(record["do"]), {key: one for key, one in record.items() if key != "do"})
