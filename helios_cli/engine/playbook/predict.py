"""What an action will do to a cluster, by the rules that it goes by: for a dry run, and nothing is certain of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from helios_cli.engine.playbook.facts import Facts, NodeFact
from helios_cli.engine.playbook.model import Do
from helios_cli.engine.playbook.plan import Plan, Planned
from helios_cli.engine.playbook.words import nodes_of


@dataclass(frozen=True, slots=True)
class World:
    """The cluster as it is thought to be, and the cuts in it."""

    facts: Facts
    cuts: frozenset[tuple[str, str]] = frozenset()
    """Pairs of which the first does not reach the second."""
    forced: str = ""
    """Who was promoted at any price, and leads without a majority."""

    def hears(self, one: str, other: str) -> bool:
        """Whether two nodes can talk: both have to reach the other."""
        return (one, other) not in self.cuts and (other, one) not in self.cuts


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of one step."""

    step: Planned
    effect: str
    """In words."""
    contradicted: tuple[str, ...] = field(default=())
    """Conditions of the step that are predicted not to hold."""


def predict(plan: Plan, facts: Facts) -> list[Prediction]:
    """Each step's effect on the cluster that the steps before it have left."""
    world, found = World(facts), []
    for group in plan.groups:
        for step in sorted((plan.steps[number] for number in group), key=lambda one: one.delay_s):
            if not step.wanted:
                found.append(Prediction(step, "left out"))
                continue
            unmet = [one.text for one in step.needs if one.holds(world.facts) is False]
            earlier, world = world, settled(_done(step.action, world))
            effect = _words(step.action, earlier, world)
            missed = [one.text for one in step.expect if one.holds(world.facts) is False]
            found.append(Prediction(step, effect, (*unmet, *missed)))
    return found


def _done(action: Do, world: World) -> World:
    """The world with the plain effect of an action; who leads then is another matter."""
    facts, arguments = world.facts, action.arguments
    match action.do:
        case "stop" | "kill" | "freeze" | "start" | "thaw" | "restart":
            named = nodes_of(arguments)
            nodes = [_moved(one, action.do, facts) if one.name in named else one for one in facts.nodes]
            return replace(world, facts=facts.with_nodes(nodes))
        case "cut" | "heal":
            return replace(world, cuts=_cuts(action, world.cuts))
        case "switchover":
            wanted = str(arguments.get("to") or next((one.name for one in facts.standbys), ""))
            return replace(world, facts=_led_by(facts, wanted)) if wanted else world
        case "promote":
            name = str(arguments["node"])
            forced = arguments.get("allow_data_loss") is True
            return replace(world, forced=name) if forced else replace(world, facts=_led_by(facts, name))
        case "pause" | "resume":
            return replace(world, facts=replace(facts, paused=action.do == "pause"))
        case "add-standby":
            new = NodeFact(
                str(arguments["node"]), "standby", "streaming", str(arguments.get("mode", "async")), process="new"
            )
            return replace(world, facts=facts.with_nodes((*facts.nodes, new)))
        case "remove-standby":
            name = str(arguments["node"])
            fewer = replace(facts, voters=tuple(one for one in facts.voters if one != name))
            return replace(world, facts=fewer.with_nodes([one for one in facts.nodes if one.name != name]))
        case _:
            return world


def _moved(node: NodeFact, do: str, facts: Facts) -> NodeFact:
    """A node after its process was stopped, started or frozen; one that comes up follows, once somebody leads."""
    if do in ("stop", "kill"):
        return replace(node, state="down", process="")
    if do == "freeze":
        return replace(node, state="frozen") if node.state != "down" else node
    if do == "restart" and node.leads and facts.standbys:
        return replace(node, role="standby", state="starting", process="new")
    if do == "thaw" and node.state != "frozen":
        return node
    return replace(node, state="starting", process=node.process if do == "thaw" else "new") if not node.runs or (
        do == "restart"
    ) else node  # fmt: skip


