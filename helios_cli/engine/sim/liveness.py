"""Afterwards: nothing is in the way any more, and a cluster that only met what can be survived has to be whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from helios_cli.engine.sim.violation import Violation

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode
    from helios_cli.engine.sim.world import World

TICK_US: Final = 50_000
BUDGET_US: Final = 12_000_000
"""In which the cluster is whole again; the times of the nodes are a second at most."""

QUIET_US: Final = 1_500_000
"""For so long a whole cluster keeps its primary, and everything is shown everywhere."""

OPERATOR_US: Final = 1_000_000
"""How often an operator looks, where nobody can be elected without one."""


class Healing:
    """The end of one run."""

    def __init__(self, world: World) -> None:
        self._world = world

    def heal(self) -> None:
        """Take everything out of the way."""
        world = self._world
        world.network.heal()
        world.network.delay_us, world.network.loss, world.network.twice = (100, 1500), 0.0, 0.0
        for host in world.hosts:
            host.disk.recovers()
            host.sync_factor, host.stuck_until_us, host.doom = 1, 0, None
            host.thaw()
            host.start()

    def check(self) -> None:
        """The cluster is whole within its time, takes a write, stays as it is, and gives its lead to another node."""
        world = self._world
        # What operators have begun goes on for a while.
        world.clock.run_until(world.clock.now_us + QUIET_US)
        deadline_us = world.clock.now_us + BUDGET_US
        looked_us = world.clock.now_us
        while (missing := self.missing()) and world.clock.now_us < deadline_us:
            world.clock.run_until(world.clock.now_us + TICK_US)
            if world.clock.now_us - looked_us > OPERATOR_US:
                looked_us = world.clock.now_us
                self._help()
        if missing:
            world.checkers.fail("the cluster comes back", f"after {BUDGET_US / 1e6:g} s {missing}")
        world.checkers.told_of_losses(self._primary())
        self._take_a_write("a whole cluster takes writes")
        primary, term = self._primary(), self._primary().term
        world.clock.run_until(world.clock.now_us + QUIET_US)
        if self.missing() or self._primary() is not primary or primary.term != term:
            world.checkers.fail(
                "a quiet cluster keeps its primary",
                self.missing() or f"{self._primary().name} leads, not {primary.name}",
            )
        others = sorted(set(primary.log.config.in_sync) - {primary.name})
        if others:
            self._switch(primary, others[-1])

    def _take_a_write(self, rule: str) -> None:
        world, primary = self._world, self._primary()
        before = world.checkers.acknowledged_count
        primary.run(primary.life, self._write, primary)
        deadline_us = world.clock.now_us + QUIET_US
        while world.checkers.acknowledged_count == before and world.clock.now_us < deadline_us:
            world.clock.run_until(world.clock.now_us + TICK_US)
        if world.checkers.acknowledged_count == before:
            world.checkers.fail(rule, f"{primary.name} does not acknowledge a commit within {QUIET_US / 1e6:g} s")

    def _write(self, primary: SimNode) -> None:
        assert primary.primary is not None
        primary.primary.write(-1, None)

    def _switch(self, primary: SimNode, target: str) -> None:
        world = self._world
        primary.run(primary.life, primary.campaign.switchover, target)
        deadline_us = world.clock.now_us + QUIET_US
        while not world.nodes[target].is_leading and world.clock.now_us < deadline_us:
            world.clock.run_until(world.clock.now_us + TICK_US)
        if not world.nodes[target].is_leading:
            world.checkers.fail("a switchover is quick", f"{target} does not lead {QUIET_US / 1e6:g} s after it began")
        while self.missing() and world.clock.now_us < deadline_us + QUIET_US:
            world.clock.run_until(world.clock.now_us + TICK_US)
        if self.missing():
            world.checkers.fail("a switchover is quick", self.missing())
        self._take_a_write("a switchover is quick")

    def _help(self) -> None:
        """Where only one node votes, nobody is elected: an operator promotes somebody, if nothing is lost by that.

        One that was removed from the cluster, and follows a standby or thinks that it leads, is told who does.
        """
        nodes = list(self._world.nodes.values())
        leading = sorted((node for node in nodes if node.is_leading), key=lambda node: node.term)
        for primary in leading[-1:]:
            for node in nodes:
                if node.up and primary.log.config.member(node.name) is None and node.follows != primary.name:
                    node.run(node.life, node.retarget, primary.name)
            known = {observer.node_id for observer in primary.log.config.observers}
            for name, observer in self._world.observers.items():
                if observer.up and name not in known:
                    observer.run(observer.life, observer.announced, primary.term, primary.name)
        if leading:
            return
        configs = [node.config for node in nodes]
        newest = max((config for config in configs if config is not None), key=lambda one: one.version)
        for node in nodes:
            # Also by a configuration of before that may still be in force, as far as the node knows.
            in_force = (newest, *node.open_configs)
            if node.up and not node.campaign.is_changing and any(len(one.voters(one.primary)) == 1 for one in in_force):
                node.run(node.life, self._promote, node)

    def _promote(self, node: SimNode) -> None:
        node.campaign.promote(allow_data_loss=False)

    def _primary(self) -> SimNode:
        for node in self._world.nodes.values():
            if node.is_leading:
                return node
        raise Violation("a quiet cluster keeps its primary", "nobody leads")

    def missing(self) -> str:
        """What a whole cluster has, and this one has not; empty: it is whole."""
        world = self._world
        nodes = list(world.nodes.values())
        if any(not host.up for host in world.hosts):
            return f"{', '.join(host.name for host in world.hosts if not host.up)} is not there"
        leading = [node for node in nodes if node.is_leading]
        if len(leading) != 1:
            return f"{', '.join(node.name for node in leading) or 'nobody'} leads"
        primary = leading[0]
        assert primary.primary is not None
        if not primary.primary.tenure.holds(primary.now):
            return f"{primary.name} has no lease"
        for host in world.hosts:
            if host.term > primary.term:
                # Two were asked to lead at the same time: the one that does not has yet to be told by the other.
                return f"{host.name} has promised term {host.term}, and {primary.name} leads in term {primary.term}"
        if primary.primary.lsns.pending is not None or primary.primary.lsns.inherited:
            return f"{primary.name} has a configuration that is not agreed"
        config = primary.primary.lsns.config
        names = tuple(sorted(world.nodes))
        if config.in_sync != names or config.voting != names:
            return f"the copies of {', '.join(config.in_sync)} count, and {', '.join(config.voting)} vote"
        watched = sorted(one.node_id for one in config.observers)
        if watched != sorted(world.observers):
            return f"of the observers {', '.join(watched) or 'none'} votes"
        for node in nodes:
            if node.exposed != primary.log.end or node.log.end != primary.log.end:
                return f"{node.name} shows {node.exposed} of {primary.log.end}"
        return ""
