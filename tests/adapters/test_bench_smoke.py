"""The benchmark's harness end to end, with PostgreSQL on both sides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.runner import Plan, Runner
from bench.servers import PostgresServer, Server, ServerFailed, postgres_binaries

pytestmark = [pytest.mark.needs("postgres", "pgbench", "psql"), pytest.mark.slow]


class Broken(Server):
    """A server that ends at once."""

    name = "broken"
    database = "x"

    def prepare(self) -> None:
        pass

    def command(self) -> list[str]:
        return ["sh", "-c", "echo cannot run here; exit 3"]


@pytest.fixture
def public_path(tmp_path: Path) -> Iterator[Path]:
    """A directory that another user, as whom the server runs under root, can reach."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.owner() == tmp_path.owner() and directory != Path(directory.anchor):
            directory.chmod(directory.stat().st_mode | 0o011)
    yield tmp_path


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_two_postgresql_servers_are_compared_and_leave_nothing(public_path: Path) -> None:
    binaries = postgres_binaries()
    assert binaries is not None
    plan = Plan(rounds=1, seconds=1, scale=1, copy_rows=1000, idle_connections=5, quick=True, only="8-simple")
    said: list[str] = []

    def make() -> Server:
        return PostgresServer(binaries, public_path)

    runner = Runner(plan, make, make, said.append)
    try:
        measurements = {item.name: item for item in runner.run(public_path)}
        processes = [process for server in runner._servers.values() for process in server.processes()]
    finally:
        runner.close()
    assert set(measurements) == {"select-8-simple", "update-8-simple", "tpcb-8-simple"}
    for measurement in measurements.values():
        assert measurement.errors == []
        assert measurement.ratio is not None
        assert 0.02 < measurement.ratio < 50
    assert len(processes) >= 4
    assert [process for process in processes if alive(process)] == []
    assert [path.name for path in public_path.iterdir()] == ["update.sql"]
    json.dumps([item.record() for item in measurements.values()])
    assert runner.versions["ours"].startswith("15.")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    server = Broken(tmp_path)
    with pytest.raises(ServerFailed, match="cannot run here"):
        server.start()
    server.remove()
    assert list(tmp_path.iterdir()) == []
