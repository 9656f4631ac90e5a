"""The actions that a step may name: what each takes, what it is undone by, how one that was interrupted is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.engine.playbook import values


def _text(value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")


def _names(value: object) -> None:
    if not (isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))):
        raise ValueError(f"{value!r} is neither a name nor a list of names")


def _flag(value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")


def _arguments(value: object) -> None:
    if not (isinstance(value, list) and value and all(isinstance(one, (str, int, float)) for one in value)):
        raise ValueError(f"{value!r} is no list of words")


def _kind(value: object) -> None:
    if value not in LOADS:
        raise ValueError(f"{value!r} is no workload; there are: {', '.join(LOADS)}")


def _route(value: object) -> None:
    if value not in ROUTES:
        raise ValueError(f"{value!r} is none of {', '.join(ROUTES)}")


LOADS: Final = ("run", "mixed")
"""What ``heliosdb-nano workload`` has that a step can start."""
ROUTES: Final = ("any", "proxy", "nodes")
"""By which way a workload connects; ``any``: by the proxy when the cluster has one."""

Check = Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Action:
    """One word after ``do``."""

    summary: str
    takes: Mapping[str, Check] = field(default_factory=dict)
    """Keys and what checks their values, raising ValueError."""
    needs: tuple[str, ...] = ()
    """Those of ``takes`` that have to be there."""
    inverse: str = ""
    """What undoes it where the step does not say; empty: nothing."""
    names_nodes: tuple[str, ...] = ()
    """Those of ``takes`` that are names of nodes."""
    repeatable: bool = True
    """Whether it may be done again when nobody knows whether it was done."""
    timeout_s: float = 60.0
    """For a step that does not say how long it may take."""
    acts: bool = True
    """Whether somebody has to do something; otherwise only time or expectations are waited for."""


_NODE: Final[Mapping[str, Check]] = {"node": _names}

ACTIONS: Final[Mapping[str, Action]] = {
    "start": Action("start a node that is down", _NODE, ("node",), names_nodes=("node",)),
    "stop": Action("stop a node in order", _NODE, ("node",), "start", ("node",)),
    "restart": Action("stop a node and start it", _NODE, ("node",), "start", ("node",)),
    "kill": Action("SIGKILL to a node", _NODE, ("node",), "start", ("node",)),
    "freeze": Action("SIGSTOP to a node", _NODE, ("node",), "thaw", ("node",)),
    "thaw": Action("SIGCONT to a node", _NODE, ("node",), names_nodes=("node",)),
    "cut": Action(
        "part nodes from each other", {"a": _names, "b": _names, "one_way": _flag}, ("a", "b"), "heal", ("a", "b")
    ),
    "heal": Action("join what was cut", {"a": _names, "b": _names}, names_nodes=("a", "b")),
    "switchover": Action("give the lead to a standby", {"to": _text}, names_nodes=("to",)),
    "promote": Action(
        "make a standby the primary", {"node": _text, "allow_data_loss": _flag}, ("node",), names_nodes=("node",)
    ),
    "pause": Action("suspend automatic failover", inverse="resume"),
    "resume": Action("end what pause began"),
    "add-standby": Action("make a new standby", {"node": _text, "mode": _text}, ("node",), "remove-standby"),
    "remove-standby": Action("take a standby out", {"node": _text}, ("node",), names_nodes=("node",)),
    "workload": Action(
        "start a workload, which goes on beside the steps that follow",
        {
            "load": _text, "kind": _kind, "clients": values.number, "rate": values.number, "interval": values.duration,
            "duration": values.duration, "through": _route, "retry": values.duration, "reconnect": _flag,
        },
        ("load",), "finish",
    ),
    "finish": Action(
        "wait for the end of a workload, and for what it counted", {"load": _text, "now": _flag}, ("load",),
        timeout_s=600.0,
    ),
    "wait": Action("let time pass, or wait for what is expected", {"time": values.duration}, acts=False),
    "command": Action("run a program", {"run": _arguments, "again": _flag}, ("run",), repeatable=False),
}  # fmt: skip
"""All of them by name."""


def nodes_of(arguments: Mapping[str, Any], key: str = "node") -> list[str]:
    """The names under a key, which is a name, a list, or names with commas between them; empty without it."""
    value = arguments.get(key)
    if isinstance(value, str):
        return [name for part in value.split(",") if (name := part.strip())]
    return [str(one) for one in value or ()]


def sentence(do: str, arguments: Mapping[str, Any]) -> str:
    """An action in a few words, such as ``kill standby-sync``."""
    if do == "wait":
        return f"wait {_time(arguments['time'])}" if arguments.get("time") else "wait for what is expected"
    if do == "cut":
        arrow = "to" if arguments.get("one_way") else "from"
        others = [name for name in nodes_of(arguments, "b") if name not in nodes_of(arguments, "a")]
        return f"cut {_joined(arguments, 'a')} {arrow} {', '.join(others)}"
    if do == "heal":
        both = [_joined(arguments, key) for key in ("a", "b") if arguments.get(key)]
        return f"heal {' and '.join(both)}" if both else "heal all cuts"
    if do == "command":
        return "run " + " ".join(map(values.text, arguments["run"]))
    if do == "workload":
        rest = [f"{key} {values.text(arguments[key])}" for key in ("clients", "rate", "duration") if key in arguments]
        return " ".join(["workload", str(arguments.get("kind", "run")), *rest, "as", str(arguments["load"])])
    words = [_joined(arguments, key) for key in ("node", "load") if key in arguments]
    words += [f"to {arguments['to']}"] if arguments.get("to") else []
    words += [f"mode {arguments['mode']}"] if "mode" in arguments else []
    words += ["with --allow-data-loss"] if arguments.get("allow_data_loss") is True else []
    return " ".join([do, *words])


def _time(value: object) -> str:
    """As it is written; a bare number is seconds."""
    text = values.text(value)
    return f"{text} s" if text.replace(".", "", 1).isdigit() else text


def _joined(arguments: Mapping[str, Any], key: str) -> str:
    return ", ".join(nodes_of(arguments, key))
