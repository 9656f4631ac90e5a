"""Salvages: what a node had committed that the cluster went on without, kept before anything of it is discarded.

A salvage is a directory ``salvage/<time>-<fork>`` of the data directory: the raw records behind the fork, the rows that
they inserted, updated and deleted, and a manifest. It has its name only when all of it is on disk.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Self, TypeVar

from helios_cli.engine.errors import HeliosError, LogDamaged
from helios_cli.engine.storage.rowdiff import Change
from helios_cli.engine.storage.write_ids import LostWrite

log = logging.getLogger(__name__)

FOLDER: Final = "salvage"
MANIFEST: Final = "manifest.json"
RECORDS: Final = "records.log"
ROWS: Final = "rows.jsonl"
WRITES: Final = "writes.jsonl"
TIP: Final = "tip.db"
VERSION: Final = 1
UNFINISHED: Final = ".new"

Line = TypeVar("Line")


class NoSalvage(HeliosError):
    """There is none of that name."""

    sqlstate = "42704"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a salvage holds."""

    cluster_id: str
    created_us: int
    """Microseconds since 1970-01-01 UTC."""
    fork: str
    """LSN up to which the log is that of the cluster."""
    end: str
    """LSN behind the last record that was lost."""
    term: int
    """Of the last record that was lost."""
    commits: int
    """Records with changes among them; 0 when nothing but terms and configurations were lost."""
    record_bytes: int
    exact: bool = True
    """Whether the rows are those of the lost commits alone. Where the state at the fork could not be had any more, they
    are the rows that the node had and the cluster has not, or has otherwise, and no deletes."""
    pending: bool = False
    """Whether the rows are still to be found, when the cluster's state is there to compare with."""
    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    """Rows by table, ``schema.name``."""
    named_writes: int = 0
    """Lost writes that their clients had named."""
    schema_changes: list[str] = field(default_factory=list)
    """Tables made, dropped and altered, a line for each; a replay leaves them to the operator."""
    version: int = VERSION

    @property
    def rows(self) -> int:
        """How many rows differ."""
        return self.inserts + self.updates + self.deletes

    @classmethod
    def parse(cls, data: bytes, path: str) -> Self:
        """Read a manifest; fields of a later version are left out. Raises LogDamaged."""
        try:
            content = json.loads(data)
            names = {one.name for one in fields(cls)}
            return cls(**{name: value for name, value in content.items() if name in names})
        except (ValueError, TypeError, AttributeError) as error:
            raise LogDamaged(f"the salvage's manifest {path} cannot be read: {error}") from error


class SalvageWriter:
    """Makes one salvage, under a name that says that it is not finished."""

    def __init__(self, data_dir: str, name: str) -> None:
        """Whatever an interrupted attempt has left is removed. Raises OSError."""
        self.name = name
        self._parent = f"{data_dir}/{FOLDER}"
        os.makedirs(self._parent, mode=0o700, exist_ok=True)
        for left in os.listdir(self._parent):
            if left.endswith(UNFINISHED):
                shutil.rmtree(f"{self._parent}/{left}")
        self.path = f"{self._parent}/{name}{UNFINISHED}"
        os.mkdir(self.path, 0o700)

    def put_records(self, chunks: Iterable[bytes]) -> int:
        """The raw records, on disk when this returns; their bytes."""
        size = 0
        with open(f"{self.path}/{RECORDS}", "wb") as file:
            for chunk in chunks:
                size += file.write(chunk)
            _sync(file)
        return size

    def finish(self, manifest: Manifest) -> str:
        """Put the manifest beside the rest and give the salvage its name; where it is then."""
        _write(f"{self.path}/{MANIFEST}", _manifest_bytes(manifest))
        _sync_dir(self.path)
        final = f"{self._parent}/{self.name}"
        os.rename(self.path, final)
        _sync_dir(self._parent)
        return final


def put_rows(path: str, manifest: Manifest, changes: Iterable[Change]) -> Manifest:
    """Write the rows of a salvage that lies at ``path``, and the manifest that counts them."""
    counts = {"insert": 0, "update": 0, "delete": 0}
    tables: dict[str, int] = {}
    with open(f"{path}/{ROWS}", "wb") as file:
        for change in changes:
            counts[change.op] += 1
            name = change.full_name
            tables[name] = tables.get(name, 0) + 1
            file.write(json.dumps(asdict(change), ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        _sync(file)
    return replace(
        manifest, inserts=counts["insert"], updates=counts["update"], deletes=counts["delete"], tables=tables
    )


def put_writes(path: str, manifest: Manifest, writes: Sequence[LostWrite]) -> Manifest:
    """Write the named writes of a salvage that lies at ``path``, and the manifest that counts them."""
    with open(f"{path}/{WRITES}", "wb") as file:
        for write in writes:
            file.write(json.dumps(asdict(write), ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        _sync(file)
    return replace(manifest, named_writes=len(writes))


def put_manifest(path: str, manifest: Manifest) -> None:
    """Replace the manifest of a salvage."""
    _write(f"{path}/{MANIFEST}{UNFINISHED}", _manifest_bytes(manifest))
    os.replace(f"{path}/{MANIFEST}{UNFINISHED}", f"{path}/{MANIFEST}")
    _sync_dir(path)


def salvages(data_dir: str) -> list[tuple[str, Manifest]]:
    """The finished salvages of a data directory with their names, the oldest first. Raises LogDamaged, OSError.

    What has no manifest is none: a salvage has its name only when all of it is there.
    """
    parent = f"{data_dir}/{FOLDER}"
    names = sorted(os.listdir(parent)) if os.path.isdir(parent) else []
    found = []
    for name in names:
        if os.path.exists(f"{parent}/{name}/{MANIFEST}"):
            if not name.endswith(UNFINISHED):
                found.append((name, load_manifest(data_dir, name)))
        elif not name.endswith(UNFINISHED):
            log.warning("%s/%s is no salvage: it has no %s", parent, name, MANIFEST)
    return found


def load_manifest(data_dir: str, name: str) -> Manifest:
    """The manifest of one salvage. Raises NoSalvage, LogDamaged, OSError."""
    path = f"{data_dir}/{FOLDER}/{name}/{MANIFEST}"
    if os.sep in name or not os.path.exists(path):
        raise NoSalvage(f'salvage "{name}" does not exist', hint="heliosdb-nano salvage list shows those there are.")
    with open(path, "rb") as file:
        return Manifest.parse(file.read(), path)


def load_changes(data_dir: str, name: str) -> Iterator[Change]:
    """The rows of one salvage in the order of its file; none while they are still to be found. Raises LogDamaged."""
    yield from _load(f"{data_dir}/{FOLDER}/{name}/{ROWS}", "row", Change)


def load_writes(data_dir: str, name: str) -> Iterator[LostWrite]:
    """The named writes of one salvage; none in one that was made without them. Raises LogDamaged."""
    yield from _load(f"{data_dir}/{FOLDER}/{name}/{WRITES}", "write", LostWrite)


def _load(path: str, what: str, kind: Callable[..., Line]) -> Iterator[Line]:
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                yield kind(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise LogDamaged(f"a {what} of the salvage in {path} cannot be read: {error}") from error


def _manifest_bytes(manifest: Manifest) -> bytes:
    content: dict[str, Any] = asdict(manifest)
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        _sync(file)


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_dir(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
