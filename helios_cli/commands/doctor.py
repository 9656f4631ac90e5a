"""``doctor``: check a machine or a cluster, and say what to do about each finding."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from helios_cli.commands import _admin, _options
from helios_cli.commands._admin import Asked
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._findings import Finding
from helios_cli.commands._output import print_json, print_table
from helios_cli.engine.config.checks import binding
from helios_cli.engine.config.problems import ConfigProblems
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.observe import machine
from helios_cli.engine.storage.dirlock import running_holder
from helios_cli.engine.storage.first_password import VARIABLE as FIRST_PASSWORD

app = typer.Typer(add_completion=False)

NETWORK_FILE_SYSTEMS: Final = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "vboxsf"}
SQLITE_FLOOR: Final = (3, 51, 3)
"""Older ones can corrupt a database when the WAL restarts (sqlite.org, release notes of 3.51.3)."""
RELEASED_S: Final = 1_767_225_600
"""2026-01-01: a clock before it is wrong."""
MIB: Final = 1 << 20


Check = Callable[[Settings], Finding]


@app.command()
@_admin.orders
def doctor(
    asked: Asked,
    proxy: Annotated[
        list[str] | None,
        typer.Option("--proxy", metavar="HOST:PORT", help="Admin address of a proxy; may be repeated."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 6 when there are warnings.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Check this machine before a node runs on it, or a cluster that runs, and say what to do about each finding.

    The machine: versions, disk, ports, limits, clock, configuration, data. The cluster of cluster.toml, or of --node:
    whether all answer, who leads, versions, clocks, votes, copies, addresses, alarms, proxies, tokens. With --node the
    cluster alone. Exit code 1 when a check failed.

    Examples:

        heliosdb-nano doctor

        heliosdb-nano doctor --data-dir /var/lib/heliosdb --json

        heliosdb-nano doctor --node db1.example.com:8080 --proxy proxy.example.com:9090 --strict
    """
    findings = _all_findings(asked, proxy or [])
    failed = sum(one.verdict == "failed" for one in findings)
    warnings = sum(one.verdict == "warning" for one in findings)
    if as_json:
        print_json({"failed": failed, "warnings": warnings, "checks": [asdict(one) for one in findings]})
    else:
        print_table(("check", "verdict", "detail"), [(one.check, one.verdict, one.detail) for one in findings])
        for one in findings:
            if one.hint:
                typer.echo(f"hint: {one.check}: {one.hint}", err=True)
    if failed:
        return ExitCode.FAILED
    return ExitCode.DEGRADED if warnings and strict else ExitCode.OK


def _all_findings(asked: Asked, proxies: list[str]) -> list[Finding]:
    """Of the machine, of the cluster, or of both."""
    from helios_cli.commands import _cluster_checks, _cluster_look
    from helios_cli.commands.local import clusterfile

    if asked.node is not None:
        return _cluster_checks.examine(_cluster_look.look(asked, proxies))
    found = clusterfile.find(asked.directory, os.environ) if asked.data_dir is None and asked.config is None else None
    cluster = clusterfile.read(found) if found is not None else None
    if cluster is None:
        if proxies:
            raise ConfigError("--proxy is checked against a cluster", hint="Name one of its nodes: --node HOST:PORT")
        return examine(asked.data_dir, asked.config)
    if cluster.proxy is not None and not proxies:
        proxies = [f"{cluster.asked_at(cluster.proxy)}:{cluster.proxy.admin_port}"]
    picture = _cluster_look.look(asked, proxies)
    place = replace(Settings(), data_dir=str(cluster.directory))
    machine_checks = [_python(), _sqlite(), *(check(place) for check in _ANYWHERE)]
    if not picture.heard():
        hint = "heliosdb-nano cluster up starts them."
        return [*machine_checks, Finding("cluster", "warning", f"no node of {cluster.path} runs", hint)]
    return [*machine_checks, *_cluster_checks.examine(picture)]


