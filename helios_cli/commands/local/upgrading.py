"""A cluster that gets another program node by node: standbys first, then the lead moves, then the old primary."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.commands import _admin
from helios_cli.commands._errors import Refused
from helios_cli.commands.local import installing, machines, observation, whole
from helios_cli.commands.local.acts import Acts
from helios_cli.commands.local.clusterfile import LocalCluster, Member
from helios_cli.commands.local.faces import http_address
from helios_cli.commands.local.installing import Program
from helios_cli.commands.local.observation import Observation
from helios_cli.engine.errors import HeliosError

SWITCH_S: Final = 10.0
ANSWER_S: Final = 15.0
CALM_S: Final = 10.0
"""How long a cluster may take to be whole before anything is done."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing to do: a process to renew, or the lead to move away from one."""

    verb: str
    """``renew`` or ``switchover``."""
    member: Member
    reason: str = ""

    @property
    def sentence(self) -> str:
        """What it does, in a few words."""
        on = f" on {self.member.host}" if self.member.host else ""
        if self.verb == "switchover":
            return f"give the lead of {self.member.name} to a standby"
        return f"stop {self.member.name}{on}, start it with the new program, wait until the cluster is whole"


def turns(cluster: LocalCluster, seen: Sequence[Observation], renewed: Sequence[str] = ()) -> list[Turn]:
    """What has to be done, in order; ``renewed`` are left out.

    Raises:
        Refused: nobody leads, or a node is not as it should be: to take another one away would be worse.
    """
    wrong = whole.lacking(cluster, seen)
    leader = observation.primary_of(seen)
    if wrong or leader is None:
        raise Refused(
            f"the cluster is not whole: {', '.join(wrong)}",
            hint="heliosdb-nano cluster up starts what is down; cluster status and cluster logs say more.",
        )
    others = [one for one in cluster.nodes if one is not leader.node]
    others.sort(key=lambda one: (not one.is_observer, one.mode != "async"))  # those that are missed least go first
    found = [Turn("renew", one) for one in others]
    if leader.node.name not in renewed and len(cluster.data_nodes) > 1:
        found.append(Turn("switchover", leader.node))
    found.append(Turn("renew", leader.node))
    if cluster.proxy is not None:
        found.append(Turn("renew", cluster.proxy))
    return [one for one in found if one.verb == "switchover" or one.member.name not in renewed]


class Upgrade:
    """One upgrade; begun again, it goes on where it was."""

    def __init__(self, cluster: LocalCluster, program: Program | None, timeout_s: float, tell: Tell, say: Tell) -> None:
        """``program`` is put on hosts; None where all of it runs on this machine, as this very program."""
        self._cluster, self._program, self._timeout_s = cluster, program, timeout_s
        self._tell, self._say = tell, say
        self._acts = Acts(cluster)

    def renewed(self) -> list[str]:
        """What runs with the new program already, as this command has noted there."""
        return [one.name for one in self._cluster.members if one.host and self._is_renewed(one)]

    def do(self, turn: Turn) -> None:
        """Do one thing, and come back when the cluster is whole.

        Raises:
            HeliosError: it is not whole in time, or a step failed; nothing further is touched.
        """
        self._say(turn.sentence)
        if turn.verb == "switchover":
            self._switch()
        else:
            self._renew(turn.member)
        whole.wait_whole(self._cluster, self._timeout_s, self._tell)
        if turn.verb == "renew" and turn.member.host:
            self._note(turn.member)

    def _renew(self, member: Member) -> None:
        host = self._cluster.host_of(member)
        if host is not None and self._program is not None:
            tell = installing.Telling([host.name], self._tell)
            installing.install(self._cluster, host, self._program, tell.of(host.name))
        self._tell(f"stopping {member.name}")
        self._acts.stop(member.name, self._timeout_s)
        self._acts.start(member.name, self._timeout_s, tell=self._tell)

    def _switch(self) -> None:
        cluster = self._cluster
        reaches = [
            _admin.Reach(
                one.name, http_address(cluster, one), () if one.host else (str(cluster.token_file(one)),),
                (str(cluster.secret_file),),
            )
            for one in cluster.data_nodes
        ]  # fmt: skip
        body = {"to": "", "timeout_s": SWITCH_S}
        answer = _admin.ask_primary(_admin.leader(reaches), "switchover", body, 2 * SWITCH_S + ANSWER_S)
        self._say(f"{answer.get('to')} leads")

    def _is_renewed(self, member: Member) -> bool:
        host = self._cluster.host_of(member)
        if host is None or self._program is None:
            return False
        machine = machines.of_host(self._cluster, host)
        noted: bytes | None = machine.ask("read", self._noted_in(member))
        try:
            is_noted = json.loads(noted or b"null") == {"program": self._program.sha256}
        except ValueError:
            return False
        return is_noted and installing.has(machine, host.program_path) == self._program.sha256

    def _note(self, member: Member) -> None:
        if self._program is not None:
            text = json.dumps({"program": self._program.sha256}) + "\n"
            machines.of(self._cluster, member).ask("write", self._noted_in(member), text.encode(), 0o644)

    def _noted_in(self, member: Member) -> str:
        return str(self._cluster.place(member) / f"{member.name}.program")


def failed(turn: Turn, error: HeliosError) -> HeliosError:
    """The error of an upgrade that ends in the middle."""
    return HeliosError(
        f"the upgrade stops at {turn.member.name}: {error.message}", sqlstate=error.sqlstate, detail=error.detail,
        hint=f"heliosdb-nano cluster logs {turn.member.name} says more; "
        "heliosdb-nano cluster upgrade goes on when the cluster is whole.",
    )  # fmt: skip
