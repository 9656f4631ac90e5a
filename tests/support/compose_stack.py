"""The services of docker-compose.ha-cluster.yml as processes of this machine: as their image, environment, command and
health check have it, with ports, host names and directories of this machine.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.compose import effective, image_environment, read_compose, read_dockerfile
from support.node_process import ROOT, free_port, wait_until

HEALTHY_S = 60.0
COMMAND_S = 60.0
STAGES = read_dockerfile(ROOT / "Dockerfile")
_PORT_OF = {"5432": "PG_PORT", "5433": "NATIVE_PORT", "8080": "HTTP_PORT"}
_PROGRAM = """#!/bin/sh
exec "{0}" -c "import sys; from helios_cli.cli import {1}; sys.exit({1}())" "$@"
"""


class Service:
    """One service of the compose file."""

    def __init__(self, name: str, described: dict[str, Any], home: Path) -> None:
        self.name, self.described = name, described
        self.home = home / name
        self.home.mkdir()
        self.ports = {port: free_port() for port in ("5432", "5433", "8080", "9090")}
        """By the port inside the container: the one of this machine."""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def published(self) -> dict[int, int]:
        """By the port that a person uses on the host: the one of this machine."""
        pairs = (text.split(":") for text in self.described.get("ports", ()))
        return {int(outer): self.ports[inner] for outer, inner in pairs}

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def is_node(self) -> bool:
        return any(text.startswith("HELIOSDB_ROLE=") for text in self.described["environment"])


class Stack:
    """All services, started in the order of ``depends_on`` as Compose does; a stand-in for its engine."""

    def __init__(self, home: Path, program: Callable[[str], str], environment: dict[str, str]) -> None:
        document = read_compose((ROOT / "docker-compose.ha-cluster.yml").read_text(), environment)
        self.home = home
        self.services = {name: Service(name, one, home) for name, one in document["services"].items()}
        self.programs = home / "bin"
        self.programs.mkdir()
        for name, call in (("heliosdb-nano", "main"), ("heliosdb-cli", "main_sql"), ("heliosdb-proxy", "main_proxy")):
            (self.programs / name).write_text(_PROGRAM.format(sys.executable, call))
            (self.programs / name).chmod(0o755)
        self.variables = {"PGUSER": "helios", "PGPASSWORD": "helios", "PGDATABASE": "heliosdb"}
        """Of the host's shell."""
        self.path = f"{self.programs}:{Path(program('psql')).parent}:/usr/bin:/bin"

    def here(self, service: Service, text: str) -> str:
        """A text of the service's with hosts, ports and paths of this machine."""
        names = "|".join(sorted(self.services, key=len, reverse=True))
        text = re.sub(
            rf"\b({names}):(\d+)\b", lambda match: f"localhost:{self.services[match[1]].ports[match[2]]}", text
        )
        text = re.sub(r"\b(localhost|0\.0\.0\.0):(\d+)\b", lambda match: self._own(service, match), text)
        return text.replace("/data", str(service.home / "data")).replace("/etc/heliosdb", str(service.home))

    def _own(self, service: Service, match: re.Match[str]) -> str:
        return f"{match[1]}:{service.ports.get(match[2], match[2])}"

    def environment(self, service: Service) -> dict[str, str]:
        """Of its process: the image's, the service's own, and where its ports are here."""
        target = service.described["build"]["target"]
        found = image_environment(STAGES, target) | dict(
            pair.split("=", 1) for pair in service.described["environment"]
        )
        found = {name: self.here(service, text) for name, text in found.items() if name != "PATH"}
        if service.is_node:
            found |= {f"HELIOSDB_{name}": str(service.ports[port]) for port, name in _PORT_OF.items()}
        if host := found.get("HELIOSDB_PRIMARY_HOST"):
            found["HELIOSDB_PRIMARY_PORT"] = str(self.services[host].ports[found["HELIOSDB_PRIMARY_PORT"]])
            found["HELIOSDB_PRIMARY_HOST"] = "localhost"
        return found | {"PATH": self.path, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "HOME": str(service.home)}

    def start(self, name: str) -> None:
        """Run the image's entry point with the service's command."""
        service = self.services[name]
        target = service.described["build"]["target"]
        command = service.described.get("command") or json.loads(str(effective(STAGES, target, "CMD")))
        entrypoint = json.loads(str(effective(STAGES, target, "ENTRYPOINT")))
        assert [Path(word).name for word in entrypoint] == ["entrypoint.sh"]
        for volume in service.described.get("volumes", ()):
            source, inside = volume.split(":")[:2]
            if source.startswith("."):
                self._mount(service, ROOT / source, Path(self.here(service, inside)))
        with service.log.open("ab") as log:
            service.process = subprocess.Popen(
                ["/bin/sh", str(ROOT / "deploy" / "entrypoint.sh"), *command], cwd=service.home, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env=self.environment(service),
            )  # fmt: skip

    def _mount(self, service: Service, source: Path, target: Path) -> None:
        text = self.here(service, source.read_text())
        for name, other in self.services.items():
            found = re.search(rf'host = "{name}"\nport = (\d+)', text)
            if found is not None:
                text = text.replace(found[0], f'host = "localhost"\nport = {other.ports[found[1]]}')
        target.write_text(text)

    def is_healthy(self, name: str) -> bool:
        """Run the health check of the service once."""
        service = self.services[name]
        assert service.process is not None and service.process.poll() is None, f"{name} ended:\n{self.said(name)}"
        kind, *check = service.described["healthcheck"]["test"]
        assert kind == "CMD"
        done = subprocess.run(
            [self.here(service, word) for word in check], env=self.environment(service), capture_output=True,
            timeout=COMMAND_S,
        )  # fmt: skip
        return done.returncode == 0

    def up(self) -> None:
        """Start everything, each when what it depends on is as it says; wait until all are healthy."""
        while waiting := [name for name, one in self.services.items() if one.process is None]:
            for name in waiting:
                needs = self.services[name].described.get("depends_on") or {}
                if all(self.services[other].process for other in needs):
                    if isinstance(needs, dict):
                        self.wait_healthy(*needs)
                    self.start(name)
        self.wait_healthy(*self.services)

    def wait_healthy(self, *names: str) -> None:
        for name in names:
            wait_until(partial(self.is_healthy, name), f"{name} is healthy", HEALTHY_S)

    def run(self, text: str, code: int = 0) -> str:
        """A command of the tutorials; what it prints. ``docker exec`` runs it in the environment of a service."""
        said, ended = self._run(text)
        assert ended == code, f"{text}\nended with {ended}:\n{said}"
        return said

    def say(self, text: str) -> str:
        """The same, however it ends."""
        return self._run(text)[0]

    def _run(self, text: str) -> tuple[str, int]:
        words = shlex.split(text)
        if words[:2] == ["docker", "exec"]:
            name, *words = [word for word in words[2:] if word != "-it"]
            service = self.services[name.removeprefix("heliosdb-")]
            environment, words = self.environment(service), [self.here(service, word) for word in words]
        else:
            ports = {str(outer): str(own) for one in self.services.values() for outer, own in one.published.items()}
            words = [re.sub(r"\d{5}", lambda match: ports.get(match[0], match[0]), word) for word in words]
            environment = {"PATH": self.path, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), "HOME": str(self.home)}
            environment |= self.variables
        done = subprocess.run(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMMAND_S,
        )  # fmt: skip
        return done.stdout, done.returncode

    def sql(self, port: int, statement: str, code: int = 0) -> str:
        return self.run(f"psql -h localhost -p {port} -c {shlex.quote(statement)}", code)

    def stop(self, name: str) -> None:
        """As ``docker compose stop``: SIGTERM, and SIGKILL after the grace period."""
        process = self.services[name].process
        assert process is not None
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            pytest.fail(f"{name} did not stop within its grace period:\n{self.said(name)}")

    def said(self, name: str) -> str:
        return self.services[name].log.read_text(errors="replace")[-3000:] if self.services[name].log.exists() else ""

    def close(self) -> None:
        for name, one in self.services.items():
            if one.process is not None:
                one.process.send_signal(signal.SIGKILL)
                one.process.wait()
                sys.stdout.write(f"--- {name}\n{self.said(name)}\n")
