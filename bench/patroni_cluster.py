"""The best-known stack for the same purpose, to be measured beside ours: PostgreSQL, Patroni and etcd.

Three servers with the fastest settings that Patroni takes (``ttl`` 20, ``loop_wait`` 1, ``retry_timeout`` 3; its own
are 30, 10, 10) and ``synchronous_mode``, so that no acknowledged commit is lost. From Debian's packages ``patroni``,
``etcd-server`` and ``postgresql-15``; run as user postgres when we are root, whom PostgreSQL refuses.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg

from bench.servers import free_port, postgres_binaries

SETTINGS: Final = {"ttl": 20, "loop_wait": 1, "retry_timeout": 3, "synchronous_mode": True}
SETTLED_S: Final = 120.0


def is_installed() -> bool:
    """Whether all that it needs is here."""
    return None not in (shutil.which("patroni"), shutil.which("etcd"), postgres_binaries())


class PatroniNode:
    """One server and the Patroni that minds it."""

    def __init__(self, directory: Path, name: str, etcd: str) -> None:
        self.name = name
        self.directory = directory
        self.pg_port, self.rest_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._etcd = etcd
        binaries = postgres_binaries()
        assert binaries is not None
        self._binaries = binaries

    def start(self, *, wait: bool = True) -> PatroniNode:
        """Start Patroni, which starts the server; it is not waited for."""
        del wait
        path = self.directory / "patroni.json"
        path.write_text(json.dumps(self._configuration()))
        account: dict[str, Any] = {}
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            account = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            for each in (self.directory, path):
                os.chown(each, owner.pw_uid, owner.pw_gid)
        with (self.directory / "patroni.log").open("ab") as log:
            self._process = subprocess.Popen(
                [shutil.which("patroni") or "patroni", str(path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                env={"PATH": os.environ["PATH"], "HOME": str(self.directory)}, **account,
            )  # fmt: skip
        return self

    def _configuration(self) -> dict[str, Any]:
        user = {"username": "postgres"}
        return {
            "scope": "bench",
            "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.rest_port}", "connect_address": f"127.0.0.1:{self.rest_port}"},
            "etcd3": {"hosts": self._etcd.partition("://")[2]},
            "bootstrap": {
                "dcs": SETTINGS | {"postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 200}}},
                "initdb": [{"encoding": "UTF8"}, "data-checksums"],
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust",
                           "host replication all 127.0.0.1/32 trust"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.pg_port}", "connect_address": f"127.0.0.1:{self.pg_port}",
                "data_dir": str(self.directory / "data"), "bin_dir": str(self._binaries),
                "authentication": {"superuser": user, "replication": user, "rewind": user},
                "parameters": {"unix_socket_directories": str(self.directory)},
            },
        }  # fmt: skip

    def ask(self, path: str, body: Any = None, timeout_s: float = 1.0) -> int:
        """The status that Patroni's HTTP face answers; 0 when it does not."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest_port}{path}", data, timeout=timeout_s) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except (OSError, ValueError):
            return 0

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """As the superuser, in autocommit."""
        return psycopg.connect(
            host="127.0.0.1", port=self.pg_port, user="postgres", dbname="postgres", autocommit=True, connect_timeout=5
        )

    def _processes(self) -> list[psutil.Process]:
        """Patroni, the server, and all of their children."""
        roots = [self._process.pid] if self._process is not None else []
        with contextlib.suppress(OSError, ValueError):
            roots.append(int((self.directory / "data" / "postmaster.pid").read_text().split()[0]))
        found: dict[int, psutil.Process] = {}
        for pid in roots:
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(pid)
                found |= {one.pid: one for one in (root, *root.children(recursive=True))}
        return list(found.values())

    def send(self, number: signal.Signals) -> None:
        """A signal to all of them."""
        for one in self._processes():
            with contextlib.suppress(psutil.Error):
                one.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to all of them. Idempotent."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None


class PatroniCluster:
    """Three of them and an etcd, with the faults of :class:`bench.failover.Cluster`."""

    database = "postgres"

    def __init__(self, directory: Path) -> None:
        from support.etcd_server import EtcdProcess
        from support.node_process import wait_until

        self._wait_until = wait_until
        if os.getuid() == 0:
            directory.chmod(0o755)
        self._etcd = EtcdProcess(directory / "etcd").start()
        self.nodes: list[PatroniNode] = []
        for number in (1, 2, 3):
            place = directory / f"p{number}"
            place.mkdir()
            self.nodes.append(PatroniNode(place, f"p{number}", self._etcd.endpoint))

    def start(self) -> None:
        """The first makes the database, the others copy it."""
        for node in self.nodes:
            node.start()
            self._wait_until(lambda: any(map(self.leads, self.nodes)), "one leads", SETTLED_S)
        self.settle()

    def leads(self, node: PatroniNode) -> bool:
        """Whether Patroni says that its server is the primary."""
        return node.ask("/primary") == 200

    def primary(self) -> PatroniNode:
        """The one that leads."""
        return next(node for node in self.nodes if self.leads(node))

    def settle(self) -> None:
        """Wait until one leads, both others stream from it, and one of them is synchronous."""

        def is_settled() -> bool:
            for node in self.nodes:
                if self.leads(node):
                    with contextlib.suppress(psycopg.Error), node.connect() as connection:
                        rows = connection.execute("SELECT state, sync_state FROM pg_stat_replication").fetchall()
                        return [state for state, _ in rows] == ["streaming"] * 2 and any(
                            sync == "sync" for _, sync in rows
                        )
            return False

        self._wait_until(is_settled, "one leads, and both others follow it", SETTLED_S)

    def close(self) -> None:
        """Kill them."""
        for node in self.nodes:
            node.kill()
        self._etcd.kill()

    def kill(self) -> tuple[float, Callable[[], object]]:
        """SIGKILL of the primary and of its Patroni, as when the machine is gone."""
        primary = self.primary()
        primary.kill()
        return time.monotonic(), primary.start

    def freeze(self) -> tuple[float, Callable[[], object]]:
        """SIGSTOP of both; twice, for the processes that were made meanwhile."""
        primary = self.primary()
        for _ in range(2):
            primary.send(signal.SIGSTOP)
        return time.monotonic(), lambda: primary.send(signal.SIGCONT)

    def switchover(self) -> tuple[float, Callable[[], object]]:
        """As ``patronictl switchover`` asks for it, again while Patroni finds nobody who could."""
        primary, deadline = self.primary(), time.monotonic() + SETTLED_S
        while True:
            moment = time.monotonic()
            code = primary.ask("/switchover", {"leader": primary.name}, timeout_s=SETTLED_S)
            if code == 200:
                return moment, lambda: None
            if moment > deadline:
                raise AssertionError(f"no switchover: {code}")
            time.sleep(0.5)
