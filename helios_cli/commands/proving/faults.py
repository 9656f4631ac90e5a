"""The faults of a proof: what each does to a cluster, and what undoes it.

Each has several variants, which come by turns: the first round kills the primary, the second a standby, and so on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from helios_cli.commands.local import observation, partitions
from helios_cli.commands.proving import dials, rig
from helios_cli.commands.proving.stage import FORWARDING, Scene, Stage
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.errors import HeliosError

FROZEN_S: Final = 4.0
"""Longer than a primary that nobody hears of keeps its lease."""
CUT_S: Final = 4.0
HOUR_S: Final = 3600.0
LATER_S: Final = 0.05
LINGERS_S: Final = 0.5
"""How long the former primary stays cut off when another one leads: it answers clients of its own meanwhile, or not."""
LINGERS_TOGETHER_S: Final = 1.5
"""The same with a standby that forwards to it: the new primary has answered by then, and others after it."""
HEIR_S: Final = 15.0
"""How long another one is waited for, where the fault is over when there is one."""
POLL_S: Final = 0.05
HELD_S: Final = 0.15
"""How long standbys stand still before a kill: every client has a commit in hand by then, and no lease is over."""

Undo = Callable[[], object]


class NobodyLeads(HeliosError):
    """There is no primary to do anything to."""

    sqlstate = "55000"


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault that was injected."""

    target: str
    """Whom it hit: names of nodes."""
    text: str
    """What was done, in a sentence."""
    undo: Undo | None = None
    """Brings back what was taken away, when the clients have got on without it."""
    at: float | None = None
    """The moment from which clients may have to wait, by the monotonic clock; None: when the injection began."""
    lost: str = ""
    """Whom :attr:`undo` brings back, where that is not everybody it hit."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault."""

    name: str
    variants: tuple[Callable[[Stage, random.Random], Injection], ...]
    cannot: Callable[[Scene], str] = lambda _scene: ""
    """Why it cannot be done on this machine, or to this cluster; empty when it can."""


def _primary(stage: Stage) -> str:
    name = stage.acts.primary()
    if name is None:
        raise NobodyLeads("no node of the cluster leads now", hint="heliosdb-nano cluster status shows its nodes.")
    return name


def _standby(stage: Stage, rng: random.Random) -> str:
    primary = _primary(stage)
    return rng.choice([node.name for node in stage.cluster.data_nodes if node.name != primary])


def wait_heir(stage: Stage, *before: str) -> bool:
    """Whether another node than these came to lead in time."""
    end = time.monotonic() + HEIR_S
    others = [node for node in stage.cluster.data_nodes if node.name not in before]
    while time.monotonic() < end:
        if any(observation.observe_node(stage.cluster, node).leads for node in others):
            return True
        time.sleep(POLL_S)
    return False


# Kills ----------------------------------------------------------------------------------------------------------------


def kill_primary(stage: Stage, _rng: random.Random) -> Injection:
    """SIGKILL of the primary with all commits in hand: standbys, held still for a moment, have them and cannot say so.

    It comes back when another one leads and all clients have got on.
    """
    name = _primary(stage)
    others = [node.name for node in stage.cluster.data_nodes if node.name != name]
    try:
        for other in others:
            stage.acts.freeze(other)
        time.sleep(HELD_S)
        at = time.monotonic()
        stage.acts.kill(name)
    finally:
        for other in others:
            stage.acts.thaw(other)
    return Injection(name, f"SIGKILL to {name}, the primary", lambda: stage.acts.start(name), at)


def kill_standby(stage: Stage, rng: random.Random) -> Injection:
    """SIGKILL of a standby."""
    name = _standby(stage, rng)
    stage.acts.kill(name)
    return Injection(name, f"SIGKILL to {name}, a standby", lambda: stage.acts.start(name))


def kill_all(stage: Stage, _rng: random.Random) -> Injection:
    """SIGKILL of every node with data; the primary is the last to come back: what only it had counts for nothing."""
    primary = _primary(stage)
    names = [node.name for node in stage.cluster.data_nodes]
    for name in (primary, *(name for name in names if name != primary)):
        stage.acts.kill(name)
    for name in names:
        if name != primary:
            stage.acts.start(name, wait=False)
    text = f"SIGKILL to all, {', '.join(names)}; {primary}, the primary, comes back last"
    if wait_heir(stage, primary):
        return Injection(", ".join(names), text, lambda: stage.acts.start(primary), lost=primary)
    # In some modes nobody else may lead: what it alone may have acknowledged must not be gone.
    stage.acts.start(primary, wait=False)
    return Injection(", ".join(names), f"{text}, as nobody else may lead")


