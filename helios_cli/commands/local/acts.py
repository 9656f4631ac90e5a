"""What can be done to the processes of a cluster, by name, wherever they run."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Final

from helios_cli.commands.local import launch, observation, partitions, processes
from helios_cli.commands.local.clusterfile import LocalCluster, LocalProxy, Member
from helios_cli.commands.local.launch import Saw, Tell
from helios_cli.commands.local.observation import Observation
from helios_cli.commands.local.processes import Process
from helios_cli.engine.errors import HeliosError

LEADER: Final = "@primary"
"""In place of a name: the node that leads now."""

KILLED_S: Final = 10.0
"""How long the system may take to end a process that was killed."""


class Acts:
    """What can be done to the nodes of a cluster, by name; the proxy is one of them when there is one.

    A name may be ``@primary``. Unknown names, and ``@primary`` while nobody leads, raise HeliosError (42704).
    """

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.names: list[str] = [one.name for one in cluster.members]
        """Of the nodes in the order of cluster.toml, then of the proxy."""

    def observe(self) -> list[Observation]:
        """The nodes, asked all at once; the proxy is not among them."""
        return observation.observe(self.cluster)

    def primary(self) -> str | None:
        """Who leads, by asking; None when nobody does."""
        leader = observation.primary_of(self.observe())
        return leader.node.name if leader is not None else None

    def member(self, name: str) -> Member:
        """The node or proxy that is meant."""
        if name != LEADER:
            return self.cluster.member(name)
        leader = self.primary()
        if leader is None:
            raise HeliosError(
                "no node of the cluster leads now", sqlstate="42704",
                hint="Name the node; heliosdb-nano cluster status shows them.",
            )  # fmt: skip
        return self.cluster.node(leader)

    def process(self, name: str) -> Process | None:
        """What runs it; None when it is down."""
        return processes.find(self.cluster, self.member(name))

    def start(
        self, name: str, timeout_s: float = 60.0, *, wait: bool = True, tell: Tell = lambda _text: None,
        saw: Saw | None = None,
    ) -> list[Observation]:  # fmt: skip
        """Start it unless it runs, and wait until it leads, streams or serves; what is seen of the nodes then.

        ``wait=False`` comes back when the process is there: a node of a cluster that is all down cannot lead alone.

        Raises:
            HeliosError: a port is taken (55006), the process ended, or the time is over (57014).
        """
        wanted = self.member(name)
        seen = self.observe()
        launch.refuse_unreachable([one for one in seen if one.node == wanted])
        steps = [step for step in launch.plan(self.cluster, seen) if step.node == wanted]
        launch.launch(self.cluster, steps)
        return launch.wait_streaming(self.cluster, timeout_s, tell, [wanted], saw) if wait else self.observe()

    def stop(self, name: str, timeout_s: float = 30.0, *, hard: bool = False) -> Process | None:
        """Have it end in order, frozen or not; the process that ended, None when it was down.

        A primary whose cluster elects gives its place to a standby first. ``hard`` kills it when the time is over.

        Raises:
            HeliosError: it still runs after the time (57014).
        """
        member = self.member(name)
        process = processes.find(self.cluster, member)
        if process is not None:
            end(processes.end_all([process], timeout_s), timeout_s, hard=hard)
        processes.forget(self.cluster, member)
        return process

    def restart(self, name: str, timeout_s: float = 60.0) -> list[Observation]:
        """Stop and start it. Raises what these raise."""
        member = self.member(name)
        self.stop(member.name, timeout_s)
        return self.start(member.name, timeout_s)

    def kill(self, name: str) -> Process | None:
        """SIGKILL, what a crash is to the others; the process that ended, None when it was down already."""
        member = self.member(name)
        process = processes.find(self.cluster, member)
        if process is not None:
            process.send(signal.SIGKILL)
            process.wait_gone(KILLED_S)
        processes.forget(self.cluster, member)
        return process

    def freeze(self, name: str) -> Process:
        """SIGSTOP: it keeps its ports and connections, and does nothing. Raises HeliosError when it is down."""
        return self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> Process:
        """SIGCONT to one that is frozen; nothing to another one. Raises HeliosError when it is down."""
        return self._signal(name, signal.SIGCONT)

    def running(self, name: str) -> Process:
        """What runs it. Raises HeliosError when it is down."""
        member = self.member(name)
        process = processes.find(self.cluster, member)
        if process is None:
            raise HeliosError(
                f"{member.name} is not running", hint=f"heliosdb-nano cluster start {member.name} starts it."
            )
        return process

    def cut(self, a: str, b: str, *, one_way: bool = False) -> None:
        """Cut the link between two nodes, or of the proxy with one, silently: no connection ends.

        ``one_way``: what ``a`` sends to ``b`` alone is lost.

        Raises:
            Refused: the cluster was not started for it. HeliosError: a node cannot be told.
        """
        pair = [[self.member(name).name] for name in (a, b)]
        partitions.change(self.cluster, cut=partitions.links(pair, one_way=one_way))

    def heal(self, a: str | None = None, b: str | None = None) -> None:
        """Mend the link between two nodes, all links of one, or all. What is not cut is left alone."""
        names = {self.member(name).name for name in (a, b) if name is not None}
        wanted = [link for link in self.cuts() if names <= set(link)]
        partitions.change(self.cluster, heal=wanted if names else None)

    def cuts(self) -> list[tuple[str, str]]:
        """Pairs of nodes: what the first sends to the second is lost."""
        return partitions.cut_links(self.cluster)

    def stop_all(self, timeout_s: float = 30.0, *, hard: bool = False) -> list[str]:
        """Everything ends, the proxy and the primary first, whose place nobody takes; the names of what ran.

        Raises:
            HeliosError: something still runs after the time (57014).
        """
        running = self.running_members()
        leader = self.primary()
        first = [process for one, process in running if isinstance(one, LocalProxy) or one.name == leader]
        left = processes.end_all(first, timeout_s, signal.SIGINT)
        left += processes.end_all([process for _, process in running if process not in first], timeout_s)
        end(left, timeout_s, hard=hard)
        for one, _ in running:
            processes.forget(self.cluster, one)
        return [one.name for one, _ in running]

    def running_members(self) -> list[tuple[Member, Process]]:
        """What runs: the proxy, the primary, then the others."""
        leader = self.primary()
        found = [(one, process) for one in self.cluster.members if (process := processes.find(self.cluster, one))]
        return sorted(found, key=lambda one: (not isinstance(one[0], LocalProxy), one[0].name != leader))

    def _signal(self, name: str, number: signal.Signals) -> Process:
        process = self.running(name)
        process.send(number)
        return process


def end(left: Sequence[Process], timeout_s: float, *, hard: bool) -> None:
    """SIGKILL to what is left of a stop, when that is wanted.

    Raises:
        HeliosError: something still runs (57014).
    """
    if hard:
        for process in left:
            process.send(signal.SIGKILL)
            process.wait_gone(KILLED_S)
    elif left:
        numbers = ", ".join(str(process.pid) for process in left)
        raise HeliosError(
            f"still running after {timeout_s:g} s: process {numbers}", sqlstate="57014",
            hint="Wait longer, or add --kill.",
        )  # fmt: skip
