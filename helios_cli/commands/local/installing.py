"""Putting the program on hosts: the single-file executable, or a wheel in an environment of its own."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helios_cli.commands.local import machines
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.local.hosts import HostEntry
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.remote.host import Ran, checksum
from helios_cli.engine.remote.machine import There

PYTHONS: Final = ((3, 11), (3, 13))
FIRST_RUN_S: Final = 180.0
"""The first start unpacks, and a slow disk takes its time."""
BUILD_S: Final = 600.0
STEP_PERCENT: Final = 10
"""How often it is told how much of a file is there."""
MAKE_HINT: Final = "make binary writes dist/heliosdb-nano; name another file with --program FILE."

Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Program:
    """What is put on hosts."""

    file: Path
    sha256: str

    @property
    def is_wheel(self) -> bool:
        """Whether it is installed by pip."""
        return self.file.suffix == ".whl"


@dataclass(frozen=True, slots=True)
class Installed:
    """What a host has now."""

    host: str
    path: str
    sha256: str
    version: str
    is_new: bool
    """Whether it was put there just now."""


class Telling:
    """How far several hosts are, in one line."""

    def __init__(self, names: Sequence[str], tell: Tell) -> None:
        self._states = dict.fromkeys(names, "")
        self._tell = tell

    def of(self, name: str) -> Tell:
        """Takes how far one of them is."""

        def tell(text: str) -> None:
            self._states[name] = text
            self._tell(", ".join(f"{one}: {state}" for one, state in self._states.items() if state))

        return tell


def program(file: Path | None) -> Program:
    """The file that was named, else this very program where it is a single file, else that of ``make binary``.

    Raises:
        ConfigError: there is none.
    """
    found = file or _own()
    if found is None:
        raise ConfigError("there is no single-file executable to put on hosts", hint=MAKE_HINT)
    try:
        return Program(found, checksum(found))
    except OSError as error:
        raise ConfigError(f"cannot read {found}: {error.strerror}", hint=MAKE_HINT) from None


def _own() -> Path | None:
    checkout = Path(__file__).resolve().parents[3] / "dist" / "heliosdb-nano"
    for path in (Path(sys.argv[0]), checkout):
        if path.is_file() and zipfile.is_zipfile(path) and path.suffix != ".whl":
            return path.resolve()
    return None


def install(cluster: LocalCluster, host: HostEntry, wanted: Program, tell: Tell) -> Installed:
    """Have the program on a host, whole and able to run. One that is there already is only tried.

    Raises:
        HeliosError: the host has no Python for it, it does not run there, or the host cannot be reached.
    """
    machine = machines.of_host(cluster, host)
    path = machines.expanded(machine, host.program_path)
    _check_python(machine, wanted)
    if has(machine, path) == wanted.sha256:
        return Installed(host.name, path, wanted.sha256, version(machine, path), is_new=False)
    aside = f"{path}.new"  # what is there runs the nodes, until this one is known to run

    def told(done: int, whole: int) -> None:
        tell(f"{100 * done // whole // STEP_PERCENT * STEP_PERCENT} % of {whole / 1e6:.0f} MB")

    goes_to = str(Path(path).with_name(wanted.file.name)) if wanted.is_wheel else aside
    machine.host.put(wanted.file, goes_to, 0o755, told)
    if wanted.is_wheel:
        tell(f"installing {wanted.file.name}")
        _build(machine, host, goes_to, aside, wanted)
    tell("first start")
    try:
        found = version(machine, aside)
    except HeliosError:
        machine.ask("remove", aside)
        raise
    machine.ask("move", aside, path)
    return Installed(host.name, path, wanted.sha256, found, is_new=True)


def has(machine: There, path: str) -> str:
    """Checksum of the program on a host: of the wheel that it was made of, where it was; empty without one."""
    head: bytes | None = machine.ask("read", path, 256)
    mark = b"# wheel "
    if head is not None and mark in head:
        return head.partition(mark)[2].split(b"\n", 1)[0].decode()
    return str(machine.ask("checksum", path))


def _check_python(machine: There, wanted: Program) -> None:
    found = tuple(machine.about["python"])
    low, high = PYTHONS
    needed = _build_of(wanted.file)
    if needed.get("machine") not in (None, machine.about["machine"]):
        raise HeliosError(
            f"{wanted.file} is for {needed['machine']}, and {machine.name} is {machine.about['machine']}",
            hint="Make one on such a machine: make binary",
        )
    version = str(needed.get("python") or "")
    is_there = version and machine.ask("run", [f"python{version}", "-c", ""], 20.0)[0] == 0
    if not is_there and not low <= found[:2] <= high:
        shown = ".".join(map(str, found))
        raise HeliosError(
            f"{machine.name} has Python {shown}, and 3.11, 3.12 or 3.13 is needed", sqlstate="0A000",
            hint="Install one there, such that python3 is it.",
        )  # fmt: skip
    if version and not is_there and f"{found[0]}.{found[1]}" != version:
        raise HeliosError(
            f"{wanted.file} is for Python {version}, and {machine.name} has {found[0]}.{found[1]}", sqlstate="0A000",
            hint=f"Install python{version} there, or make a file for its Python: make binary PYTHON=...",
        )  # fmt: skip


def _build_of(file: Path) -> dict[str, object]:
    """What a single-file executable says of the machine it is for; empty for anything else."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = json.loads(archive.read("build.json"))
            return found if isinstance(found, dict) else {}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return {}


def _build(machine: There, host: HostEntry, wheel: str, path: str, wanted: Program) -> None:
    """An environment for this wheel alone: processes of the one before go on with theirs."""
    place = f"{machines.expanded(machine, host.directory)}/venv-{wanted.sha256[:12]}"
    script = f'#!/bin/sh\n# wheel {wanted.sha256}\nexec {place}/bin/heliosdb-nano "$@"\n'
    for argv in (
        [host.python, "-m", "venv", place],
        [f"{place}/bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install", wheel],
    ):
        _must(machine, machine.host.run(argv, timeout_s=BUILD_S), argv)
    machine.ask("write", path, script.encode(), 0o755)


def version(machine: There, path: str) -> str:
    """What the program on a host says of itself. Raises HeliosError: it does not run there."""
    argv = [path, "version", "--json"]
    ran = _must(machine, machine.host.run(argv, timeout_s=FIRST_RUN_S), argv)
    try:
        return str(json.loads(ran.out)["heliosdb-nano"])
    except (ValueError, KeyError, TypeError):
        raise HeliosError(f"{path} on {machine.name} is no heliosdb-nano: it says {ran.out[:80]!r}") from None


def _must(machine: There, ran: Ran, argv: list[str]) -> Ran:
    if ran.code:
        said = [line for line in (ran.err or ran.out).splitlines() if line.strip()]
        raise HeliosError(
            f"{argv[0]} on {machine.name} ended with {ran.code}", detail=" / ".join(said[-2:]) or None,
            hint="Run it there by hand: it is the program that the nodes run as.",
        )  # fmt: skip
    return ran