# Freezes --------------------------------------------------------------------------------------------------------------


def freeze_until_replaced(stage: Stage, _rng: random.Random) -> Injection:
    """SIGSTOP of the primary until another one leads: what it had in hand goes on in the moment of the change."""
    name = _primary(stage)
    stage.acts.freeze(name)
    try:
        replaced = wait_heir(stage, name)
    finally:
        stage.acts.thaw(name)
    when = "until another one led" if replaced else f"for {HEIR_S:g} s"
    return Injection(name, f"SIGSTOP of {name}, the primary, {when}")


def freeze_long(stage: Stage, _rng: random.Random) -> Injection:
    """SIGSTOP of the primary for longer than its place is kept."""
    return _frozen(stage, _primary(stage), "the primary")


def freeze_standby(stage: Stage, rng: random.Random) -> Injection:
    """SIGSTOP of a standby."""
    return _frozen(stage, _standby(stage, rng), "a standby")


def _frozen(stage: Stage, name: str, role: str) -> Injection:
    stage.acts.freeze(name)
    try:
        time.sleep(FROZEN_S)
    finally:
        stage.acts.thaw(name)
    return Injection(name, f"SIGSTOP of {name}, {role}, for {FROZEN_S:g} s")


# Partitions -----------------------------------------------------------------------------------------------------------


def cut_off_primary(stage: Stage, rng: random.Random) -> Injection:
    """The primary's links to all other nodes cut both ways, clients reach it; mended when another one leads.

    A standby is cut off together with it where the others can elect without both: it forwards writes to the former
    primary all the time.
    """
    name = _primary(stage)
    company = _company(stage, name, rng)
    with _cut(stage, name, *company):
        replaced = wait_heir(stage, name, *company)
        time.sleep(LINGERS_TOGETHER_S if company else LINGERS_S)
    until = "until another one led" if replaced else f"for {HEIR_S:g} s"
    with_it = f", and {company[0]}, which follows it," if company else ","
    return Injection(name, f"{name}, the primary{with_it} cut off from all other nodes {until}")


def _company(stage: Stage, primary: str, rng: random.Random) -> list[str]:
    """A standby that may be cut off together with the primary, if there are enough others; else nobody."""
    nodes, data = stage.cluster.nodes, stage.cluster.data_nodes
    others = [node.name for node in data if node.name != primary and node.mode in FORWARDING]
    enough = 2 * (len(nodes) - 2) > len(nodes) and len(data) - 2 >= SyncMode(stage.mode).answers(len(data))
    return [rng.choice(others)] if enough and others else []


def mute_primary(stage: Stage, _rng: random.Random) -> Injection:
    """What the primary sends to other nodes is lost, and what they send arrives; for 4 s."""
    name = _primary(stage)
    with _cut(stage, name, one_way=True):
        time.sleep(CUT_S)
    return Injection(name, f"what {name}, the primary, sends to other nodes lost for {CUT_S:g} s")


def cut_off_standby(stage: Stage, rng: random.Random) -> Injection:
    """A standby's links to all other nodes cut both ways for 4 s; its clients reach it as before."""
    name = _standby(stage, rng)
    with _cut(stage, name):
        time.sleep(CUT_S)
    return Injection(name, f"{name}, a standby, cut off from all other nodes for {CUT_S:g} s")


@contextmanager
def _cut(stage: Stage, *names: str, one_way: bool = False) -> Iterator[None]:
    """Meanwhile the links of these nodes to all others are cut, all at the same time."""
    others = [node.name for node in stage.cluster.nodes if node.name not in names]
    lost = partitions.links([names, others], one_way=one_way)
    partitions.change(stage.cluster, cut=lost)
    try:
        yield
    finally:
        partitions.change(stage.cluster, heal=lost)


def _cannot_cut(scene: Scene) -> str:
    if scene.cluster.faults or scene.cluster.netns:
        return ""
    return f"the nodes of {scene.cluster.path} do not let their links be cut (faults = true there, and a restart)"


# Clocks, disks, links -------------------------------------------------------------------------------------------------


