"""Sessions of clients that do not speak UTF-8 (``client_encoding``). Those that do never come here."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes.encodings import BY_NAME, Encoding, folded
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.actions import CopyOptions
from helios_cli.engine.wire import recoding
from helios_cli.engine.wire.copy import CopyFormatter, CopyParser

if TYPE_CHECKING:
    from helios_cli.engine.node.frontend import Frontend
    from helios_cli.engine.node.session import Session
    from helios_cli.engine.node.session_state import SessionState

QUERY: Final = b"Q"[0]


class RecodingTransport:
    """A transport that turns what is written into the client's encoding; all else is the transport's own."""

    def __init__(self, transport: Any, encoding: Encoding) -> None:
        self.plain = transport
        self._encoding = encoding

    def write(self, data: bytes) -> None:
        """Send whole messages."""
        self.plain.write(recoding.sent(bytes(data), self._encoding))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


def changed(session: SessionState, name: str) -> None:
    """The session's ``client_encoding`` is another one."""
    encoding = BY_NAME.get(folded(name))
    if encoding is not session.encoding:
        session.sink.flush()
        session.encoding = encoding
        session.shortcuts.clear()
        session.sink.speak(encoding)


def speak(link: Frontend, encoding: Encoding | None) -> None:
    """Convert what comes and goes from now on; None: no more. Every shortcut that reads bytes itself is closed."""
    transport: Any = link.transport
    if isinstance(transport, RecodingTransport):
        transport = link.transport = transport.plain
        for name in ("_dispatch", "_is_ready", "_shortcut"):
            link.__dict__.pop(name, None)
    if encoding is None:
        return
    link.transport = RecodingTransport(transport, encoding)  # type: ignore[assignment]
    dispatch = link._dispatch
    session = link.session

    def recoded(code: int, data: bytes, start: int, end: int) -> None:
        try:
            body = recoding.received(code, data[start:end], encoding, lambda name: _types(session, name))
        except Exception as error:
            if code == QUERY:
                link._simple = deque()
            link._on_exception(error)
        else:
            dispatch(code, body, 0, len(body))

    link.__dict__.update(_dispatch=recoded, _is_ready=lambda: False, _shortcut=lambda *_: False)


def _types(session: Session, name: str) -> Sequence[int]:
    prepared = session.statements.get(name)
    return prepared.plan.param_types if prepared is not None else ()


def copied(session: SessionState, options: CopyOptions) -> Encoding | None:
    """The encoding of COPY data; None for UTF-8. Raises SqlError 22023 for one that is not known."""
    if options.format == "binary":
        return None
    name = options.encoding
    if name is None:
        return session.encoding
    key = folded(name)
    if key not in BY_NAME and key not in ("utf8", "unicode", "sqlascii"):
        raise SqlError('argument to option "encoding" must be a valid encoding name', sqlstate="22023")
    return BY_NAME.get(key)


def parser_for(parser: CopyParser, encoding: Encoding | None) -> CopyParser:
    """A parser of COPY data in an encoding; None: UTF-8."""
    return parser if encoding is None else recoding.RecodedParser(parser, encoding)


def formatter_for(formatter: CopyFormatter, encoding: Encoding | None) -> CopyFormatter:
    """A writer of COPY data in an encoding; None: UTF-8."""
    return formatter if encoding is None else recoding.RecodedFormatter(formatter, encoding)