def examine(data_dir: str | None, config: str | None) -> list[Finding]:
    """Every finding about the machine, in the order they are printed; a broken configuration leaves the defaults to be
    checked.
    """
    findings = [_python(), _sqlite()]
    try:
        loaded = _options.load({"data_dir": data_dir}, config)
        findings += [Finding("configuration", "warning", str(one), one.hint or "") for one in loaded.warnings]
        if not loaded.warnings:
            findings.append(Finding("configuration", "ok", loaded.settings.config_file or "no file, defaults"))
        settings = loaded.settings
    except ConfigProblems as error:
        findings += [Finding("configuration", "failed", str(one), one.hint or "") for one in error.problems]
        settings = Settings(data_dir=data_dir or Settings().data_dir)
    checks: tuple[Check, ...] = (_directory, _permissions, *_ANYWHERE, _network, _etcd)
    return [*findings, *(check(settings) for check in checks), *_ports(settings)]


def _python() -> Finding:
    version = machine.python_version()
    text = ".".join(map(str, version))
    if (3, 11) <= version[:2] <= (3, 13):
        return Finding("python", "ok", text)
    return Finding("python", "failed", text, "Use Python 3.11, 3.12 or 3.13.")


def _sqlite() -> Finding:
    text = machine.sqlite_version()
    if not text:
        return Finding("sqlite", "failed", "the package apsw cannot be loaded", "Run make install again.")
    if tuple(int(part) for part in text.split(".")[:3]) < SQLITE_FLOOR:
        return Finding("sqlite", "failed", text, "Below 3.51.3 a WAL restart can corrupt a database: upgrade apsw.")
    return Finding("sqlite", "ok", text)


def _directory(settings: Settings) -> Finding:
    path = Path(settings.data_dir)
    if not path.exists():
        return Finding("data directory", "ok", f"{path} does not exist yet")
    if not path.is_dir():
        return Finding("data directory", "failed", f"{path} is no directory", "Name another with --data-dir.")
    holder = running_holder(settings.data_dir)
    if holder is not None:
        return Finding("data directory", "ok", f"{path}: in use by process {holder.pid}")
    names = {one.name for one in path.iterdir()}
    if {"db", "log"} <= names:
        return Finding("data directory", "ok", f"{path}: a stopped node")
    if names - {"heliosdb.conf", "heliosdb.auto.conf", "lock", "lost+found"}:
        hint = "A node creates its files in an empty directory; name another with --data-dir."
        return Finding("data directory", "warning", f"{path}: holds other files", hint)
    return Finding("data directory", "ok", f"{path}: empty")


def _permissions(settings: Settings) -> Finding:
    path = Path(settings.data_dir)
    there = machine.existing_parent(path)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("permissions", "failed", f"{there} cannot be written", f"chown it to user id {os.getuid()}.")
    mode = there.stat().st_mode & 0o777
    if there == path.absolute() and mode & 0o022:
        return Finding("permissions", "failed", f"others may write {path} ({mode:o})", f"chmod 700 {path}")
    if there == path.absolute() and mode & 0o055:
        return Finding("permissions", "warning", f"others may read {path} ({mode:o})", f"chmod 700 {path}")
    return Finding("permissions", "ok", f"{there} ({mode:o})")


def _file_system(settings: Settings) -> Finding:
    name = machine.file_system(Path(settings.data_dir))
    if name in NETWORK_FILE_SYSTEMS:
        return Finding("file system", "failed", name, "SQLite's WAL needs shared memory: use a local file system.")
    if name in ("tmpfs", "ramfs"):
        return Finding("file system", "warning", f"{name}: nothing survives a restart of the machine")
    return Finding("file system", "ok", name or "unknown")


def _space(settings: Settings) -> Finding:
    free = machine.free_bytes(Path(settings.data_dir)) // MIB
    wanted = settings.wal_max_mb + settings.log_retention_mb + 4 * settings.log_segment_mb
    if free < 4 * settings.log_segment_mb:
        return Finding("free space", "failed", f"{free} MiB", f"At least {4 * settings.log_segment_mb} MiB are needed.")
    if free < wanted:
        hint = f"WAL and log may take {wanted} MiB: lower wal_max_mb or log_retention_mb."
        return Finding("free space", "warning", f"{free} MiB", hint)
    return Finding("free space", "ok", f"{free} MiB")


