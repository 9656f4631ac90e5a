"""The monitor's way to a real cluster: its nodes and its proxy, asked over HTTP."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from helios_cli.commands import _http, _proxy_admin
from helios_cli.commands._admin import Reach
from helios_cli.commands.local import clusterfile, machines
from helios_cli.commands.monitoring import acting, playbooks, recalling, sqlways
from helios_cli.commands.monitoring.asking import Rounds
from helios_cli.commands.monitoring.members import members, removed
from helios_cli.commands.monitoring.naming import Naming
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.remote.errors import HostError
from helios_cli.tui.facts import NodeFacts, NodeSample, ProxyFacts, ProxySample, Sample, Told, facts_of, metrics_of
from helios_cli.tui.gateway import Act, Plan, SqlAnswer
from helios_cli.tui.past import Past

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster, Member

ASK_S: Final = 2.0
PATIENCE_S: Final = 0.5
"""How long a look waits for those that are slow; their answers are in a later one."""

EVENTS_S: Final = 3.0
"""Pause between two questions for a node's events."""

REFUSED_S: Final = 30.0
"""The same after a refusal."""

SQL_S: Final = 30.0
TAIL_BYTES: Final = 256 << 10


class ClusterGateway:
    """One cluster: the nodes that were named, those that they know, and the proxy where one was named."""

    def __init__(
        self,
        named: Sequence[Reach],
        source: str,
        cluster: LocalCluster | None = None,
        proxy: _proxy_admin.Asked | None = None,
        names: Naming | None = None,
    ) -> None:
        self._named = tuple(one.name for one in named)
        self._source = source
        self._cluster = cluster
        self._proxy = proxy
        self._names = names or Naming()
        self._members = members(named)
        self._rounds = Rounds()
        self._newest: dict[str, NodeFacts] = {}
        known = clusterfile.password_of(cluster) if cluster is not None else None
        self._authorization = sqlways.credentials(({"PGPASSWORD": known} if known else {}) | dict(os.environ))
        self._told_up_to: dict[str, int] = {}
        self._ask_events_at: dict[str, float] = {}
        self._untold: dict[str, str] = {}
        self.patience_s = PATIENCE_S
        self.read_only = False
        """Whether nothing is done from here: no acts, no playbooks, no SQL."""

    def sample(self) -> Sample:
        """Look at every node and the proxy (:class:`~helios_cli.tui.gateway.Gateway`)."""
        reaches = dict(self._members.known)
        questions: dict[str, Any] = {name: partial(self._node, reach) for name, reach in reaches.items()}
        questions |= {f"events {name}": partial(self._events, reach) for name, reach in self._due(reaches)}
        if self._proxy is not None:
            questions["proxy"] = partial(self._ask_proxy, self._proxy)
        answers = self._rounds.ask(questions, self.patience_s)
        nodes = [answers.get(name) or self._late(reach) for name, reach in reaches.items()]
        told = [event for name in reaches for event in answers.get(f"events {name}") or ()]
        self._learn(reaches, nodes)
        return Sample(
            at_s=time.time(), source=self._source, nodes=tuple(self._named_right(nodes)), told=tuple(told),
            proxy=answers.get("proxy") or self._late_proxy(), untold=self._why_untold(),
        )  # fmt: skip

    def _learn(self, reaches: dict[str, Reach], nodes: Sequence[NodeSample]) -> None:
        for one in nodes:
            if one.facts is not None:
                self._newest[one.facts.name or one.name] = one.facts
                self._members.learn(reaches[one.name], one.facts)
        fresh = {one.facts.name: one.facts for one in nodes if one.facts is not None}
        named = {self._members.renamed.get(name, name) for name in self._named}
        self._members.forget(removed(fresh, named, self._members.known))

    def _named_right(self, nodes: Sequence[NodeSample]) -> list[NodeSample]:
        """The samples by the names that their nodes have; those of forgotten ones left out."""
        renamed = (replace(one, name=self._members.renamed.get(one.name, one.name)) for one in nodes)
        found = {one.name: one for one in renamed if one.name in self._members.known}
        return [found[name] for name in self._members.known if name in found]

    def _node(self, reach: Reach) -> NodeSample:
        """One node; in a thread of its own."""
        member = self._member(reach.name)
        is_far = member is not None and bool(member.host)
        process = "" if is_far else self._process(member)
        bare = NodeSample(name=reach.name, address=str(reach.address), process=process)
        if process in ("down", "frozen"):
            return replace(bare, error=f"its process is {process}")
        began = time.monotonic()
        try:
            status = _http.get(reach.address, "/status", ASK_S)
            metrics = _http.get(reach.address, "/metrics", ASK_S)
        except HeliosError as error:
            return replace(bare, error=error.message, process=self._process(member) if is_far else process)
        took_ms = (time.monotonic() - began) * 1000
        if status.status != 200 or not isinstance(status.body, dict):
            return replace(bare, error=f"it answered {status.status} to /status", took_ms=took_ms)
        found = metrics_of(metrics.body) if isinstance(metrics.body, str) else {}
        return replace(bare, facts=facts_of(status.body, found), took_ms=took_ms)

    def _process(self, member: Member | None) -> str:
        """``running``, ``frozen`` or ``down`` of a node of cluster.toml; empty of any other, and where nobody can say.

        One on a host is asked for only when it does not answer: that takes a way there and back.
        """
        from helios_cli.commands.local import processes

        if self._cluster is None or member is None:
            return ""
        try:
            process = processes.find(self._cluster, member)
        except (OSError, HostError):
            return ""
        if process is None:
            return "down"
        return "frozen" if process.state == "frozen" else "running"

    def _late(self, reach: Reach) -> NodeSample:
        return NodeSample(name=reach.name, address=str(reach.address), error="it does not answer in time")

    # Events ---------------------------------------------------------------------------------------------------------

    def _due(self, reaches: dict[str, Reach]) -> list[tuple[str, Reach]]:
        """The nodes that are to be asked for events now."""
        now = time.monotonic()
        return [
            (name, reach)
            for name, reach in reaches.items()
            if now >= self._ask_events_at.get(name, 0.0) and self._newest.get(name) is not None
            if self._newest[name].role != "observer"
        ]

    def _events(self, reach: Reach) -> list[Told]:
        """What has happened at a node since it was asked last; in a thread of its own."""
        pause_s = EVENTS_S
        told: list[Told] = []
        try:
            after = self._told_up_to.get(reach.name, 0)
            self._told_up_to[reach.name], told = sqlways.events(reach, after, self._authorization, ASK_S)
            self._untold.pop(reach.name, None)
        except _http.Unreachable:
            pass  # That it does not answer is told by its sample.
        except HeliosError as error:
            pause_s = REFUSED_S
            self._untold[reach.name] = f"{error.message}. {error.hint or ''}".strip()
        self._ask_events_at[reach.name] = time.monotonic() + pause_s
        return told

    def _why_untold(self) -> str:
        known = [(name, why) for name, why in self._untold.items() if name in self._members.known]
        return f"events of {', '.join(name for name, _ in known)} are not told: {known[0][1]}" if known else ""

    # The proxy ------------------------------------------------------------------------------------------------------

    def _ask_proxy(self, asked: _proxy_admin.Asked) -> ProxySample:
        address = _proxy_admin.address_of(asked)
        try:
            health = _proxy_admin.get(asked, "/health")
            body = health.body if isinstance(health.body, dict) else {}
            stats = {str(one.get("name")): one.get("value") for one in _proxy_admin.records(asked, "/stats")}
            facts = ProxyFacts(
                address=address,
                health="" if health.status == 200 else str(body.get("reason") or f"it answered {health.status}"),
                nodes=tuple(_proxy_admin.records(asked, "/nodes")),
                pools=tuple(_proxy_admin.records(asked, "/pools")),
                stats={name: float(value) for name, value in stats.items() if isinstance(value, (int, float))},
            )
        except HeliosError as error:
            return ProxySample(address=address, error=error.message)
        return ProxySample(address=address, facts=facts)

    def past(self, until_s: float) -> Past:
        """What the nodes have kept of the hours before (:class:`~helios_cli.tui.gateway.Gateway`)."""
        reaches = {
            name: reach
            for name, reach in self._members.known.items()
            if name not in self._newest or self._newest[name].role != "observer"
        }
        places = {name: str(reach.address) for name, reach in self._members.known.items()}
        return recalling.recall(reaches, places, self._source, until_s)

    def _late_proxy(self) -> ProxySample | None:
        if self._proxy is None:
            return None
        return ProxySample(address=_proxy_admin.address_of(self._proxy), error="it does not answer in time")

    # What changes something -------------------------------------------------------------------------------------------

    def plan(self, act: Act) -> Plan:
        """The dry run of an act (:class:`~helios_cli.tui.gateway.Gateway`)."""
        self._may_act()
        if act.verb == "playbook":
            return playbooks.plan(act.node, self._local())
        return acting.plan(act, self._reaches(), self._proxy, self._names)

    def carry_out(self, act: Act) -> list[str]:
        """Do it (:class:`~helios_cli.tui.gateway.Gateway`)."""
        self._may_act()
        if act.verb == "playbook":
            return playbooks.carry_out(act.node, self._local())
        return acting.carry_out(act, self._reaches(), self._proxy)

    def playbooks(self) -> list[tuple[str, str]]:
        """Those that are shipped (:class:`~helios_cli.tui.gateway.Gateway`)."""
        self._may_act()
        self._local()
        return playbooks.names()

    def _may_act(self) -> None:
        if self.read_only:
            hint = "Start it without --read-only."
            raise HeliosError("this monitor changes nothing: it is read-only", sqlstate="25006", hint=hint)

    def _local(self) -> LocalCluster:
        if self._cluster is None:
            hint = "Start the monitor with --dir, or where its cluster.toml is."
            raise HeliosError("playbooks are run on the cluster of a cluster.toml", sqlstate="55000", hint=hint)
        return self._cluster

    def _reaches(self) -> list[Reach]:
        return list(self._members.known.values())

    def sql(self, node: str, text: str) -> SqlAnswer:
        """Run one statement at a node (:class:`~helios_cli.tui.gateway.Gateway`)."""
        self._may_act()  # a query may end sessions, too
        reach = self._members.known.get(node)
        if reach is None:
            raise HeliosError(f'there is no node "{node}"', sqlstate="42704", hint="Choose one in the table of nodes.")
        return sqlways.run(reach, text, self._authorization, SQL_S)

    def log_tail(self, name: str, lines: int) -> list[str]:
        """The end of a log, here or on a host (:class:`~helios_cli.tui.gateway.Gateway`)."""
        member = self._member(name)
        if self._cluster is None or member is None:
            raise HeliosError(
                f"the log of {name} is not on this machine, or nobody knows where",
                hint="The monitor finds the logs of a cluster that heliosdb-nano cluster up has started.",
            )
        path = self._cluster.log_file(member)
        try:
            if not machines.of(self._cluster, member).ask("exists", str(path)):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            data: bytes = machines.of(self._cluster, member).ask("ending", str(path), TAIL_BYTES)
            return data.decode(errors="replace").splitlines()[-lines:]
        except OSError as error:
            raise HeliosError(f"cannot read {path}: {error.strerror}", sqlstate="58030") from None

    def _member(self, name: str) -> Member | None:
        found = self._cluster.members if self._cluster is not None else ()
        return next((one for one in found if one.name == name), None)

    def close(self) -> None:
        """Ask no more (:class:`~helios_cli.tui.gateway.Gateway`)."""
        with contextlib.suppress(RuntimeError):
            self._rounds.close()
