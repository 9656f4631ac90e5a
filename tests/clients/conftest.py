"""One node for all tests of a module, and the real PostgreSQL beside it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import find_program
from support.node_process import NodeProcess, free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that all tests of a module share. A test that stops it or changes its settings takes ``make_node``."""
    node = NodeProcess(tmp_path_factory.mktemp("server")).start()
    yield node
    node.kill()
    print(f"--- server\n{node.log_tail()}")


@pytest.fixture(scope="session")
def reference() -> Iterator[int]:
    """The port of a real PostgreSQL server, started for the tests; skips when none is installed."""
    initdb, postgres = find_program("initdb"), find_program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL's server is not installed (make deps)")
    account = pwd.getpwnam("postgres") if os.getuid() == 0 else None
    who = {"user": account.pw_uid, "group": account.pw_gid} if account else {}
    directory = Path(tempfile.mkdtemp(prefix="reference-"))
    if account:
        os.chown(directory, account.pw_uid, account.pw_gid)
    port = free_port()
    data, log = directory / "data", directory / "log"
    control = [str(Path(postgres).with_name("pg_ctl")), "-D", str(data), "-l", str(log), "-w"]
    run = {"cwd": directory, "check": True, "stdout": subprocess.DEVNULL, **who}
    subprocess.run([initdb, "-D", str(data), "-A", "trust", "-U", "postgres", "-N"], **run)  # type: ignore[call-overload]
    subprocess.run([*control, "-o", f"-p {port} -k {directory} -c fsync=off", "start"], **run)  # type: ignore[call-overload]
    yield port
    subprocess.run([*control, "-m", "immediate", "stop"], **run)  # type: ignore[call-overload]
    shutil.rmtree(directory, ignore_errors=True)
