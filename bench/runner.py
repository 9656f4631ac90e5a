"""The order of measuring: each cell on both servers in turn, round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import cells, pgbench, replication, resources
from bench.pgbench import RunFailed
from bench.results import Measurement
from bench.servers import Server, ServerFailed


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure and for how long."""

    rounds: int
    seconds: float
    scale: int
    copy_rows: int
    idle_connections: int
    quick: bool = False
    frozen_s: float = 60.0
    """How long a standby stands still before it catches up."""
    switchovers: int = 50
    standbys: int = 20
    only: str | None = None
    """Part of a name; None measures everything."""

    def wants(self, name: str, *, quick: bool) -> bool:
        """Whether the cell of that name is measured; a name asked for is, even in a short run."""
        if self.only is not None:
            return self.only in name
        return quick or not self.quick


Make = Callable[[], Server]


class Runner:
    """Measures our server against another; ``make_theirs`` is None when PostgreSQL is not installed."""

    def __init__(
        self,
        plan: Plan,
        make_ours: Make,
        make_theirs: Make | None,
        say: Callable[[str], None],
        pairs: Mapping[str, Make] | None = None,
    ) -> None:
        """``pairs`` make a primary with its synchronous standby, by side."""
        self.plan = plan
        self._pairs = pairs or {}
        self.versions: dict[str, str] = {}
        self._makers: dict[str, Make] = {"ours": make_ours}
        if make_theirs is not None:
            self._makers["theirs"] = make_theirs
        self._servers: dict[str, Server] = {}
        self._say = say

    def run(self, workspace: Path) -> Iterator[Measurement]:
        """Every measurement asked for, as it is done. Raises ServerFailed when a server does not start at all."""
        yield from self._replicated(workspace)
        yield from self._replication(workspace)
        if self.plan.only is not None and self.plan.only.startswith("replica"):
            return
        startup = [Measurement(f"startup-{kind}", "s", "lower") for kind in ("fresh", "existing")]
        for side, make in self._makers.items():
            self._servers[side] = make()
        self._start(startup)
        yield from (item for item in startup if self.plan.wants(item.name, quick=True))
        yield from self._memory()
        yield from self._pgbench(workspace)
        yield from self._copy(workspace)

    def _replicated(self, workspace: Path) -> Iterator[Measurement]:
        wanted = [cell for cell in cells.replicated_cells() if self.plan.wants(cell.name, quick=cell.quick)]
        if not wanted or not self._pairs:
            return
        script = workspace / "update.sql"
        script.write_text(cells.UPDATE_SCRIPT)
        for side, make in self._pairs.items():
            self._servers[side] = server = make()
            self._say(f"starting {server.name} with a synchronous standby")
            server.prepare()
            server.start()
        failure = self._load()
        for cell in wanted:
            measurement = Measurement(cell.name, "tps", must=cell.must, errors=list(failure))
            options = cell.options({"replicated-update": str(script)}, self.plan.scale)
            yield self._measure(measurement, self._timed_run(measurement, options, cell.clients))
        self.close()

    def _replication(self, workspace: Path) -> Iterator[Measurement]:
        plan = self.plan
        sizes = replication.Sizes(plan.seconds, plan.scale, plan.frozen_s, plan.switchovers, plan.standbys)
        for figure in replication.figures() if self._pairs else ():
            if plan.wants(figure.name, quick=False):
                yield figure.run(workspace, sizes, self._say)

    def close(self) -> None:
        """Stop the servers and delete their directories."""
        for server in self._servers.values():
            server.remove()
        self._servers.clear()

    def _start(self, startup: Sequence[Measurement]) -> None:
        fresh, existing = startup
        for side, server in self._servers.items():
            self._say(f"starting {server.name}")
            fresh_s = timed(server.prepare) + server.start()
            server.stop()
            rounds = fresh.ours if side == "ours" else fresh.theirs
            rounds.append(fresh_s)
            for _ in range(3 if not self.plan.quick else 1):
                server.stop()
                (existing.ours if side == "ours" else existing.theirs).append(server.start())
            self.versions[side] = server.version()

    def _memory(self) -> Iterator[Measurement]:
        count = self.plan.idle_connections
        idle = Measurement("memory-idle", "MB", "lower")
        many = Measurement(f"memory-{count}-connections", "MB", "lower", note="each connection ran one statement")
        if self.plan.wants(idle.name, quick=True):
            yield self._measure(idle, lambda server: resources.memory_bytes(server) / 1e6, rounds=1)
        if self.plan.wants(many.name, quick=False):
            yield self._measure(
                many, lambda server: resources.memory_with_idle_connections(server, count) / 1e6, rounds=1
            )

    def _pgbench(self, workspace: Path) -> Iterator[Measurement]:
        wanted = [cell for cell in cells.pgbench_cells() if self.plan.wants(cell.name, quick=cell.quick)]
        writes = self.plan.wants("written-per-update", quick=False)
        if not wanted and not writes:
            return
        script = workspace / "update.sql"
        script.write_text(cells.UPDATE_SCRIPT)
        failure = self._load()
        for cell in wanted:
            measurement = Measurement(cell.name, "tps", must=cell.must, errors=list(failure))
            options = cell.options({"update": str(script)}, self.plan.scale)
            yield self._measure(measurement, self._timed_run(measurement, options, cell.clients))
        if writes and not failure:
            yield from self._written(script)

    def _load(self) -> list[str]:
        """Fill the tables; the errors, none when all went well."""
        errors = []
        for side, server in self._servers.items():
            self._say(f"pgbench -i -s {self.plan.scale} on {server.name}")
            try:
                pgbench.initialize(server.endpoint, self.plan.scale)
            except RunFailed as error:
                errors.append(f"{side}: {error}")
        return errors

    def _timed_run(self, measurement: Measurement, options: list[str], clients: int) -> Callable[[Server], float]:
        def once(server: Server) -> float:
            done = pgbench.run(server.endpoint, options, clients=clients, seconds=self.plan.seconds)
            measurement.latency_ms[server.name] = done.latency_ms
            return done.tps

        return once

    def _written(self, script: Path) -> Iterator[Measurement]:
        """Bytes to disk and bytes of log for one durable one-row update, a checkpoint included, at 8 clients."""
        meter = resources.WriteMeter(list(self._servers.values()))
        note = f"8 clients, checkpoint included, {meter.note}"
        written = Measurement("written-per-update", "bytes", "lower", note=note)
        logged = Measurement("log-per-update", "bytes", "lower", note="8 clients")

        def once(server: Server) -> float:
            pgbench.psql(server.endpoint, "CHECKPOINT")
            bytes_before, log_before = meter.read(server), resources.log_position(server)
            options = ["-f", str(script), "-D", f"scale={self.plan.scale}"]
            done = pgbench.run(server.endpoint, options, clients=8, seconds=self.plan.seconds)
            log_after = resources.log_position(server)
            if log_before is not None and log_after is not None:
                side = logged.ours if server is self._servers["ours"] else logged.theirs
                side.append((log_after - log_before) / done.transactions)
            pgbench.psql(server.endpoint, "CHECKPOINT")
            return (meter.read(server) - bytes_before) / done.transactions

        yield self._measure(written, once, rounds=1)
        yield logged

    def _copy(self, workspace: Path) -> Iterator[Measurement]:
        measurement = Measurement("copy", "rows/s", must=cells.MUST_COPY)
        measurement.note = f"{self.plan.copy_rows} rows of pgbench_accounts through psql, with a primary key"
        if not self.plan.wants(measurement.name, quick=True):
            return
        path = workspace / "accounts.txt"
        resources.write_copy_file(path, self.plan.copy_rows)
        columns = "aid int NOT NULL PRIMARY KEY, bid int, abalance int, filler char(84)"

        def once(server: Server) -> float:
            endpoint = server.endpoint
            pgbench.psql(endpoint, "DROP TABLE IF EXISTS bench_copy", f"CREATE TABLE bench_copy ({columns})")
            seconds = pgbench.psql(endpoint, f"\\copy bench_copy from '{path}'", timeout_s=600)
            return self.plan.copy_rows / seconds

        yield self._measure(measurement, once, rounds=min(3, self.plan.rounds))

    def _measure(
        self, measurement: Measurement, once: Callable[[Server], float], rounds: int | None = None
    ) -> Measurement:
        """Alternate between the servers, the first one changing each round; a side that fails is not tried again."""
        for number in range(rounds or self.plan.rounds):
            order = list(self._servers.items())
            for side, server in order if number % 2 == 0 else order[::-1]:
                if any(error.startswith(side) for error in measurement.errors):
                    continue
                self._say(f"{measurement.name}, round {number + 1}, {server.name}")
                try:
                    value = once(server)
                except (RunFailed, ServerFailed, psycopg.Error, OSError) as error:
                    measurement.errors.append(f"{side}: {str(error).splitlines()[0]}")
                    continue
                (measurement.ours if side == "ours" else measurement.theirs).append(value)
        return measurement


def timed(action: Callable[[], None]) -> float:
    """Seconds that ``action`` takes."""
    import time

    started = time.perf_counter()
    action()
    return time.perf_counter() - started