def _sync(settings: Settings) -> Finding:
    try:
        latency = machine.sync_latency_ms(Path(settings.data_dir))
    except OSError as error:
        return Finding("sync latency", "failed", error.strerror or str(error), "The data directory must be writable.")
    text = f"{latency:.2f} ms for 4 KiB, so about {1000 / max(latency, 0.001):.0f} commit groups a second"
    if latency > 20:
        return Finding("sync latency", "warning", text, "Commits wait for this: use a faster disk.")
    return Finding("sync latency", "ok", text)


def _log_writer(settings: Settings) -> Finding:
    from helios_cli.engine.storage.uring import Uring

    try:
        Uring()
    except OSError as error:
        reason = error.strerror or str(error)
        if settings.io_method == "io_uring":
            return Finding("io_method", "failed", reason, "Set io_method to worker, or to auto.")
        return Finding("io_method", "ok", f"worker: {reason}")
    return Finding("io_method", "ok", "worker" if settings.io_method == "worker" else "io_uring")


def _open_files(settings: Settings) -> Finding:
    limit, wanted = machine.open_files_max(), settings.max_connections + 256
    if limit != -1 and limit < wanted:
        hint = f"Raise it (ulimit -n {wanted}) or lower max_connections to {max(1, limit - 256)}."
        return Finding("open files", "warning", f"limit {limit}", hint)
    return Finding("open files", "ok", "no limit" if limit == -1 else f"limit {limit}")


def _file_size(settings: Settings) -> Finding:
    limit = machine.file_size_max()
    if limit != -1:
        return Finding("file size", "warning", f"limit {limit // MIB} MiB", "Lift it: ulimit -f unlimited")
    return Finding("file size", "ok", "no limit")


def _memory(settings: Settings) -> Finding:
    available = machine.memory_available_bytes() // MIB
    if available < 256:
        return Finding("memory", "warning", f"{available} MiB available", "A busy node wants 256 MiB and more.")
    return Finding("memory", "ok", f"{available} MiB available")


def _clock(settings: Settings) -> Finding:
    if machine.wall_clock_s() < RELEASED_S:
        return Finding("clock", "failed", "the date is in the past", "Set the clock, and let NTP keep it.")
    drift = machine.clock_drift_ms()
    if abs(drift) > 20:
        return Finding("clock", "warning", f"jumped {drift:.0f} ms while watched", "Check the time service.")
    return Finding("clock", "ok", "steady")


def _etcd(settings: Settings) -> Finding:
    if settings.authority != "etcd":
        return Finding("authority", "ok", settings.authority)
    from helios_cli.engine.consensus.authority import Keys
    from helios_cli.engine.net.etcd import Access, Etcd

    try:
        etcd = Etcd(Access.of(settings), Keys(settings.etcd_prefix.rstrip("/"), "doctor"))
        etcd.read()
    except HeliosError as error:
        return Finding("authority", "failed", error.message, error.hint or "")
    return Finding("authority", "ok", f"etcd answers at {etcd.endpoint}")


def _network(settings: Settings) -> Finding:
    has_password = bool(settings.initial_password_file or os.environ.get(FIRST_PASSWORD))
    bound = binding(settings, has_credentials=has_password)
    if bound.warning is not None:
        return Finding("network", "warning", bound.warning, "Set auth = scram before the first remote client.")
    return Finding("network", "ok", f"{bound.address}, auth {settings.auth}")


def _ports(settings: Settings) -> list[Finding]:
    holder = running_holder(settings.data_dir)
    findings = []
    for name in ("pg_port", "native_port", "http_port"):
        use = machine.port_use(settings.listen_address, getattr(settings, name))
        ours = holder is not None and use.pid == holder.pid
        if use.free or ours:
            findings.append(Finding(name, "ok", f"{use.port} {'is this node' if ours else 'is free'}"))
        else:
            flag = "--" + name.replace("_", "-")
            findings.append(Finding(name, "failed", f"{use.port} is held by {use.holder}", f"Choose another: {flag}"))
    return findings


_ANYWHERE: Final[tuple[Check, ...]] = (
    _file_system, _space, _sync, _log_writer, _open_files, _file_size, _memory, _clock,
)  # fmt: skip
"""Checks that any directory of data can have."""
