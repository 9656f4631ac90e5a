"""The proxy's login at a node: every method, and nodes that lie, drivel or leave the dialogue."""

from __future__ import annotations

import hashlib

import pytest

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.proxyserver import backend_login
from helios_cli.engine.proxyserver.backend_login import BackendLogin
from helios_cli.engine.wire import backend, client, scram
from helios_cli.engine.wire.client import SSL_REQUEST_PACKET
from helios_cli.engine.wire.startup import Startup, parse_sasl_initial, parse_startup

VERIFIER = scram.build_verifier("secret", b"s" * 16)
KEY_DATA = backend.backend_key_data(7, b"abcd")
WELCOME = backend.AUTH_OK + backend.parameter_status("TimeZone", "UTC") + KEY_DATA + backend.READY_IDLE
AUTH_MD5 = backend.message(b"R", b"\0\0\0\x05salt")


def login(credential: str | scram.ClientKeys | None = "secret", tls: str = "disable") -> BackendLogin:
    return BackendLogin(user="ann", database="shop", credential=credential, nonce=b"n" * 18, tls=tls)


def started(credential: str | scram.ClientKeys | None = "secret") -> BackendLogin:
    one = login(credential)
    one.start()
    return one


def encrypted(credential: str | scram.ClientKeys | None = "secret", binding: bytes | None = None) -> BackendLogin:
    one = login(credential, "require")
    assert one.start() == SSL_REQUEST_PACKET
    assert one.feed(b"S") == b""
    assert one.wants_tls
    one.encrypted(binding)
    return one


def by_scram(one: BackendLogin, verifier: scram.Verifier = VERIFIER, binding: bytes | None = None) -> str:
    """Both sides of SCRAM up to the end of the login; gives the mechanism."""
    offered = [scram.MECHANISM] if binding is None else [scram.MECHANISM_PLUS, scram.MECHANISM]
    answer = one.feed(backend.auth_sasl(offered))
    mechanism, first = parse_sasl_initial(answer, 5, len(answer))
    server = scram.ScramServer(verifier, b"x" * 18, channel_binding=binding, mechanism=mechanism)
    assert first is not None
    answer = one.feed(backend.auth_sasl_continue(server.first(first)))
    assert one.feed(backend.auth_sasl_final(server.final(answer[5:])) + WELCOME) == b""
    return mechanism


def test_a_node_that_trusts() -> None:
    one = login(None)
    packet = parse_startup(one.start())
    assert isinstance(packet, Startup)
    assert packet.parameters == {"user": "ann", "database": "shop"}
    assert one.feed(WELCOME + b"rest") == b""
    assert (one.done, one.parameters, one.pid, one.key, one.rest) == (True, {"TimeZone": "UTC"}, 7, b"abcd", b"rest")


def test_bytes_may_come_one_by_one() -> None:
    one = started(None)
    for at in range(len(WELCOME)):
        assert not one.done
        one.feed(WELCOME[at : at + 1])
    assert one.done


def test_scram_with_the_password() -> None:
    one = started()
    assert by_scram(one) == scram.MECHANISM
    assert one.done


def test_scram_with_the_keys_of_a_client() -> None:
    salted = scram._salted("secret", VERIFIER.salt, VERIFIER.iterations)
    one = started(scram.ClientKeys(scram._hmac(salted, b"Client Key"), VERIFIER.server_key))
    by_scram(one)
    assert one.done


def test_keys_of_another_verifier_are_refused_by_the_node() -> None:
    with pytest.raises(scram.AuthenticationFailed):
        by_scram(started(scram.ClientKeys(b"k" * 32, VERIFIER.server_key)))


def test_scram_is_bound_to_tls() -> None:
    assert by_scram(encrypted(binding=b"hash"), binding=b"hash") == scram.MECHANISM_PLUS


def test_md5() -> None:
    inner = hashlib.md5(b"secretann").hexdigest().encode()
    expected = b"md5" + hashlib.md5(inner + b"salt").hexdigest().encode() + b"\0"
    assert started().feed(AUTH_MD5)[5:] == expected


def test_a_password_in_the_clear_goes_over_tls_alone() -> None:
    assert encrypted().feed(backend.AUTH_CLEARTEXT) == client.password("secret")
    with pytest.raises(HeliosError, match="over TLS alone") as caught:
        started().feed(backend.AUTH_CLEARTEXT)
    assert caught.value.sqlstate == "28000"


@pytest.mark.parametrize("request_", [AUTH_MD5, backend.auth_sasl([scram.MECHANISM])])
def test_without_a_password_the_error_says_where_to_put_one(request_: bytes) -> None:
    with pytest.raises(HeliosError, match="asks for a password") as caught:
        started(None).feed(request_)
    assert "[[users]]" in (caught.value.hint or "")


def test_keys_are_no_password() -> None:
    with pytest.raises(HeliosError, match="only the client's SCRAM keys"):
        started(scram.ClientKeys(b"k" * 32, b"k" * 32)).feed(AUTH_MD5)


