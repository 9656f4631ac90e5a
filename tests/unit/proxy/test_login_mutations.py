"""Bytes of chance on both sides of a login: every end is an error of ours, with a SQLSTATE, and never a defect."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from helios_cli.engine.config.proxy import ProxySettings, UserSettings
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.doorway import Doorway
from helios_cli.engine.proxyserver.backend_login import MAX_LOGIN_BYTES, BackendLogin
from helios_cli.engine.proxyserver.login import Entrance, Login
from helios_cli.engine.proxyserver.users import Users
from helios_cli.engine.wire import backend, client, scram

VERIFIER = scram.build_verifier("red", b"r" * 16)
PLAIN = [
    backend.AUTH_OK, backend.AUTH_CLEARTEXT, backend.message(b"R", b"\0\0\0\x05salt"),
    backend.auth_sasl([scram.MECHANISM]), backend.auth_sasl([scram.MECHANISM_PLUS, scram.MECHANISM]),
    backend.auth_sasl_continue(b"r=abc,s=c2FsdA==,i=4096"), backend.auth_sasl_final(b"v=AAAA"),
    backend.parameter_status("TimeZone", "UTC"), backend.backend_key_data(7, b"abcd"), backend.READY_IDLE,
    backend.notice("hello"), backend.error_response(HeliosError("no")), backend.negotiate_protocol_version(["_pq_.x"]),
    backend.command_complete("SELECT 1"), b"S", b"N", b"E", *[backend.AUTH_OK + backend.READY_IDLE] * 4,
]  # fmt: skip
ASKED = [
    client.SSL_REQUEST_PACKET, client.startup({"user": "ann", "database": "shop"}), client.startup({}),
    client.cancel_request(1, b"abcd"), client.sasl_initial(scram.MECHANISM, b"n,,n=,r=abc"),
    client.sasl_initial(scram.MECHANISM_PLUS, b"p=tls-server-end-point,,n=,r=abc"),
    client.sasl_response(b"c=biws,r=abc,p=AAAA"), client.password("red"), client.query("SELECT 1"), client.SYNC,
]  # fmt: skip


def mutated(rng: random.Random, pieces: list[bytes]) -> bytes:
    """Some messages in any order, with bytes changed, lost, doubled, or cut at the end."""
    data = bytearray(b"".join(rng.choice(pieces) for _ in range(rng.randint(1, 6))))
    for _ in range(rng.choice((0, 0, 1, 2, 8))):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(4):
            case 0 if data:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randint(1, 8)]
            case 2:
                data[at:at] = rng.randbytes(rng.randint(1, 8))
            case _:
                data[at:at] = data[at : at + 16]
    return bytes(data[: rng.randint(0, len(data))] if rng.random() < 0.2 else data)


@pytest.mark.parametrize("seed", range(8))
def test_what_a_node_sends(seed: int) -> None:
    rng = random.Random(seed)
    ends = {"done": 0, "waits": 0, "refused": 0}
    for _ in range(1500):
        tls = rng.choice(("disable", "disable", "prefer", "require"))
        keys = scram.ClientKeys(b"k" * 32, VERIFIER.server_key)
        login = BackendLogin(
            user="ann", database="shop", credential=rng.choice(("red", None, keys)), nonce=b"n" * 18, tls=tls
        )
        login.start()
        data, end = mutated(rng, PLAIN), "waits"
        try:
            while data and not login.done and not login.wants_tls:
                size = rng.choice((1, 7, len(data)))
                assert len(login.feed(data[:size])) <= MAX_LOGIN_BYTES
                data = data[size:]
            end = "done" if login.done else end
        except HeliosError as error:
            assert len(error.sqlstate) == 5
            end = "refused"
        ends[end] += 1
    assert min(ends.values()) > 10, ends


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        assert not self.closed


def knows_no_defect(login: Doorway, error: Exception) -> HeliosError:
    raise error


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.asyncio
async def test_what_a_client_sends(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Login, "unexpected", knows_no_defect)
    rng = random.Random(seed)
    loop = asyncio.get_running_loop()
    known = Users((UserSettings("ann", verifier=str(VERIFIER)),), secret=b"k", clock=loop.time)
    sessions = []
    entrance = Entrance(
        loop, ProxySettings(), known, on_session=lambda *found: sessions.append(found),
        on_cancel=lambda pid, key: None, sessions=lambda: 0,
    )  # fmt: skip
    background: list[Coroutine[Any, Any, None]] = []
    monkeypatch.setattr(entrance, "background", background.append)
    answered = 0
    for _ in range(1500):
        transport, login = Transport(), Login(entrance)
        login.connection_made(cast(asyncio.Transport, transport))
        data = mutated(rng, ASKED)
        while data and not transport.closed and not login._held:
            size = rng.choice((1, 7, len(data)))
            login.data_received(data[:size])
            data = data[size:]
            while background:
                await background.pop()
        assert len(login._buffer) <= 70_000
        answered += b"SFATAL" in transport.written
        login.connection_lost(None)
    assert answered > 100
    assert not sessions, "nobody of them knows the password"
    assert not entrance.logins
