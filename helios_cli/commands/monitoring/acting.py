"""The acts of the monitor, as the commands of the same names do them: first their dry run, then they themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from helios_cli.commands import _admin, _proxy_admin
from helios_cli.commands._admin import Reach
from helios_cli.commands._errors import Refused
from helios_cli.commands.monitoring.naming import Naming
from helios_cli.engine.errors import HeliosError
from helios_cli.tui.gateway import Act, Plan

ANSWER_S: Final = 15.0
SWITCHOVER_S: Final = 10.0
NO_PROXY: Final = "The monitor knows of no proxy: heliosdb-nano monitor --proxy HOST:PORT."


def plan(act: Act, nodes: Sequence[Reach], proxy: _proxy_admin.Asked | None, names: Naming) -> Plan:
    """What an act would do, and the command that does it.

    Raises:
        HeliosError: it would be refused, or nobody can be asked.
    """
    if act.verb == "switchover":
        answer = _of_primary(nodes, "switchover", {"to": act.node, "timeout_s": SWITCHOVER_S, "dry_run": True})
        to = str(answer.get("to") or act.node)
        return Plan(_told(answer), names.of_cluster("switchover", "--to", to))
    if act.verb == "promote":
        reach = _reach(nodes, act.node)
        answer = _admin.ask(reach, "promote", _promotion(dry_run=True), ANSWER_S)
        return Plan(_told(answer), names.of_node("promote", reach))
    if act.verb in ("pause", "resume"):
        leader = _admin.leader(list(nodes))
        effect = (
            "nobody takes the place of a primary that is lost, until resume"
            if act.verb == "pause"
            else "a primary that is lost is replaced again"
        )
        said = f"would ask {leader.name} ({leader.address}) to {act.verb}"
        return Plan((said, effect), names.of_cluster(act.verb))
    return _proxy_plan(act, _known(proxy), names)


def carry_out(act: Act, nodes: Sequence[Reach], proxy: _proxy_admin.Asked | None) -> list[str]:
    """Do it; what to tell of it.

    Raises:
        HeliosError: it was refused, or something went wrong.
    """
    if act.verb == "switchover":
        body = {"to": act.node, "timeout_s": SWITCHOVER_S, "dry_run": False}
        answer = _of_primary(nodes, "switchover", body, 2 * SWITCHOVER_S + ANSWER_S)
        took = f"took {answer['took_ms']} ms, term {answer.get('term')}" if "took_ms" in answer else ""
        return [*_told(answer), *([took] if took else [])]
    if act.verb == "promote":
        return list(_told(_admin.ask(_reach(nodes, act.node), "promote", _promotion(dry_run=False), 2 * ANSWER_S)))
    if act.verb in ("pause", "resume"):
        return list(_told(_of_primary(nodes, act.verb, {})))
    path = f"/{act.verb}/{quote(act.node, safe='')}" if act.node else f"/{act.verb.removeprefix('proxy ')}"
    return [str(_proxy_admin.post(_known(proxy), path).get("result", "done"))]


def _of_primary(
    nodes: Sequence[Reach], verb: str, body: Mapping[str, object], timeout_s: float = ANSWER_S
) -> Mapping[str, Any]:
    return _admin.ask_primary(_admin.leader(list(nodes)), verb, body, timeout_s)


def _promotion(*, dry_run: bool) -> dict[str, object]:
    return {"allow_data_loss": False, "dry_run": dry_run}


def _reach(nodes: Sequence[Reach], name: str) -> Reach:
    for one in nodes:
        if one.name == name:
            return one
    raise HeliosError(f'there is no node "{name}"', sqlstate="42704", hint="Choose one in the table of nodes.")


def _told(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """The result of a verb, its steps, and what else it says."""
    steps = [f"{number}. {step}" for number, step in enumerate(answer.get("steps", ()), 1)]
    said = [str(answer[name]) for name in ("hint", "detail", "warning") if answer.get(name)]
    return (str(answer.get("result", "done")), *steps, *said)


def _proxy_plan(act: Act, asked: _proxy_admin.Asked, names: Naming) -> Plan:
    admin = str(_proxy_admin.address_of(asked))
    if act.verb in ("proxy pause", "proxy resume"):
        clients = len(_proxy_admin.records(asked, "/clients"))
        what = "wait" if act.verb == "proxy pause" else "go on"
        return Plan((f"would have the statements of {clients} clients {what}",), names.of_proxy(act.verb, admin))
    known = {str(one.get("name")): one for one in _proxy_admin.records(asked, "/nodes")}
    if act.node not in known:
        others = ", ".join(known) or "none"
        raise HeliosError(f'the proxy has no node "{act.node}"', sqlstate="42704", hint=f"Its nodes: {others}.")
    if act.verb == "drain" and known[act.node].get("role") == "primary":
        raise Refused(
            f"{act.node} is the primary: without it writes would wait, and fail in the end",
            hint="Have another node take over first: s on a standby.",
        )
    state, active = known[act.node].get("state"), known[act.node].get("active")
    said = f"would {act.verb} {act.node}, which is {state} and has {active} statements in hand"
    return Plan((said,), names.of_proxy(f"proxy {act.verb}", admin, act.node))


def _known(proxy: _proxy_admin.Asked | None) -> _proxy_admin.Asked:
    if proxy is None:
        raise HeliosError("there is no proxy to ask", sqlstate="55000", hint=NO_PROXY)
    return proxy
