"""Runs on the disk: a directory each beside the cluster's file, with the journal, the workloads' logs, the report."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from helios_cli.commands._errors import Refused
from helios_cli.commands.local.clusterfile import LocalCluster, write_text
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.playbook import journal, report
from helios_cli.engine.playbook.journal import Entry

DIRECTORY: Final = "playbooks"
JOURNAL: Final = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Run:
    """One run."""

    directory: Path

    @property
    def name(self) -> str:
        """As ``playbook resume`` takes it."""
        return self.directory.name

    @property
    def journal(self) -> Path:
        """The file that tells all."""
        return self.directory / JOURNAL

    def entries(self) -> list[Entry]:
        """What the journal tells so far.

        Raises:
            HeliosError: it cannot be read.
        """
        try:
            found = journal.parse(self.journal.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read {self.journal}: {error.strerror}") from None
        except HeliosError as error:
            raise type(error)(f"{self.journal}: {error.message}") from None
        if not found or found[0].kind != "began":
            raise journal.Damaged(f"{self.journal} tells of no run")
        return found

    def outcome(self) -> str:
        """How it has ended; ``unfinished`` when it has not."""
        ended = journal.of_kind(self.entries(), "ended")
        return str(ended[-1].fields["outcome"]) if ended else report.UNFINISHED

    def report(self) -> dict[str, Any]:
        """Everything about it. Raises what :meth:`entries` raises."""
        from helios_cli.commands.playing.loads import Loads

        loads = Loads(self.directory)
        return report.report(self.entries(), loads.facts(), loads.summaries())

    def write_report(self) -> dict[str, Any]:
        """Write ``report.json`` and ``report.md``; the report."""
        found = self.report()
        write_text(self.directory / "report.json", json.dumps(found, ensure_ascii=False, indent=2) + "\n")
        write_text(self.directory / "report.md", report.markdown(found))
        return found


def create(cluster: LocalCluster, playbook: str) -> Run:
    """A directory for a new run."""
    above = cluster.directory / DIRECTORY
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    for number in range(1, 1000):
        directory = above / f"{stamp}-{playbook}{f'-{number}' if number > 1 else ''}"
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        return Run(directory)
    raise HeliosError(f"no room for another run in {above}")


def all_runs(cluster: LocalCluster) -> list[Run]:
    """The runs of a cluster, the newest last."""
    above = cluster.directory / DIRECTORY
    if not above.is_dir():
        return []
    return [Run(one) for one in sorted(above.iterdir()) if (one / JOURNAL).exists()]


def named(cluster: LocalCluster, name: str | None, *, unfinished: bool = False) -> Run:
    """The run of a name, or the newest; ``unfinished``: the newest that has not ended.

    Raises:
        HeliosError: there is none (42704).
    """
    known = all_runs(cluster)
    if name is not None:
        found = [one for one in known if one.name == name]
    else:
        found = [one for one in known if not unfinished or one.outcome() == report.UNFINISHED]
    if found:
        return found[-1]
    what = f"no run {name!r}" if name is not None else "no unfinished run" if unfinished else "no run of a playbook"
    newest = f" The newest is {known[-1].name}." if known else ""
    raise HeliosError(
        f"there is {what} of {cluster.path}", sqlstate="42704",
        hint=f"heliosdb-nano playbook run NAME begins one; playbook report --all lists them.{newest}",
    )  # fmt: skip


class Writer:
    """Writes a run's journal, entry by entry, each synced; one playbook at a time may run on a cluster."""

    def __init__(self, cluster: LocalCluster, run: Run) -> None:
        """Begin, or go on behind the last whole line.

        Raises:
            Refused: a playbook runs on the cluster. OSError: the file cannot be written.
        """
        above = cluster.directory / DIRECTORY
        above.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(above / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            with contextlib.suppress(OSError):  # a run that has begun is not empty
                run.directory.rmdir()
            raise Refused(
                f"a playbook runs on {cluster.path} already",
                hint="Wait for its end, or stop it with Ctrl-C; heliosdb-nano playbook report --all names it.",
            ) from None
        self._file = os.open(run.journal, os.O_RDWR | os.O_CREAT, 0o644)
        whole = Path(run.journal).read_bytes().rfind(b"\n") + 1
        os.ftruncate(self._file, whole)
        os.lseek(self._file, whole, os.SEEK_SET)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        os.close(self._lock)

    def write(self, entry: Entry) -> None:
        """Append it; it is on the disk when this returns."""
        data = entry.line().encode()
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)


def head(run: Run, plan: Mapping[str, Any], text: str, cluster: LocalCluster, now_s: float) -> Entry:
    """The first entry of a journal."""
    fields = {
        "version": journal.VERSION, "run": run.name, "cluster": str(cluster.path.resolve()), "plan": plan, "text": text,
    }  # fmt: skip
    return Entry(now_s, "began", fields)
