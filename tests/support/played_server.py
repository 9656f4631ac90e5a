"""One process of a played server: as much of PostgreSQL's protocol as a proxy can tell from a real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxyserver.backend import Backend
from helios_cli.engine.wire import backend as answers
from helios_cli.engine.wire.client import ResultColumn


@dataclass
class Store:
    """What the nodes have: what one commits the others have at once."""

    writes: list[str] = field(default_factory=list)
    """Those that were committed."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """Tags by the names of writes."""
    given_up: set[str] = field(default_factory=set)


@dataclass
class State:
    """What a transaction may take back."""

    settings: dict[str, str] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)


class Server:
    """Answers what a backend sends.

    It knows BEGIN, COMMIT, ROLLBACK, SAVEPOINT, SET, RESET, SHOW, PREPARE-less statements, COPY FROM STDIN; ``FAIL`` is
    an error, ``SELECT`` one row of its own text, and every other statement a write of its text.
    """

    def __init__(self, backend: Backend, wire: Any, store: Store, *, is_heliosdb: bool) -> None:
        self.backend, self.wire, self.store = backend, wire, store
        self.is_heliosdb = is_heliosdb
        self.got: list[tuple[str, bytes]] = []
        """Every message: its letter and body."""
        self.log: list[str] = []
        """Every statement that was run."""
        self.statements: dict[str, str] = {}
        self.portals: dict[str, str] = {}
        self.status = "I"
        self.state = State()
        self.saved: list[tuple[str, State]] = []
        self.sent = 0
        """Bytes."""
        self.on_death: Callable[[], None] = lambda: None
        self.chunk = 0
        """Bytes of each piece in which an answer goes out; 0: in one."""
        self.refuses: dict[str, HeliosError] = {}
        """Statements that fail, by their first word; of all processes of the node."""
        self.stale: dict[str, HeliosError] = {}
        """Prepared statements that cannot be bound any more."""
        self.dies_before = ""
        """A statement that it does not live to run."""
        self.rows: dict[str, list[str]] = {"SELECT many": ["row " * 5] * 3}
        """Of a SELECT, by its text."""
        self.stops_at: int | None = None
        """It dies when it has sent so many bytes from now on."""
        self.silent = False
        self._buffer = b""
        self._skipping = False
        self._copying = False
        self._implicit = False
        self._extended = False
        self._parts: list[str] = []

    # Bytes -----------------------------------------------------------------------------------------------------------

    def die(self) -> None:
        """The connection breaks."""
        self.silent = True
        self.wire.closed = True
        self.on_death()
        self.backend.connection_lost(None)

    def work(self) -> bool:
        """Answer what has come; whether anything had."""
        if self.silent or self.backend.closed:
            return False
        data = self.wire.take()
        if not data:
            return False
        self._buffer += data
        out = []
        while len(self._buffer) >= 5:
            size = 1 + int.from_bytes(self._buffer[1:5], "big")
            if len(self._buffer) < size:
                break
            message, self._buffer = self._buffer[:size], self._buffer[size:]
            out.append(self._message(chr(message[0]), message[5:]))
        self._answer(b"".join(out))
        return True

    def _answer(self, data: bytes) -> None:
        dies = self.stops_at is not None and len(data) >= self.stops_at
        if self.stops_at is not None:
            data, self.stops_at = data[: self.stops_at], max(0, self.stops_at - len(data))
        step = self.chunk or len(data) or 1
        self.sent += len(data)
        for at in range(0, len(data), step):
            if not self.backend.closed:
                self.backend.data_received(data[at : at + step])
        if dies:
            self.die()

    # Messages --------------------------------------------------------------------------------------------------------

    def _message(self, code: str, body: bytes) -> bytes:
        self.got.append((code, body))
        if code == "X":
            self.silent = True
            return b""
        if self._skipping and code != "S":
            return b""
        try:
            if self._copying and code in "dcfHS":
                return self._copy(code)
            return self._handle(code, body)
        except HeliosError as error:
            self._fail()
            self._copying, self._parts = False, []
            self._skipping = self._extended
            return answers.error_response(error) + (b"" if self._skipping else self._ready())

    def _handle(self, code: str, body: bytes) -> bytes:
        self._extended = code not in "QF"
        if code == "Q":
            return self._query(body[:-1].decode())
        if code == "S":
            self._skipping = False
            self._end_implicit()
            return self._ready()
        if code == "P":
            return self._parse(body)
        if code == "B":
            portal, name = (part.decode() for part in body.split(b"\0", 2)[:2])
            if name not in self.statements:
                raise HeliosError(f'prepared statement "{name}" does not exist', sqlstate="26000")
            if name in self.stale:
                raise self.stale[name]
            self.portals[portal] = self.statements[name]
            return answers.BIND_COMPLETE
        if code == "D":
            return self._describe(chr(body[0]), body[1:-1].decode())
        if code == "E":
            portal = body.split(b"\0", 1)[0].decode()
            if portal not in self.portals:
                raise HeliosError(f'portal "{portal}" does not exist', sqlstate="34000")
            return self._run(self.portals[portal], described=False)
        if code == "C":
            (self.statements if body[:1] == b"S" else self.portals).pop(body[1:-1].decode(), None)
            return answers.CLOSE_COMPLETE
        return b""

    def _query(self, text: str) -> bytes:
        self.statements.pop("", None)
        self._parts = [part.strip() for part in text.split(";") if part.strip()]
        return (b"" if self._parts else answers.EMPTY_QUERY) + self._rest()

    def _rest(self) -> bytes:
        """Of a query string."""
        out = []
        while self._parts and not self._copying:
            out.append(self._run(self._parts.pop(0), described=True))
        if not self._copying:
            self._end_implicit()
            out.append(self._ready())
        return b"".join(out)

    def _parse(self, body: bytes) -> bytes:
        name, text = (part.decode() for part in body.split(b"\0", 2)[:2])
        if name and name in self.statements:
            raise HeliosError(f'prepared statement "{name}" already exists', sqlstate="42P05")
        self.statements.pop("", None) if not name else None
        if text.startswith("BAD"):
            raise HeliosError("syntax error", sqlstate="42601")
        self.statements[name] = text
        return answers.PARSE_COMPLETE

    def _describe(self, kind: str, name: str) -> bytes:
        known = self.statements if kind == "S" else self.portals
        if name not in known:
            raise HeliosError("there is none", sqlstate="26000" if kind == "S" else "34000")
        head = answers.parameter_description(()) if kind == "S" else b""
        return head + (answers.row_description([ResultColumn("x", 25)]) if _reads(known[name]) else answers.NO_DATA)

    def _copy(self, code: str) -> bytes:
        if code in "cf":
            self._copying = False
            if code == "f":
                raise HeliosError("COPY from stdin failed", sqlstate="57014")
            self.state.writes.append("COPY")
            return answers.command_complete("COPY 1") + (b"" if self._extended else self._rest())
        return b""

    # Statements ------------------------------------------------------------------------------------------------------

    def _run(self, text: str, *, described: bool) -> bytes:
        self.log.append(text)
        word = text.split()[0].upper()
        if self.dies_before and text.startswith(self.dies_before):
            self.stops_at = 0
            raise HeliosError("it dies", sqlstate="57P01")
        if word in self.refuses:
            raise self.refuses[word]
        if self.status == "E" and word not in ("ROLLBACK", "COMMIT"):
            raise HeliosError("current transaction is aborted", sqlstate="25P02")
        if word == "FAIL" or text == "SELECT fail":
            raise HeliosError("division by zero", sqlstate="22012")
        if self.status == "I" and not self._implicit and word not in ("BEGIN", "COMMIT", "ROLLBACK"):
            self._implicit = True
            self._mark()
        handler = getattr(self, f"_on_{word.lower()}", None)
        if handler is not None:
            out: bytes = handler(text, described)
            return out
        self.state.writes.append(text)
        return answers.command_complete("INSERT 0 1")

    def _mark(self) -> None:
        self.saved.append(("", State(dict(self.state.settings), [])))

    def _end_implicit(self) -> None:
        if self._implicit and self.status == "I":
            self._commit()

    def _commit(self) -> None:
        name = self.state.settings.get("helios.write_id", "").strip("'").removesuffix(":last")
        if name and self.state.writes:
            del self.state.settings["helios.write_id"]
            if name in self.store.given_up:
                self._undo()
                raise HeliosError(f"the write {name} was given up", sqlstate="NH022")
            if name not in self.store.outcomes:
                self.store.writes += self.state.writes
                self.store.outcomes[name] = "COMMIT" if self.status == "T" else "INSERT 0 1"
        else:
            self.store.writes += self.state.writes
        self.state.writes = []
        self.saved, self._implicit = [], False

    def _undo(self) -> None:
        if self.saved:
            self.state = self.saved[0][1]
        self.state.writes = []
        self.saved, self._implicit = [], False

    def _fail(self) -> None:
        if self.status == "I":
            self._undo()
        else:
            self.status = "E"

    def _ready(self) -> bytes:
        if self.status == "I":
            self.portals.clear()
        return answers.message(b"Z", self.status.encode())

    def _on_begin(self, text: str, described: bool) -> bytes:
        if not self._implicit:
            self._mark()
        self._implicit = False
        self.status = "T"
        return answers.command_complete("BEGIN")

    def _on_commit(self, text: str, described: bool) -> bytes:
        failed, self.status = self.status == "E", "I"
        if failed:
            self._undo()
        else:
            self.status = "T"
            self._commit()
            self.status = "I"
        if text.upper().endswith("AND CHAIN"):
            self._on_begin("", described)
        return answers.command_complete("ROLLBACK" if failed else "COMMIT")

    def _on_rollback(self, text: str, described: bool) -> bytes:
        words = text.split()
        if "TO" in words:
            at = max(number for number, (name, _) in enumerate(self.saved) if name == words[-1])
            kept = self.saved[at][1]
            self.state = State(dict(kept.settings), list(kept.writes))
            del self.saved[at + 1 :]
            self.status = "T"
            return answers.command_complete("ROLLBACK")
        self.status = "I"
        self._undo()
        return answers.command_complete("ROLLBACK")

    def _on_savepoint(self, text: str, described: bool) -> bytes:
        self.saved.append((text.split()[-1], State(dict(self.state.settings), list(self.state.writes))))
        return answers.command_complete("SAVEPOINT")

    def _on_release(self, text: str, described: bool) -> bytes:
        at = max(number for number, (name, _) in enumerate(self.saved) if name == text.split()[-1])
        del self.saved[at:]
        return answers.command_complete("RELEASE")

    def _on_set(self, text: str, described: bool) -> bytes:
        _, name, value = text.replace("=", " ").split(maxsplit=2)
        self.state.settings[name] = value
        return answers.command_complete("SET")

    def _on_reset(self, text: str, described: bool) -> bytes:
        if text.upper() == "RESET ALL":
            self.state.settings.clear()
        else:
            self.state.settings.pop(text.split()[1], None)
        return answers.command_complete("RESET")

    def _on_discard(self, text: str, described: bool) -> bytes:
        self.state.settings.clear()
        self.statements.clear()
        return answers.command_complete("DISCARD ALL")

    def _on_deallocate(self, text: str, described: bool) -> bytes:
        self.statements.clear()
        return answers.command_complete("DEALLOCATE ALL")

    def _on_copy(self, text: str, described: bool) -> bytes:
        self._copying = True
        return answers.copy_in_response(1)

    def _on_select(self, text: str, described: bool) -> bytes:
        if text.startswith("SELECT set_config("):
            name, value = (part.strip().strip("'") for part in text[18:].split(",")[:2])
            self.state.settings[name] = value
        if text.startswith("SELECT helios_write_outcome("):
            name = text.split("'")[1]
            if name not in self.store.outcomes:
                self.store.given_up.add(name)
            rows = [self.store.outcomes.get(name, "not done")]
        elif text.startswith("SELECT setting "):
            rows = [self.state.settings.get(text.split()[2], "")]
        else:
            rows = self.rows.get(text, ["0/1" if "wal_insert_lsn" in text else text])
        head = answers.row_description([ResultColumn("x", 25)]) if described else b""
        return head + b"".join(map(_row, rows)) + answers.command_complete(f"SELECT {len(rows)}")


def _row(text: str) -> bytes:
    value = text.encode()
    return answers.message(b"D", b"\0\1" + len(value).to_bytes(4, "big") + value)


def _reads(text: str) -> bool:
    return text.upper().startswith(("SELECT", "SHOW"))
