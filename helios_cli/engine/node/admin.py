"""What a node does when it is asked over HTTP with the token: the verbs behind the commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from helios_cli.engine.config.registry import find
from helios_cli.engine.consensus.config import REFEREE
from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.net.gate import GATE
from helios_cli.engine.net.http_routes import AdminVerb
from helios_cli.engine.node import explanation, foresight, handover, moments
from helios_cli.engine.node.agreement import until_agreed
from helios_cli.engine.node.cluster_settings import CLUSTER_SETTINGS, cluster_setting
from helios_cli.engine.node.promotion import not_the_primary
from helios_cli.engine.node.reloading import refuse_half
from helios_cli.engine.node.setting_change import change_setting

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node

Arguments = Mapping[str, Any]
Answer = Mapping[str, Any]


class Admin:
    """The verbs of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def verbs(self) -> Mapping[str, AdminVerb]:
        """By name, as the paths below ``/admin/`` have them."""
        return {
            "checkpoint": self._checkpoint,
            "stop": self._stop,
            "reload": self._reload,
            "promote": self._promote,
            "switchover": self._switchover,
            "pause": self._pause,
            "resume": self._resume,
            "config": self._config,
            "standby/remove": self._remove,
            "scrub": self._scrub,
            "explain/failover": self._explain_failover,
            "whatif": self._what_if,
            "moments": self._moments,
            "cuts": self._cuts,
        }

    async def _explain_failover(self, arguments: Arguments) -> Answer:
        limit = arguments.get("limit", 20)
        if type(limit) is not int or not 1 <= limit <= 1000:
            raise HeliosError(f"limit is a number from 1 to 1000, not {limit!r}", sqlstate="22023")
        number = arguments.get("id")
        if number is None:
            return await explanation.explain(self._node.replication, limit)
        if type(number) is not int:
            raise HeliosError(f"id is the number of a decision, not {number!r}", sqlstate="22023")
        return await explanation.recall(self._node.replication, number)

    async def _what_if(self, arguments: Arguments) -> Answer:
        lost, groups = arguments.get("lose", []), arguments.get("cut", [])
        if not _names(lost) or bool(lost) == bool(groups):
            raise HeliosError("lose is a list of names of nodes, or cut is a list of such lists", sqlstate="22023")
        if not isinstance(groups, list) or not all(group and _names(group) for group in groups):
            raise HeliosError("cut is a list of groups of nodes, each a list of names", sqlstate="22023")
        return await foresight.foresee(self._node.replication, lost, groups)

    async def _moments(self, arguments: Arguments) -> Answer:
        before_us, limit = arguments.get("before_us"), arguments.get("limit", moments.LIMIT)
        if type(limit) is not int or not 1 <= limit <= moments.LIMIT:
            raise SqlError(f"limit is a number from 1 to {moments.LIMIT}, not {limit!r}", sqlstate="22023")
        if before_us is not None and (type(before_us) is not int or not 0 <= before_us < 1 << 63):
            raise SqlError(f"before_us is a time in microseconds, not {before_us!r}", sqlstate="22023")
        return await moments.recall(self._node, before_us, limit)

    async def _cuts(self, arguments: Arguments) -> Answer:
        return GATE.change(arguments, self._node.event)

    async def _checkpoint(self, _arguments: Arguments) -> Answer:
        await self._node.checkpointer.request()
        return {"checkpoint_lsn": str(self._node.checkpointer.checkpoint_lsn)}

    async def _stop(self, _arguments: Arguments) -> None:
        self._node.engine.loop.call_later(0.05, self._node.stop_requested.set)

    async def _reload(self, _arguments: Arguments) -> None:
        refuse_half(self._node.reload())

    async def _promote(self, arguments: Arguments) -> Answer:
        answer: Answer = await self._node.replication.promote(
            allow_data_loss=_flag(arguments, "allow_data_loss"), dry_run=_flag(arguments, "dry_run")
        )
        return answer

    async def _switchover(self, arguments: Arguments) -> Answer:
        return await handover.switchover(
            self._node.replication,
            to=str(arguments.get("to") or ""),
            timeout_s=_seconds(arguments, "timeout_s", 10.0),
            dry_run=_flag(arguments, "dry_run"),
        )

    async def _pause(self, _arguments: Arguments) -> Answer:
        return await self._set_paused(paused=True)

    async def _resume(self, _arguments: Arguments) -> Answer:
        return await self._set_paused(paused=False)

    async def _set_paused(self, *, paused: bool) -> Answer:
        result = self._leading().pause(paused=paused)
        await until_agreed(self._node.replication, lambda config: config.paused == paused)
        return {"result": result}

    async def _config(self, arguments: Arguments) -> Answer:
        setting = find(str(arguments.get("name") or ""))
        value = arguments.get("value")
        if value is not None and not isinstance(value, str):
            raise HeliosError(f"value is a text, or null for the default, not {value!r}", sqlstate="22023")
        if setting.name in CLUSTER_SETTINGS:
            self._leading()
        dry_run = _flag(arguments, "dry_run")
        answer = change_setting(self._node, setting, value, dry_run=dry_run)
        if setting.name in CLUSTER_SETTINGS and not dry_run:
            field, wanted = cluster_setting(setting.name, value)
            await until_agreed(self._node.replication, lambda config: bool(getattr(config, field) == wanted))
        return answer

    async def _scrub(self, arguments: Arguments) -> Answer:
        rate = arguments.get("rate_mb")
        if rate is not None and (type(rate) is not int or not 0 <= rate <= 1 << 20):
            raise HeliosError(f"rate_mb is a number of MB in a second, or 0, not {rate!r}", sqlstate="22023")
        self._node.scrub.request(rate)
        return self._node.scrub.record()

    async def _remove(self, arguments: Arguments) -> Answer:
        node_id = str(arguments.get("node_id") or "")
        replication = self._node.replication
        leading = self._leading()
        config = replication.config
        if config.incarnation(node_id) is None or node_id in (replication.node_id, REFEREE):
            known = ", ".join(one.node_id for one in (*config.members, *config.observers))
            raise SqlError(
                f'"{node_id}" is no standby or observer of this cluster',
                sqlstate="42704",
                hint=f"Its nodes are {known}.",
            )
        if node_id in replication.replicator.streamers or replication.watchers.get(node_id) is not None:
            raise SqlError(
                f"node {node_id} still follows this primary", sqlstate="55006", hint="Stop it first, then remove it."
            )
        leading.remove(node_id)
        replication.slots.release(node_id)
        await until_agreed(replication, lambda config: config.incarnation(node_id) is None)
        return {"result": f"node {node_id} is removed from the cluster"}

    def _leading(self) -> Any:
        replication = self._node.replication
        if replication.leading is None:
            raise not_the_primary(replication)
        return replication.leading


def _flag(arguments: Arguments, name: str) -> bool:
    value = arguments.get(name, False)
    if not isinstance(value, bool):
        raise HeliosError(f"{name} is true or false, not {value!r}", sqlstate="22023")
    return value


def _seconds(arguments: Arguments, name: str, default: float) -> float:
    value = arguments.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:
        raise HeliosError(f"{name} is a number of seconds, not {value!r}", sqlstate="22023")
    return float(value)


def _names(value: object) -> bool:
    """Whether it is a list of texts."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
