"""The services of docker-compose.ha-cluster.yml as processes of this machine: as their image, environment, command and
health check have it, with ports, host names and directories of this machine. Then the tutorials' statements.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.compose import effective, image_environment, read_compose, read_dockerfile
from support.node_process import ROOT, free_port, wait_until
from support.walkthrough import lines, rows

pytestmark = [pytest.mark.slow, pytest.mark.needs("psql", "curl")]

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
        """A command of the tutorials, on the host; what it prints."""
        ports = {str(outer): str(own) for one in self.services.values() for outer, own in one.published.items()}
        words = [re.sub(r"\d{5}", lambda match: ports.get(match[0], match[0]), word) for word in shlex.split(text)]
        environment = {"PATH": self.path, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), "HOME": str(self.home)}
        environment |= {"PGUSER": "helios", "PGPASSWORD": "helios", "PGDATABASE": "heliosdb"}
        done = subprocess.run(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMMAND_S,
        )  # fmt: skip
        assert done.returncode == code, f"{text}\nended with {done.returncode}:\n{done.stdout}"
        return done.stdout

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


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Stack]:
    found = Stack(tmp_path_factory.mktemp("containers"), program, {})
    try:
        found.up()
        yield found
    finally:
        found.close()


def test_writes_are_routed_from_every_node(stack: Stack) -> None:
    """Step 3 of the cluster tutorial."""
    assert stack.sql(15432, "CREATE TABLE users (id INT PRIMARY KEY, name TEXT, created_by TEXT);") == "CREATE TABLE\n"
    assert stack.sql(15442, "INSERT INTO users VALUES (1, 'Alice', 'standby-sync');") == "INSERT 0 1\n"
    assert stack.sql(15452, "INSERT INTO users VALUES (2, 'Bob', 'standby-semisync');") == "INSERT 0 1\n"
    assert lines(stack.sql(15462, "INSERT INTO users VALUES (3, 'Charlie', 'standby-async');", code=1)) == [
        "ERROR: cannot execute write operations in read-only mode (async standby)",
        "HINT: Connect to the primary for write operations, or configure sync mode for transparent routing.",
    ]
    assert lines(stack.sql(15432, "SELECT * FROM users ORDER BY id;")) == [
        "id | name | created_by", "----+-------+------------------", "1 | Alice | standby-sync",
        "2 | Bob | standby-semisync", "(2 rows)",
    ]  # fmt: skip
    assert {one["node_id"] for one in rows(stack.sql(15432, "SELECT node_id, role FROM pg_replication_status;"))} >= {
        "primary", "standby-sync", "standby-semisync", "standby-async",
    }  # fmt: skip


def test_the_proxy_routes_writes_and_spreads_reads(stack: Stack) -> None:
    """Parts 3 to 6 of the hands-on tutorial, through the proxy."""
    create = "CREATE TABLE twr_test (id INTEGER PRIMARY KEY, data TEXT, created_at TEXT DEFAULT CURRENT_TIMESTAMP)"
    assert stack.sql(15400, create) == "CREATE TABLE\n"
    assert stack.sql(15400, "INSERT INTO twr_test (id, data) VALUES (1, 'test data')") == "INSERT 0 1\n"
    for port in (15432, 15442):
        assert " 1 | test data |" in stack.sql(port, "SELECT * FROM twr_test")
    nodes = json.loads(stack.run("curl -s http://localhost:19090/nodes"))
    assert {node["name"] for node in nodes} == {"primary", "standby-sync", "standby-semisync", "standby-async"}
    own = {str(one.ports["5432"]) for one in stack.services.values() if one.is_node and one.name != "observer"}
    seen = {
        stack.run('psql -h localhost -p 15400 -t -c "SELECT inet_server_port()"').strip() for _ in range(3 * len(own))
    }
    assert seen == own
    assert stack.run("curl -s http://localhost:19090/health").strip() == '{"status":"ok"}'


def test_nobody_gets_in_without_the_password(stack: Stack) -> None:
    for port in (15432, 15442, 15452, 15462, 15400):
        said = stack.run(f"env PGPASSWORD=wrong psql -h localhost -p {port} -c 'SELECT 1'", code=2)
        assert "password authentication failed" in said
        own = next(one.published[port] for one in stack.services.values() if port in one.published)
        listening = Path("/proc/net/tcp").read_text()
        assert re.search(rf" 00000000:{own:04X} \S+ 0A ", listening), f"{port} is not open to the network"


def test_a_primary_that_is_stopped_is_replaced_and_follows_when_it_is_back(stack: Stack) -> None:
    """Part 8: ``docker compose stop primary`` and ``start primary``; a write through the proxy waits, and is done."""
    assert stack.sql(15400, "CREATE TABLE outage (id INT PRIMARY KEY)") == "CREATE TABLE\n"
    stack.stop("primary")
    began = time.monotonic()
    assert stack.sql(15400, "INSERT INTO outage VALUES (1)") == "INSERT 0 1\n"
    assert time.monotonic() - began < 30
    stack.start("primary")
    stack.wait_healthy("primary")

    def follows() -> bool:
        status = json.loads(stack.run("curl -s http://localhost:18080/status"))
        return bool(status["role"] == "standby") and "(1 row)" in stack.sql(15432, "SELECT * FROM outage")

    wait_until(follows, "the old primary follows", 30)


def test_the_tutorials_environment_alone_starts_a_node_that_only_its_own_machine_reaches(
    tmp_path: Path, program: Callable[[str], str]
) -> None:
    """What the tutorials' compose files say and no password: the node serves, on loopback, and says why."""
    stack = Stack(tmp_path, program, {})
    service = stack.services["primary"]
    service.described["environment"] = [
        text for text in service.described["environment"] if "PASSWORD" not in text and "SECRET" not in text
    ]
    try:
        stack.start("primary")
        stack.wait_healthy("primary")
        said = stack.said("primary")
        assert "listening on 127.0.0.1 instead of 0.0.0.0: no role has a password" in said
        assert "HELIOSDB_INITIAL_PASSWORD" in said
        listening = Path("/proc/net/tcp").read_text()
        for inner in ("5432", "8080"):  # other nodes need the secret that this one has drawn
            assert re.search(rf" 0100007F:{service.ports[inner]:04X} \S+ 0A ", listening), f"{inner} is open"
    finally:
        stack.close()
    assert (service.home / "data" / "control" / "cluster.secret").stat().st_mode & 0o777 == 0o600
