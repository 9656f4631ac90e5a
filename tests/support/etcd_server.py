"""A real etcd of one member on free ports and a directory of its own: the fixtures ``etcd`` and ``make_etcd``.

It is killed by pid at the end of its test. Debian's package is ``etcd-server``; ``etcd`` must be on the path.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import pytest
from support.network import Host
from support.node_process import free_port, wait_until

START_S = 20.0
PASSWORD = "a password of etcd"


class EtcdProcess:
    """One member, which is a whole cluster; ``address`` is where others reach it."""

    def __init__(self, directory: Path, flags: Sequence[str] = (), *, address: str = "127.0.0.1") -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.log_path = directory / "etcd.log"
        self.flags = list(flags)
        self.address = address
        self.scheme = "https" if "--cert-file" in flags else "http"
        self.client_port, self.peer_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """As ``etcd_endpoints`` has it."""
        return f"{self.scheme}://{self.address}:{self.client_port}"

    @property
    def node_flags(self) -> tuple[str, ...]:
        """Flags of a node that goes by this etcd, which gives the lead back as soon as it can."""
        return ("--authority", "etcd", "--etcd-endpoints", self.endpoint, "--etcd-ttl", "2s")

    def entered(self) -> AbstractContextManager[None]:
        """Where the process runs."""
        return nullcontext()

    def start(self, *, wait: bool = True) -> EtcdProcess:
        """Start, and wait until it is healthy."""
        self.directory.mkdir(parents=True, exist_ok=True)
        client = f"{self.scheme}://{self.address}:{self.client_port}"
        other = f"http://127.0.0.1:{self.peer_port}"
        command = [
            "etcd", "--name", "one", "--data-dir", str(self.data_dir), "--listen-client-urls", client,
            "--advertise-client-urls", client, "--listen-peer-urls", other, "--initial-advertise-peer-urls", other,
            "--initial-cluster", f"one={other}", *self.flags,
        ]  # fmt: skip
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("ETCD")}
        with self.entered(), self.log_path.open("ab") as log:
            self._process = subprocess.Popen(command, env=inherited, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            self.wait_serving()
        return self

    def wait_serving(self) -> None:
        """Wait until it takes requests."""

        def serving() -> bool:
            assert self._process is not None and self._process.poll() is None, self.log_path.read_text()[-2000:]
            return self.log_path.read_text(errors="replace").count("ready to serve client requests") >= self._starts

        self._starts = getattr(self, "_starts", 0) + 1
        wait_until(serving, "etcd serves", START_S)

    def kill(self) -> None:
        """SIGKILL, and wait for the end. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def forget(self) -> None:
        """Kill it, and take its disk."""
        self.kill()
        shutil.rmtree(self.data_dir)

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP or SIGCONT."""
        assert self._process is not None
        self._process.send_signal(number)

    def control(self, *arguments: str, flags: Sequence[str] = (), given: str | None = None) -> str:
        """Run etcdctl, with that on its input; what it says."""
        command = ["etcdctl", "--endpoints", self.endpoint, *flags, *arguments]
        with self.entered():
            ran = subprocess.run(
                command, input=given, capture_output=True, text=True, timeout=20, env={**os.environ, "ETCDCTL_API": "3"}
            )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def keys(self) -> dict[str, str]:
        """All keys and their values."""
        lines = self.control("get", "", "--prefix").splitlines()
        return dict(zip(lines[::2], lines[1::2], strict=True))

    def reached(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False


class HostedEtcd(EtcdProcess):
    """One on a host of a network, which nodes reach by its address."""

    def __init__(self, host: Host, directory: Path) -> None:
        super().__init__(directory, address=host.address)
        self.host = host

    def entered(self) -> AbstractContextManager[None]:
        """On its host."""
        return self.host.entered()


def missing_for_etcd() -> str:
    """What this machine lacks; empty when nothing."""
    for program in ("etcd", "etcdctl"):
        if shutil.which(program) is None:
            return f"{program} is not installed (make deps)"
    return ""


class MakeEtcd(Protocol):
    """Starts an etcd with further flags."""

    def __call__(self, *flags: str) -> EtcdProcess: ...


def need_etcd() -> None:
    """Skip by name where there is no etcd, or fail where CI promises it."""
    missing = missing_for_etcd()
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture
def make_etcd(tmp_path: Path) -> Iterator[MakeEtcd]:
    """A function that makes one, each in a directory of its own."""
    need_etcd()
    made: list[EtcdProcess] = []

    def make(*flags: str) -> EtcdProcess:
        made.append(EtcdProcess(tmp_path / f"etcd{len(made) + 1}", flags).start())
        return made[-1]

    yield make
    for each in made:
        each.kill()
        sys.stdout.write(f"--- etcd\n{each.log_path.read_text(errors='replace')[-1000:]}\n")


@pytest.fixture
def etcd(make_etcd: MakeEtcd) -> EtcdProcess:
    """One that serves."""
    return make_etcd()