def _cuts(action: Do, cuts: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    first, second = (nodes_of(action.arguments, key) for key in ("a", "b"))
    if action.do == "cut":
        pairs = {(one, other) for one in first for other in second}
        return cuts | pairs | (set() if action.arguments.get("one_way") else {(b, a) for a, b in pairs})
    named = set(first) | set(second)
    if not named:
        return frozenset()
    both = bool(first and second)
    return frozenset(pair for pair in cuts if not (set(pair) <= named if both else set(pair) & named))


def settled(world: World) -> World:
    """The world once its nodes have found out who leads, and follow."""
    facts = world.facts
    primary = _leader(world)
    if primary is None:
        nodes = [_without_lead(one) for one in facts.nodes]
        return replace(world, facts=replace(facts.with_nodes(nodes), unled_s=max(facts.unled_s, 0.0)))
    led = _led_by(facts, primary)
    nodes = [_apart(before, one, world, primary) for before, one in zip(facts.nodes, led.nodes, strict=True)]
    return replace(world, facts=led.with_nodes(nodes))


def _apart(before: NodeFact, after: NodeFact, world: World, primary: str) -> NodeFact:
    """A node that may not hear who leads: then it goes on leading itself, if it did and can, or hears of nobody."""
    if not after.runs or after.name == primary or world.hears(after.name, primary):
        return after
    return before if before.leads and _has_majority(world, before.name) else replace(after, state="disconnected")


def _leader(world: World) -> str | None:
    """Who leads: who did, while a majority hears it; else who can be elected."""
    facts = world.facts
    forced = facts.node(world.forced)
    if forced is not None and forced.runs:
        return forced.name
    now = facts.primary
    if now is not None and _has_majority(world, now.name):
        return now.name
    if facts.paused or len(facts.voters) < 3:
        return None
    able = [one for one in facts.data_nodes if one.runs and one.name in facts.voters and _has_majority(world, one.name)]
    able = [one for one in able if one.counts or _is_async(facts)] or [one for one in able if one.mode != "async"]
    return able[0].name if able else None


def _is_async(facts: Facts) -> bool:
    return not any(one.counts for one in facts.data_nodes)


def _has_majority(world: World, name: str) -> bool:
    voters = world.facts.voters
    if len(voters) < 2 or name not in voters:
        return True
    heard = [one for one in world.facts.nodes if one.runs and one.name in voters]
    return sum(one.name == name or world.hears(one.name, name) for one in heard) > len(voters) // 2


def _led_by(facts: Facts, primary: str) -> Facts:
    """Everybody who runs follows one of them."""
    term = max((one.term for one in facts.nodes), default=0)
    was = facts.primary
    nodes = [_following(one, primary, term + (was is None or was.name != primary)) for one in facts.nodes]
    return replace(facts.with_nodes(nodes), unled_s=0.0)


def _following(node: NodeFact, primary: str, term: int) -> NodeFact:
    if node.name == primary:
        return replace(node, role="primary", state="serving", term=term)
    if not node.runs:
        return node
    role = "observer" if node.role == "observer" else "standby"
    return replace(node, role=role, state="observing" if role == "observer" else "streaming", term=term)


def _without_lead(node: NodeFact) -> NodeFact:
    if not node.runs:
        return node
    return replace(node, role="observer" if node.role == "observer" else "standby", state="disconnected")


def _words(action: Do, earlier: World, later: World) -> str:
    """What is different, in words."""
    was, now = earlier.facts.primary, later.facts.primary
    said = [*_plain(action), *_changes(earlier.facts.nodes, later.facts.nodes)]
    if now is None and was is not None:
        said.append("nobody leads: writes wait")
    elif now is not None and (was is None or was.name != now.name):
        elected = action.do not in ("switchover", "promote")
        said.append(f"{now.name} {'is elected' if elected and was is not None else 'leads'}")
    return "; ".join(said) or "nothing changes"


def _plain(action: Do) -> Iterable[str]:
    match action.do:
        case "workload":
            yield "clients write and read from now on"
        case "finish":
            yield "the workload sums up"
        case "command":
            yield "what the program does is not known"
        case "restart":
            yield f"{', '.join(nodes_of(action.arguments))} gets a new process"
        case "pause" | "resume":
            yield f"automatic failover is {'off' if action.do == 'pause' else 'on'}"
        case "add-standby":
            yield f"{action.arguments['node']} copies the database and follows"
        case "remove-standby":
            yield f"{action.arguments['node']} is stopped and no longer counts or votes; its data stays"
        case "wait":
            yield "time passes"


def _changes(earlier: Sequence[NodeFact], later: Sequence[NodeFact]) -> Iterable[str]:
    known = {one.name: one for one in earlier}
    for one in later:
        old = known.get(one.name)
        if old is None or old.state == one.state:
            continue
        if one.state in ("down", "frozen", "disconnected"):
            yield f"{one.name} is {one.state}"
        elif old.state in ("down", "frozen", "disconnected") and not one.leads:
            yield f"{one.name} follows"