def clock_ahead(stage: Stage, _rng: random.Random) -> Injection:
    """The primary's time of day an hour ahead for 4 s."""
    return _off(stage, _primary(stage), "the primary", HOUR_S)


def clock_back(stage: Stage, _rng: random.Random) -> Injection:
    """The primary's time of day an hour back for 4 s."""
    return _off(stage, _primary(stage), "the primary", -HOUR_S)


def clock_of_standby(stage: Stage, rng: random.Random) -> Injection:
    """A standby's time of day an hour ahead for 4 s."""
    return _off(stage, _standby(stage, rng), "a standby", HOUR_S)


def _off(stage: Stage, name: str, role: str, seconds: float) -> Injection:
    clock = stage.rig.clocks[name]
    clock.jump(seconds)
    try:
        time.sleep(CUT_S)
    finally:
        clock.jump(0)
    where = "ahead" if seconds > 0 else "back"
    return Injection(name, f"the clock of {name}, {role}, an hour {where} for {CUT_S:g} s")


def slow_disk_of_primary(stage: Stage, _rng: random.Random) -> Injection:
    """The primary's disk takes what is written four times a second, for 4 s."""
    return _slow_disk(stage, _primary(stage), "the primary")


def slow_disk_of_standby(stage: Stage, rng: random.Random) -> Injection:
    """A standby's disk takes what is written four times a second, for 4 s."""
    return _slow_disk(stage, _standby(stage, rng), "a standby")


def stalled_disk(stage: Stage, _rng: random.Random) -> Injection:
    """The primary's disk takes nothing until another node leads."""
    name = _primary(stage)
    with stage.rig.disks[name].stalled():
        replaced = wait_heir(stage, name)
    until = "until another one led" if replaced else f"for {HEIR_S:g} s"
    return Injection(name, f"the disk of {name}, the primary, at a standstill {until}")


def _slow_disk(stage: Stage, name: str, role: str) -> Injection:
    with rig.slow(stage.rig.disks[name]):
        time.sleep(CUT_S)
    return Injection(name, f"the disk of {name}, {role}, taking writes four times a second for {CUT_S:g} s")


def slow_links(stage: Stage, _rng: random.Random) -> Injection:
    """Everything between the nodes 50 ms later for 4 s."""
    return _slow(stage, LATER_S, "")


def very_slow_links(stage: Stage, rng: random.Random) -> Injection:
    """Everything between the nodes 150 ms later for 4 s, and the primary is killed in the midst of it."""
    name = _primary(stage)
    killed = _slow(stage, 3 * LATER_S, name)
    return replace(killed, undo=lambda: stage.acts.start(name))


def _slow(stage: Stage, seconds: float, killed: str) -> Injection:
    links, at = stage.rig.links.values(), None
    for link in links:
        link.delay_s = seconds
    try:
        time.sleep(CUT_S / 2)
        if killed:
            at = time.monotonic()
            stage.acts.kill(killed)
        time.sleep(CUT_S / 2)
    finally:
        for link in links:
            link.delay_s = 0.0
    text = f"everything between nodes {seconds * 1000:g} ms later for {CUT_S:g} s"
    if not killed:
        return Injection("all", text)
    return Injection(killed, f"SIGKILL to {killed}, the primary, with {text}", at=at)


def _cannot_dial(scene: Scene) -> str:
    """Nodes that run have to have been started for it; those of a cluster that is made will be."""
    if not scene.is_own:
        return dials.why_not(scene.cluster)
    return "nodes in network namespaces have no faults of their own; leave --netns out" if scene.cluster.netns else ""


FAULTS: Final[Mapping[str, Fault]] = {
    one.name: one
    for one in (
        Fault("kill", (kill_primary, kill_standby, kill_all)),
        Fault("freeze", (freeze_until_replaced, freeze_standby, freeze_long)),
        Fault("partition", (cut_off_primary, cut_off_standby, mute_primary), _cannot_cut),
        Fault(rig.DISK, (slow_disk_of_primary, slow_disk_of_standby, stalled_disk), _cannot_dial),
        Fault(rig.LINK, (slow_links, very_slow_links), _cannot_dial),
        Fault(rig.CLOCK, (clock_ahead, clock_of_standby, clock_back), _cannot_dial),
    )
}
"""By name, in the order in which they are drawn."""
