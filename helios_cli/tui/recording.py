"""A session of the monitor in a file, a sample a line: kept while it is seen, and shown again later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.tui.facts import Sample
from helios_cli.tui.gateway import Act, Gateway, Plan, SqlAnswer
from helios_cli.tui.past import Past

FIRST_LINE: Final = b'{"heliosdb-monitor":1}\n'
"""What such a file begins with, and its version."""


class Recorder:
    """A gateway whose samples go into a file, too. What is asked of it otherwise leaves no trace there."""

    def __init__(self, gateway: Gateway, path: str) -> None:
        """Begin a file.

        Raises:
            ConfigError: it is there already, or cannot be written.
        """
        self._gateway = gateway
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(self._file, FIRST_LINE)
        except FileExistsError:
            raise ConfigError(f"{path} is there already", hint="Name another file, or remove it.") from None
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
        self._encoder = msgspec.json.Encoder()
        self.failed = ""
        """Why nothing is kept any more; empty while it is."""

    def sample(self) -> Sample:
        """A sample, which is kept; a full disk ends the recording, not the monitor."""
        found = self._gateway.sample()
        if not self.failed:
            try:
                os.write(self._file, self._encoder.encode(found) + b"\n")
            except OSError as error:
                self.failed = f"the recording has ended: {error.strerror}"
        return replace(found, untold=self.failed) if self.failed else found

    def past(self, until_s: float) -> Past:
        """As the gateway; it does not go into the file."""
        return self._gateway.past(until_s)

    def plan(self, act: Act) -> Plan:
        """As the gateway."""
        return self._gateway.plan(act)

    def carry_out(self, act: Act) -> list[str]:
        """As the gateway."""
        return self._gateway.carry_out(act)

    def playbooks(self) -> list[tuple[str, str]]:
        """As the gateway."""
        return self._gateway.playbooks()

    def sql(self, node: str, text: str) -> SqlAnswer:
        """As the gateway."""
        return self._gateway.sql(node, text)

    def log_tail(self, name: str, lines: int) -> list[str]:
        """As the gateway."""
        return self._gateway.log_tail(name, lines)

    def close(self) -> None:
        """End the file, and the gateway."""
        os.close(self._file)
        self._gateway.close()


class Replay:
    """A gateway that gives what a file holds, one sample after the other, and then the last one again and again."""

    def __init__(self, path: str) -> None:
        """Read a file.

        Raises:
            ConfigError: it cannot be read, or is no recording.
        """
        self._path = path
        self._samples = list(_read(path))
        self._next = 0

    @property
    def left(self) -> int:
        """Samples that are still to come."""
        return len(self._samples) - self._next

    def now_s(self) -> float:
        """The time of the newest sample that was given."""
        return self._samples[max(0, self._next - 1)].at_s

    def sample(self) -> Sample:
        """The next one; once all were given, the last one."""
        self._next = min(self._next + 1, len(self._samples))
        return self._samples[self._next - 1]

    def past(self, until_s: float) -> Past:
        """The file holds nothing of before."""
        return Past((), "this is a recording")

    def plan(self, act: Act) -> Plan:
        """Not of what is over. Raises HeliosError (55000)."""
        self._over()

    def carry_out(self, act: Act) -> list[str]:
        """Not of what is over. Raises HeliosError (55000)."""
        self._over()

    def playbooks(self) -> list[tuple[str, str]]:
        """Not of what is over. Raises HeliosError (55000)."""
        self._over()

    def sql(self, node: str, text: str) -> SqlAnswer:
        """Not of what is over. Raises HeliosError (55000)."""
        self._over()

    def log_tail(self, name: str, lines: int) -> list[str]:
        """Not of what is over. Raises HeliosError (55000)."""
        self._over()

    def _over(self) -> NoReturn:
        raise HeliosError(
            f"this is a recording, {self._path}", sqlstate="55000", hint="heliosdb-nano monitor shows what is now."
        )

    def close(self) -> None:
        """Nothing is open."""


def _read(path: str) -> Iterator[Sample]:
    """The samples of a file; a last line that was cut off by the end of a process is left out."""
    try:
        lines = Path(path).read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    hint = "heliosdb-nano monitor --record FILE makes one."
    if not lines or lines[0] != FIRST_LINE:
        raise ConfigError(f"{path} is no recording of the monitor", hint=hint)
    decoder = msgspec.json.Decoder(Sample)
    found = 0
    for number, line in enumerate(lines[1:], 2):
        try:
            sample = decoder.decode(line)
        except msgspec.DecodeError as error:
            if number == len(lines) and not line.endswith(b"\n"):
                break
            raise ConfigError(f"{path}:{number} is no sample of the monitor: {error}", hint=hint) from None
        found += 1
        yield sample
    if not found:
        raise ConfigError(f"{path} holds nothing but its beginning", hint=hint)
