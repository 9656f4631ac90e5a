"""Where a proof takes place: a cluster of this machine with a proxy before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helios_cli.commands.local import clusterfile, launch, network, observation, whole
from helios_cli.commands.local.acts import Acts
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode, LocalProxy, Member, password_of
from helios_cli.commands.proving.rig import Rig, rigged
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import Target
from helios_cli.engine.observe.machine import free_ports

START_S: Final = 60.0
STOP_S: Final = 20.0
ANSWER_S: Final = 60.0
"""What a client waits for an answer: longer than a proxy has a write wait for a primary."""

FORWARDING: Final = ("sync", "semi-sync", "quorum")
"""Modes of standbys that take their clients' writes to the primary."""

Tell = Callable[[str], None]


@dataclass(slots=True)
class Scene:
    """Which cluster is meant, before anything is done."""

    cluster: LocalCluster
    is_own: bool
    """Whether it is made for this proof, and goes with it."""
    leaves: bool = False
    """Whether its directory is left for a look at it."""

    def entered(self, faults: Sequence[str], tell: Tell) -> AbstractContextManager[Stage]:
        """Have it run meanwhile, in order, and so that these faults can be injected."""
        return own(self.cluster, faults, tell) if self.is_own else taken(self.cluster, faults, tell)


@dataclass(frozen=True, slots=True)
class Stage:
    """All of it."""

    cluster: LocalCluster
    acts: Acts
    proxy: Target
    is_own: bool
    """Whether the cluster was made for this proof, and goes with it."""
    rig: Rig
    """What some faults use."""

    @property
    def mode(self) -> str:
        """What a commit waits for."""
        return self.cluster.data_nodes[0].mode

    def target(self, node: LocalNode) -> Target:
        """A node itself."""
        return target(self.cluster, node)


def target(cluster: LocalCluster, member: Member) -> Target:
    """A node or the proxy, as clients of a proof find it."""
    return Target(
        cluster.asked_at(member), member.ports["pg"], "helios", password=password_of(cluster), sslmode="prefer",
        timeout=ANSWER_S, application_name="prove", read_timeout=ANSWER_S,
    )  # fmt: skip


def new_cluster(directory: Path, count: int, mode: str, observers: int, netns: str = "") -> LocalCluster:
    """A cluster with a proxy on free ports, of which nothing runs yet, and nothing is written.

    ``netns`` names network namespaces that its processes are to have.
    """
    ports = free_ports(3 * (count + observers) + 2)
    nodes = [
        LocalNode(f"n{number + 1}", "primary" if not number else "standby", mode, *ports[3 * number : 3 * number + 3])
        for number in range(count)
    ]
    for number in range(observers):
        at = 3 * (count + number)
        nodes.append(LocalNode(f"o{number + 1}", "observer", "", 0, *ports[at : at + 2]))
    return LocalCluster(directory, tuple(nodes), proxy=LocalProxy(ports[-2], ports[-1]), faults=True, netns=netns)


@contextmanager
def own(cluster: LocalCluster, faults: Sequence[str], tell: Tell) -> Iterator[Stage]:
    """A new cluster, started and whole; no process of it is left behind.

    Raises:
        HeliosError: it does not come up, or the machine does not give what a fault needs.
    """
    cluster.directory.mkdir(parents=True, exist_ok=True)
    with rigged(cluster, faults) as (made, rig):
        clusterfile.write(made)
        acts = Acts(made)
        try:
            launch.launch(made, launch.plan(made, observation.observe(made)))
            launch.wait_streaming(made, START_S, tell)
            whole.wait_whole(made, START_S, tell)
            rig.take_dials(made, faults)
            yield _stage(made, acts, rig, is_own=True)
        finally:
            for name in acts.names:
                acts.kill(name)
            network.remove(made)


@contextmanager
def taken(cluster: LocalCluster, faults: Sequence[str], tell: Tell) -> Iterator[Stage]:
    """A cluster that runs already; what a fault has taken away is given back in the end.

    Raises:
        HeliosError: it has no proxy (55000), is not whole (57014), or was not started for a fault (0A000).
    """
    if cluster.proxy is None:
        raise HeliosError(
            f"the cluster of {cluster.path} has no proxy", sqlstate="55000",
            hint="Let prove make a cluster of its own: without --dir.",
        )  # fmt: skip
    whole.wait_whole(cluster, STOP_S, tell)
    acts, rig = Acts(cluster), Rig()
    found = rig.take_dials(cluster, faults)
    try:
        yield _stage(cluster, acts, rig, is_own=False)
    finally:
        for dial in found:
            dial.right()
        _give_back(acts, tell)


def _stage(cluster: LocalCluster, acts: Acts, rig: Rig, *, is_own: bool) -> Stage:
    assert cluster.proxy is not None
    return Stage(cluster, acts, target(cluster, cluster.proxy), is_own, rig)


def _give_back(acts: Acts, tell: Tell) -> None:
    """Frozen nodes go on, cut links are mended, and what is down is started."""
    for name in acts.names:
        with suppress(HeliosError):  # one that is down has nothing to go on with
            acts.thaw(name)
    if acts.cuts():
        acts.heal()
    down = [name for name in acts.names if acts.process(name) is None]
    for name in down:
        acts.start(name, wait=False)
    if down:
        launch.wait_streaming(acts.cluster, START_S, tell)