@pytest.mark.parametrize("code", [2, 6, 7, 9])
def test_other_methods_are_refused(code: int) -> None:
    with pytest.raises(HeliosError, match=f"authentication method {code}"):
        started().feed(backend.message(b"R", code.to_bytes(4, "big")))


def test_no_common_mechanism() -> None:
    with pytest.raises(HeliosError, match="SASL mechanisms"):
        started().feed(backend.auth_sasl(["SCRAM-SHA-512"]))


def test_the_nodes_error_keeps_its_sqlstate() -> None:
    refusal = HeliosError("the database system is starting up", sqlstate="57P03")
    with pytest.raises(HeliosError, match="starting up") as caught:
        started().feed(backend.error_response(refusal))
    assert caught.value.sqlstate == "57P03"


# -- TLS ------------------------------------------------------------------------------------------------------------


def test_prefer_goes_on_without_tls() -> None:
    one = login(None, "prefer")
    assert one.start() == SSL_REQUEST_PACKET
    assert isinstance(parse_startup(one.feed(b"N")), Startup)
    one.feed(WELCOME)
    assert one.done


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_node_without_tls_where_it_is_asked_for(mode: str) -> None:
    one = login(tls=mode)
    one.start()
    with pytest.raises(HeliosError, match="no TLS") as caught:
        one.feed(b"N")
    assert caught.value.sqlstate == "08001"


@pytest.mark.parametrize("answer", [b"S" + WELCOME, b"N" + WELCOME, b"E" + WELCOME, b"x"])
def test_bytes_behind_the_answer_for_tls_end_it(answer: bytes) -> None:
    one = login(tls="prefer")
    one.start()
    with pytest.raises(ProtocolViolation):
        one.feed(answer)


def test_bytes_during_the_handshake_end_it() -> None:
    one = login(tls="require")
    one.start()
    one.feed(b"S")
    with pytest.raises(ProtocolViolation):
        one.feed(WELCOME)


# -- nodes that break the protocol ----------------------------------------------------------------------------------


def scram_at(step: int) -> BackendLogin:
    """A login that waits for the node's message of SCRAM: 1 the first, 2 the final one, 3 AuthenticationOk."""
    one = started()
    answer = one.feed(backend.auth_sasl([scram.MECHANISM]))
    _, first = parse_sasl_initial(answer, 5, len(answer))
    server = scram.ScramServer(VERIFIER, b"x" * 18)
    assert first is not None
    if step > 1:
        answer = one.feed(backend.auth_sasl_continue(server.first(first)))
    if step > 2:
        one.feed(backend.auth_sasl_final(server.final(answer[5:])))
    return one


@pytest.mark.parametrize("step", [1, 2])
def test_a_node_has_to_prove_itself_before_it_is_believed(step: int) -> None:
    with pytest.raises(ProtocolViolation):
        scram_at(step).feed(WELCOME)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("request_", [backend.AUTH_CLEARTEXT, AUTH_MD5, backend.auth_sasl([scram.MECHANISM])])
def test_scram_is_not_left_for_another_method(step: int, request_: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        scram_at(step).feed(request_)


def test_a_forged_proof_of_the_node() -> None:
    with pytest.raises(scram.AuthenticationFailed, match="incorrect server signature"):
        scram_at(2).feed(backend.auth_sasl_final(b"v=" + b"A" * 43 + b"="))


def test_iterations_have_a_limit() -> None:
    one = started()
    answer = one.feed(backend.auth_sasl([scram.MECHANISM]))
    nonce = answer[answer.index(b"r=") + 2 :]
    with pytest.raises(ProtocolViolation, match="iterations"):
        one.feed(backend.auth_sasl_continue(b"r=" + nonce + b"x,s=" + b"c2FsdA==" + b",i=900000000"))


@pytest.mark.parametrize(
    "data",
    [
        b"R\x00\x01\x00\x00",
        b"R\x00\x00\x00\x03",
        b"S\x7f\xff\xff\xff",
        backend.READY_IDLE,
        KEY_DATA,
        backend.AUTH_OK + backend.READY_IN_TRANSACTION,
        backend.AUTH_OK + backend.AUTH_OK,
        backend.AUTH_OK + backend.AUTH_CLEARTEXT,
        backend.AUTH_OK + backend.command_complete("SELECT 1"),
        backend.AUTH_OK + b"S\x00\x04\x00\x01",
        backend.message(b"R", b"\0\0"),
        backend.AUTH_OK + backend.message(b"K", b"1234"),
    ],
)
def test_what_no_node_may_send(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        started(None).feed(data)


def test_all_that_a_node_sends_before_it_is_ready_has_a_limit() -> None:
    one = started(None)
    one.feed(backend.AUTH_OK)
    status = backend.parameter_status("application_name", "x" * 10_000)
    with pytest.raises(ProtocolViolation) as caught:
        for _ in range(backend_login.MAX_LOGIN_BYTES // len(status) + 1):
            one.feed(status)
    assert "megabyte" in (caught.value.detail or "")
