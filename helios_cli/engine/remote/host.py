"""A host: one connection over SSH that is kept, and what can be asked of it."""

from __future__ import annotations

import errno
import hashlib
import inspect
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.remote import deeds
from helios_cli.engine.remote import login as logins
from helios_cli.engine.remote.errors import HostError, HostUnreachable, NoRoom
from helios_cli.engine.remote.login import Login

if TYPE_CHECKING:
    import paramiko

ASK_S: Final = 8.0
"""How long a question may go unanswered; a host that is silent for longer is taken for lost."""
LONG_S: Final = {"remove": 120.0, "finish_put": 60.0, "checksum": 60.0, "write": 30.0}
"""What waits for a disk."""
PIECE_BYTES: Final = 1 << 18
NOISE_BYTES_MAX: Final = 1 << 16
"""What a login shell may print before our own program does."""
LINE_BYTES_MAX: Final = 1 << 26
AGAIN_S: Final = 1.0
"""Pause between two attempts to reach a host again."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str


class Host:
    """One host. Safe for threads: what is short takes turns on one channel, what is long has a channel of its own.

    The connection is made when it is first needed. When it breaks, or cannot be made, what is asked fails at once until
    a thread has made another one: who looks again and again is not held up by a host that is away. What was under way
    is not done again: it may have been done.
    """

    def __init__(self, login: Login) -> None:
        self.login = login
        self._lock = threading.Lock()
        self._client: paramiko.SSHClient | None = None
        self._channel: paramiko.Channel | None = None
        self._rest = b""
        self._failure: HostError | None = None
        self._attempt: threading.Thread | None = None

    def ask(self, verb: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        """One of :mod:`~helios_cli.engine.remote.deeds`, done there.

        Raises:
            OSError: as it was raised there; the path in it begins with the host's name. NoRoom: the disk is full.
            HostError: the host cannot be reached, or has no Python that can do it.
        """
        timeout_s = LONG_S.get(verb, ASK_S) if timeout_s is None else timeout_s
        with self._lock:
            channel = self._opened()
            try:
                channel.settimeout(timeout_s)
                channel.sendall(deeds.encode([verb, *arguments]))
                answer = deeds.decode(self._line(channel, LINE_BYTES_MAX))
            except (OSError, EOFError, ValueError) as error:
                self._drop()
                self._failure = self._lost(error, timeout_s)
                raise self._failure from None
        return self._result(answer)

    def run(self, argv: Sequence[str], *, data: bytes = b"", timeout_s: float = ASK_S) -> Ran:
        """Run a command with its input, on a channel of its own; what it printed may be a few MB.

        Raises:
            HostError: the host cannot be reached, or the command did not end in time (57014): it is left alone then.
        """
        with self._lock:
            client = self._connected()
        try:
            channel = _transport(client).open_session(timeout=timeout_s)
            with channel:
                channel.settimeout(timeout_s)
                channel.exec_command(shlex.join(argv))
                return self._ran(channel, data, time.monotonic() + timeout_s)
        except TimeoutError:
            raise HostError(
                f"{self.login.name}: {argv[0]} did not end within {timeout_s:g} s", sqlstate="57014"
            ) from None
        except (OSError, EOFError, _ssh_exception()) as error:
            raise self._lost(error, timeout_s) from None

    def _ran(self, channel: paramiko.Channel, data: bytes, end: float) -> Ran:
        """Both streams are read as they come: a command that fills one while the other is waited for would stand."""
        sender = threading.Thread(target=_send, args=(channel, data), name="ssh-input", daemon=True)
        sender.start()
        out, err = bytearray(), bytearray()
        while not (channel.exit_status_ready() and not channel.recv_ready() and not channel.recv_stderr_ready()):
            if channel.recv_ready():
                out += channel.recv(PIECE_BYTES)
            elif channel.recv_stderr_ready():
                err += channel.recv_stderr(PIECE_BYTES)
            elif time.monotonic() > end:
                raise TimeoutError
            else:
                channel.status_event.wait(0.02)
        for piece in iter(lambda: channel.recv(PIECE_BYTES), b""):
            out += piece
        for piece in iter(lambda: channel.recv_stderr(PIECE_BYTES), b""):
            err += piece
        return Ran(channel.recv_exit_status(), out.decode(errors="replace"), err.decode(errors="replace"))

    def put(
        self, file: Path, path: str, mode: int = 0o644, told: Callable[[int, int], object] = lambda _done, _all: None
    ) -> None:
        """Put a file there, all of it or nothing, and have it compared there by its checksum.

        ``told`` gets the bytes that are there, and all.

        Raises:
            HostError: it came as another one, twice. As :meth:`ask`.
        """
        size, digest = file.stat().st_size, checksum(file)
        for _ in range(2):
            aside = str(self.ask("begin_put", path, size))
            with file.open("rb") as source:
                for piece in iter(lambda: source.read(PIECE_BYTES), b""):
                    self.ask("more", aside, piece)
                    told(source.tell(), size)
            if not self.ask("finish_put", aside, path, mode, digest):
                return
        raise HostError(f"{file} is not what arrives on {self.login.name}: its checksum is another one")

    def close(self) -> None:
        """End the connection. It is made again when it is needed."""
        with self._lock:
            self._drop()
            self._failure = None

    # The connection ---------------------------------------------------------------------------------------------------

    def _connected(self) -> paramiko.SSHClient:
        if self._client is not None and _transport(self._client).is_active():
            return self._client
        self._drop()
        if self._failure is not None:
            if self._attempt is None or not self._attempt.is_alive():
                self._attempt = threading.Thread(target=self._try_again, name=f"ssh-{self.login.name}", daemon=True)
                self._attempt.start()
            raise self._failure
        try:
            self._client = logins.connect(self.login)
        except HostError as error:
            self._failure = error
            raise
        return self._client

    def _try_again(self) -> None:
        """Make another connection beside those who ask; the failure is the newest one until then."""
        began = time.monotonic()
        client, failure = None, None
        try:
            client = logins.connect(self.login)
        except HostError as error:
            failure = error
            time.sleep(max(0.0, began + AGAIN_S - time.monotonic()))
        except HeliosError as error:  # a key file that was taken away meanwhile
            failure = HostError(error.message, hint=error.hint)
        with self._lock:
            if self._failure is None and client is not None:  # it was closed meanwhile
                logins.close(client)
                return
            self._client, self._failure = client, failure

    def _opened(self) -> paramiko.Channel:
        """The channel on which our program there is asked."""
        client = self._connected()
        if self._channel is not None and not self._channel.closed:
            return self._channel
        text = inspect.getsource(deeds).encode()
        begin = f'import sys; exec(compile(sys.stdin.buffer.read({len(text)}), "deeds", "exec"))'
        code = f'__name__ = "deeds-there"; {begin}'
        try:
            channel = _transport(client).open_session(timeout=self.login.connect_s)
            channel.settimeout(self.login.connect_s)
            channel.exec_command(shlex.join([self.login.python, "-c", code]))
            try:
                channel.sendall(text)
            except OSError as error:
                if isinstance(error, TimeoutError) or not _transport(client).is_active():
                    raise
                # The command has ended before it has read it all: what it says is read below.
            self._await_mark(channel)
        except (OSError, EOFError, _ssh_exception()) as error:
            self._drop()
            raise self._lost(error, self.login.connect_s) from None
        self._channel = channel
        return channel

    def _await_mark(self, channel: paramiko.Channel) -> None:
        """Read over what the login shell prints until our program speaks."""
        heard = 0
        try:
            while heard < NOISE_BYTES_MAX:
                line = self._line(channel, NOISE_BYTES_MAX)
                if line.strip() == deeds.MARK.encode():
                    return
                heard += len(line)
        except EOFError:
            code = channel.recv_exit_status()
            said = channel.recv_stderr(4096).decode(errors="replace").strip().splitlines()
            self._drop()
            raise self._no_python(code, said[-1] if said else "") from None
        raise HostError(
            f"{self.login.name} prints too much before a command runs",
            hint="Its login shell has to be silent where there is no terminal.",
        )

    def _no_python(self, code: int, said: str) -> HostError:
        python, where = self.login.python, f"{self.login.name} ({self.login})"
        if code == 127 or "not found" in said or "No such file" in said:
            return HostError(
                f"{where} has no {python}",
                hint="Install Python 3.11, 3.12 or 3.13 there, or name it with python in [hosts] of cluster.toml.",
            )
        return HostError(f"{python} on {where} ended with {code}", detail=said or None)

    def _line(self, channel: paramiko.Channel, most: int) -> bytes:
        """The next line of our program. EOFError: it ended."""
        while b"\n" not in self._rest:
            piece = channel.recv(PIECE_BYTES)
            if not piece:
                raise EOFError
            self._rest += piece
            if len(self._rest) > most:
                raise ValueError("an answer without an end")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _result(self, answer: Any) -> Any:
        if "error" not in answer:
            return answer["result"]
        number, text, path = answer["error"]
        name = self.login.name
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(f"the disk of {name} is full: {path or text}", hint="Make room there and try again.")
        if not number:
            raise HostError(f"{name}: {text}", sqlstate="XX000")
        raise OSError(number, text, f"{name}:{path}" if path else name)

    def _lost(self, error: BaseException, timeout_s: float) -> HostError:
        if isinstance(error, HostError):
            return error
        where = f"{self.login.name} ({self.login})"
        if isinstance(error, TimeoutError):
            return HostUnreachable(f"{where} did not answer within {timeout_s:g} s")
        return HostUnreachable(f"the connection to {where} is lost: {str(error) or 'it hung up'}")

    def _drop(self) -> None:
        """Forget the connection; the next question makes another."""
        client, self._client, self._channel, self._rest = self._client, None, None, b""
        if client is not None:
            logins.close(client)


def _transport(client: paramiko.SSHClient) -> paramiko.Transport:
    transport = client.get_transport()
    if transport is None:
        raise EOFError("it is closed")
    return transport


def _ssh_exception() -> type[Exception]:
    import paramiko

    found: type[Exception] = paramiko.SSHException
    return found


def _send(channel: paramiko.Channel, data: bytes) -> None:
    try:
        if data:
            channel.sendall(data)
        channel.shutdown_write()
    except OSError:
        pass  # the command has ended without reading it all


def checksum(file: Path) -> str:
    """SHA-256 of a file here, in hexadecimal. OSError: it cannot be read."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
