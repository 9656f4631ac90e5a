"""Whether an action has had its effect: for one that was interrupted, of which nobody knows whether it was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helios_cli.engine.playbook.facts import Facts
from helios_cli.engine.playbook.model import Do
from helios_cli.engine.playbook.words import nodes_of


def before(action: Do, facts: Facts) -> dict[str, Any]:
    """What has to be remembered of the cluster before an action: who leads, and the processes of the nodes it names."""
    primary = facts.primary
    processes = {one.name: one.process for one in facts.nodes if one.name in nodes_of(action.arguments)}
    return {"primary": None if primary is None else primary.name, "processes": processes}


def had(action: Do, remembered: Mapping[str, Any], facts: Facts) -> bool | None:
    """Whether the effect is there; None when the facts do not tell, so that the action has to be done again."""
    match action.do:
        case "start" | "stop" | "kill" | "restart" | "freeze" | "thaw":
            return all(_node_had(action.do, name, remembered, facts) for name in nodes_of(action.arguments))
        case "switchover":
            primary, wanted = facts.primary, action.arguments.get("to")
            return primary is not None and primary.name in (wanted or primary.name) and (
                bool(wanted) or primary.name != remembered.get("primary")
            )  # fmt: skip
        case "promote":
            primary = facts.primary
            return primary is not None and primary.name == action.arguments["node"]
        case "pause" | "resume":
            return facts.paused is (action.do == "pause")
        case "add-standby" | "remove-standby":
            return (facts.node(str(action.arguments["node"])) is not None) is (action.do == "add-standby")
        case "workload":
            return str(action.arguments["load"]) in facts.loads
        case _:
            return None


def _node_had(do: str, name: str, remembered: Mapping[str, Any], facts: Facts) -> bool:
    node = facts.node(name)
    if node is None:  # the proxy, of which nothing is remembered
        return False
    process = (remembered.get("processes") or {}).get(name, "")
    match do:
        case "start":
            return node.runs
        case "stop" | "kill":
            return node.process != process or not process
        case "restart":
            return bool(node.process) and node.process != process
        case _:
            return (node.state == "frozen") is (do == "freeze")
