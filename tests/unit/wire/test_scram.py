"""SCRAM-SHA-256: the RFC's example, order of messages, channel binding, caps."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest

from helios_cli.engine.errors import HeliosError, ProtocolViolation, SqlError
from helios_cli.engine.wire import scram
from helios_cli.engine.wire.saslprep import prepare_password, saslprep

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
VERIFIER = scram.build_verifier("pencil", SALT)


def server(**other: object) -> scram.ScramServer:
    return scram.ScramServer(VERIFIER, b"s" * 18, user="ann", **other)  # type: ignore[arg-type]


def client(password: str = "pencil", **other: object) -> scram.ScramClient:
    return scram.ScramClient(password, b"c" * 18, **other)  # type: ignore[arg-type]


def test_rfc_7677_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 3, the only published exchange; our nonces are base64 and its are not, hence the patched attributes."""
    one = client()
    one._nonce = "rOprNGfwEbeRWgbNEkqO"
    one._state = "final"
    first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    expected = (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    bare = b"n=user,r=rOprNGfwEbeRWgbNEkqO"
    # The RFC's client sends a user name; PostgreSQL's sends none. Recompute the proof over the RFC's text.
    auth = bare + b"," + first + b"," + expected.rpartition(b",p=")[0]
    keys = one._keys(SALT, 4096)
    signature = scram._hmac(hashlib.sha256(keys.client_key).digest(), auth)
    proof = bytes(a ^ b for a, b in zip(keys.client_key, signature, strict=True))
    assert base64.b64encode(proof) == expected.rpartition(b",p=")[2]
    assert base64.b64encode(scram._hmac(keys.server_key, auth)) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    plain = scram._b64
    monkeypatch.setattr(scram, "_b64", lambda data: plain(data) if data else "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    there = scram.ScramServer(VERIFIER, b"")
    assert there.first(b"n,," + bare) == first
    assert there.final(expected) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_verifier_text_form() -> None:
    text = (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert str(VERIFIER) == text
    assert scram.Verifier.parse(text) == VERIFIER
    for bad in ("", text[:-1], text.replace("4096", "0"), text.replace("4096", "x"), text + "x", "md5" + "a" * 32):
        with pytest.raises(SqlError):
            scram.Verifier.parse(bad)


def test_a_whole_exchange_and_the_keys_it_leaves() -> None:
    here, there = client(), server()
    here.finish(there.final(here.final(there.first(here.first()))))
    assert there.client_key is not None
    # What a proxy learned lets it in elsewhere, whatever salt is used there.
    again = scram.ScramClient(scram.ClientKeys(there.client_key, VERIFIER.server_key), b"d" * 18)
    other = server()
    again.finish(other.final(again.final(other.first(again.first()))))


def test_a_wrong_password_and_an_unknown_user_look_the_same() -> None:
    here, there = client("wrong"), server()
    with pytest.raises(scram.AuthenticationFailed) as wrong:
        there.final(here.final(there.first(here.first())))
    fake = scram.fake_verifier("ann", b"secret")
    here, there = client("anything"), scram.ScramServer(fake, b"s" * 18, doomed=True, user="ann")
    with pytest.raises(scram.AuthenticationFailed) as unknown:
        there.final(here.final(there.first(here.first())))
    assert (wrong.value.message, wrong.value.sqlstate) == (unknown.value.message, unknown.value.sqlstate)
    assert wrong.value.message == 'password authentication failed for user "ann"'
    assert scram.fake_verifier("ann", b"secret") == fake
    assert scram.fake_verifier("bob", b"secret").salt != fake.salt
    assert len(fake.salt) == scram.SALT_BYTES


def test_a_doomed_exchange_fails_with_the_right_proof_too() -> None:
    here, there = client(), server(doomed=True)
    with pytest.raises(scram.AuthenticationFailed):
        there.final(here.final(there.first(here.first())))
    assert there.client_key is None


@pytest.mark.parametrize("order", ["F", "ff", "fFF", "fFf"])
def test_messages_out_of_order_end_the_exchange_for_good(order: str) -> None:
    here, there = client(), server()
    first = here.first()
    final = here.final(server().first(first))
    steps: dict[str, Callable[[], bytes]] = {"f": lambda: there.first(first), "F": lambda: there.final(final)}
    with pytest.raises(ProtocolViolation):
        for step in order:
            steps[step]()
    for step in "fF":
        with pytest.raises(ProtocolViolation):
            steps[step]()


def test_the_client_keeps_the_order_too() -> None:
    here = client()
    with pytest.raises(ProtocolViolation):
        here.finish(b"v=xxxx")
    with pytest.raises(ProtocolViolation):
        here.first()


@pytest.mark.parametrize(
    "message",
    [
        b"", b"n", b"n,", b"n,,", b"n,,n=", b"n,,r=x", b"n,,n=,r=", b"n,,n=,r=a\x7f", b"n,,n=,r=a b", b"x,,n=,r=abc",
        b"p=tls-unique,,n=,r=abc", b"p=tls-server-end-point,,n=,r=abc", b"n,a=root,n=,r=abc", b"n,,m=1,n=,r=abc",
        b"n,,n=,r=abc\0", b"n,,n=,r=\xff", b"n,,n=,r=" + b"a" * 2000, b"n,,n=,m=1,r=abc", b"n,x,n=,r=a",
    ],
)  # fmt: skip
def test_malformed_first_messages(message: bytes) -> None:
    with pytest.raises(HeliosError):
        server().first(message)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: b"", lambda m: m[:-4], lambda m: m.replace(b"c=biws", b"c=eSws"), lambda m: m.replace(b",p=", b",q="),
        lambda m: m.replace(b"r=", b"r=x"), lambda m: m + b"AAAA", lambda m: m.replace(b"c=biws,", b""),
        lambda m: m.rpartition(b",p=")[0] + b",p=!!!!", lambda m: m + b",x=1", lambda m: m + b"\0",
    ],
)  # fmt: skip
def test_changed_final_messages(change: Callable[[bytes], bytes]) -> None:
    here, there = client(), server()
    final = here.final(there.first(here.first()))
    with pytest.raises(HeliosError):
        there.final(change(final))


def test_channel_binding() -> None:
    certificate = b"h" * 32
    here = client(channel_binding=certificate, server_has_plus=True, tls=True)
    there = server(channel_binding=certificate, mechanism=scram.MECHANISM_PLUS)
    assert here.mechanism == scram.MECHANISM_PLUS
    here.finish(there.final(here.final(there.first(here.first()))))
    # A man in the middle shows another certificate.
    here = client(channel_binding=b"m" * 32, server_has_plus=True, tls=True)
    there = server(channel_binding=certificate, mechanism=scram.MECHANISM_PLUS)
    with pytest.raises(ProtocolViolation):
        there.final(here.final(there.first(here.first())))


def test_a_stripped_offer_of_channel_binding_is_noticed() -> None:
    here = client(channel_binding=b"h" * 32, server_has_plus=False, tls=True)
    assert here.first().startswith(b"y,,")
    with pytest.raises(HeliosError, match="SCRAM channel binding negotiation error"):
        server(channel_binding=b"h" * 32).first(client(channel_binding=b"h" * 32, tls=True).first())
    # Without TLS the server has nothing to bind to, and "y" is fine.
    server().first(client(channel_binding=b"h" * 32, tls=True).first())


@pytest.mark.parametrize(
    "message",
    [
        b"r=short,s=AAAA,i=4096", b"r={n},s=AAAA,i=4096", b"r={n}x,s=AAAA,i=0", b"r={n}x,s=AAAA,i=-1",
        b"r={n}x,s=AAAA,i=1000001", b"r={n}x,s=AAAA,i=99999999999999999999", b"r={n}x,s=,i=4096",
        b"r={n}x,s=!!,i=4096", b"r={n}x,i=4096", b"m=1,r={n}x,s=AAAA,i=4096", b"e=other-error", b"",
        b"r={n}x,s=" + b"A" * 400 + b",i=4096", b"r={n}" + b"x" * 1100 + b",s=AAAA,i=4096", b"r={n}x,s=AAAA,i=4_0",
    ],
)  # fmt: skip
def test_a_hostile_server_s_first_message(message: bytes) -> None:
    here = client()
    nonce = here.first().rpartition(b"r=")[2]
    with pytest.raises(ProtocolViolation):
        here.final(message.replace(b"{n}", nonce))


def test_a_server_that_does_not_know_the_verifier() -> None:
    for last in (b"v=" + base64.b64encode(b"x" * 32), b"e=invalid-proof"):
        here, there = client(), server()
        here.final(there.first(here.first()))
        with pytest.raises(scram.AuthenticationFailed):
            here.finish(last)


def test_saslprep() -> None:
    # RFC 4013, section 3.
    assert saslprep("I\u00adX") == "IX"
    assert saslprep("user") == "user"
    assert saslprep("USER") == "USER"
    assert saslprep("\u00aa") == "a"
    assert saslprep("\u2168") == "IX"
    assert saslprep("\u0007") is None
    assert saslprep("\u0627\u0031") is None
    assert saslprep("\u00ad") is None
    assert prepare_password("\u0627\u0031") == "\u0627\u0031".encode()
    assert prepare_password(b"\xff\xfe") == b"\xff\xfe"
    assert prepare_password("a\u00a0b") == b"a b"
    assert prepare_password("tab\there") == b"tab\there"
