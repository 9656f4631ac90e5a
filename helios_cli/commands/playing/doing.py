"""The actions of a playbook on the cluster of a cluster.toml."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from helios_cli.commands import _admin
from helios_cli.commands._admin import Reach
from helios_cli.commands.local import clusterfile, launch, layout, proxyfile
from helios_cli.commands.local.acts import Acts
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode
from helios_cli.commands.local.faces import http_address
from helios_cli.commands.playing.loads import Loads
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.playbook.model import Do
from helios_cli.engine.playbook.values import text
from helios_cli.engine.playbook.words import nodes_of

ANSWER_S: Final = 15.0
"""What a verb may take beyond the time that it was given."""
UNKNOWN: Final = "42704"
"""What a primary answers to a node that its cluster does not know."""
IN_USE: Final = "55006"
"""What it answers to one whose connection has not ended yet."""
POLL_S: Final = 0.2
COMING_S: Final = 10.0
"""How long a node that goes or comes may not answer."""
WORDS_MAX: Final = 400
"""Characters of a program's last words that an error holds."""


class Hands:
    """Does what a step says; each call returns when it is done, and raises HeliosError when it cannot be."""

    def __init__(self, directory: Path, loads: Loads) -> None:
        """``directory`` is the cluster's, which is read anew each time: steps add nodes to it."""
        self._directory = directory
        self.loads = loads

    @property
    def cluster(self) -> LocalCluster:
        """As its file has it now."""
        return clusterfile.read(self._directory)

    @property
    def acts(self) -> Acts:
        """What can be done to its processes now."""
        return Acts(self.cluster)

    def do(self, action: Do, timeout_s: float) -> None:
        """Do it."""
        arguments = action.arguments
        match action.do:
            case "start" | "stop" | "restart" | "kill" | "freeze" | "thaw":
                _together(nodes_of(arguments), lambda name: self._to_node(action.do, name, timeout_s))
            case "cut":
                one_way = bool(arguments.get("one_way"))
                for one, other in _pairs(arguments):
                    self.acts.cut(one, other, one_way=one_way)
            case "heal":
                _again(lambda: self._heal(arguments))
            case "workload":
                self.loads.start(self.cluster, arguments)
            case "finish":
                self.loads.finish(str(arguments["load"]), now=bool(arguments.get("now")))
            case "command":
                self._command([text(one) for one in arguments["run"]], timeout_s)
            case "add-standby":
                self._add(str(arguments["node"]), str(arguments.get("mode", "async")), timeout_s)
            case "remove-standby":
                self._remove(str(arguments["node"]), timeout_s)
            case _:
                self._order(action.do, arguments, timeout_s)

    def _to_node(self, do: str, name: str, timeout_s: float) -> None:
        acts = self.acts
        match do:
            case "start":
                acts.start(name, timeout_s, wait=False)  # what it has to become is what the step expects
            case "stop":
                acts.stop(name, timeout_s)
            case "restart":
                acts.stop(name, timeout_s)
                acts.start(name, timeout_s, wait=False)
            case "kill":
                acts.kill(name)
            case "freeze":
                acts.freeze(name)
            case _:
                acts.thaw(name)

    def _heal(self, arguments: Mapping[str, Any]) -> None:
        acts = self.acts
        named = [nodes_of(arguments, key) for key in ("a", "b")]
        if all(named):
            for one, other in _pairs(arguments):
                acts.heal(one, other)
        elif any(named):
            for one in (*named[0], *named[1]):
                acts.heal(one)
        else:
            acts.heal()

    def _command(self, words: Sequence[str], timeout_s: float) -> None:
        """Run a program with the cluster's directory in HELIOSDB_CLUSTER, from the directory of the cluster's file."""
        environment = dict(os.environ) | {"HELIOSDB_CLUSTER": str(self._directory.resolve())}
        try:
            done = subprocess.run(
                words, cwd=self._directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=timeout_s, text=True, errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise HeliosError(f"{words[0]} did not end within {timeout_s:g} s", sqlstate="57014") from None
        except OSError as error:
            raise HeliosError(f"{words[0]} cannot be run: {error.strerror}") from None
        if done.returncode:
            said = " / ".join(line.strip() for line in done.stdout[-WORDS_MAX:].splitlines()[-3:] if line.strip())
            raise HeliosError(f"{words[0]} ended with {done.returncode}" + (f": {said}" if said else ""))

    # What nodes are asked for ----------------------------------------------------------------------------------------

    def _reaches(self) -> list[Reach]:
        cluster = self.cluster
        return [
            Reach(one.name, http_address(cluster, one), _token(cluster, one), (str(cluster.secret_file),))
            for one in cluster.nodes
        ]

    def _order(self, do: str, arguments: Mapping[str, Any], timeout_s: float) -> None:
        reaches = self._reaches()
        if do == "promote":
            asked = next(one for one in reaches if one.name == arguments["node"])
            _admin.ask(asked, "promote", {"allow_data_loss": bool(arguments.get("allow_data_loss"))}, timeout_s)
            return
        leader = _admin.leader(reaches)
        if do == "switchover":
            body = {"to": str(arguments.get("to", "")), "timeout_s": timeout_s / 2}
            _admin.ask_primary(leader, "switchover", body, timeout_s + ANSWER_S)
        else:
            _admin.ask_primary(leader, do, {}, timeout_s)

    def _add(self, name: str, mode: str, timeout_s: float) -> None:
        cluster = self.cluster
        if all(one.name != name for one in cluster.nodes):
            host = layout.host_for_one_more(cluster)
            new = LocalNode(name, "standby", mode, *layout.free_ports_after(cluster.nodes), host=host)
            cluster = clusterfile.with_nodes(cluster, (*cluster.nodes, new))
            clusterfile.check(cluster)
            clusterfile.write(cluster)
            proxyfile.write(cluster)
        acts = Acts(cluster)
        steps = [step for step in launch.plan(cluster, acts.observe()) if step.node.name == name]
        launch.launch(cluster, steps)

    def _remove(self, name: str, timeout_s: float) -> None:
        cluster = self.cluster
        if all(one.name != name for one in cluster.nodes):
            return
        leader = _admin.leader([one for one in self._reaches() if one.name != name])
        self.acts.stop(name, timeout_s)
        _forgotten(leader, name, timeout_s)
        left = clusterfile.with_nodes(cluster, tuple(one for one in cluster.nodes if one.name != name))
        clusterfile.write(left)
        proxyfile.write(left)


def _token(cluster: LocalCluster, node: LocalNode) -> tuple[str, ...]:
    """The file with a node's own token, on this machine; those of hosts take one of the cluster's secret."""
    return () if node.host else (str(cluster.token_file(node)),)


def _again(act: Callable[[], None]) -> None:
    """Do it, and once more a little later while a node goes or comes just then."""
    end = time.monotonic() + COMING_S
    while True:
        try:
            return act()
        except HeliosError as error:
            if not error.sqlstate.startswith("08") or time.monotonic() > end:
                raise
        time.sleep(POLL_S)


def _forgotten(leader: Reach, name: str, timeout_s: float) -> None:
    """Have the primary count a node no longer; one that it does not know is fine, one that still follows waited for."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            _admin.ask_primary(leader, "standby/remove", {"node_id": name}, timeout_s)
            return
        except HeliosError as error:
            if error.sqlstate == UNKNOWN:
                return
            if error.sqlstate != IN_USE or time.monotonic() > end:
                raise
        time.sleep(POLL_S)


def _pairs(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(one, other) for one in nodes_of(arguments, "a") for other in nodes_of(arguments, "b") if one != other]


def _together(names: Sequence[str], act: Callable[[str], None]) -> None:
    """Do it to all of them at the same time; the first error is raised when all have ended."""
    if not names:
        raise HeliosError("the step names no node", sqlstate="F0000")
    with ThreadPoolExecutor(max_workers=min(16, len(names))) as pool:
        for done in [pool.submit(act, name) for name in names]:
            done.result()
