"""The messages of the native protocol: every one goes round, and what no node sends is refused, at no great cost."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire import peer
from helios_cli.engine.wire.peer import FrameReader, Kind, PeerProtocolError, encode_frame

JSON_MESSAGES: list[Any] = sorted(messages._Json.__subclasses__(), key=lambda one: one.__name__)
PACKED_MESSAGES: list[Any] = [messages.Heartbeat, messages.Acknowledge, messages.Observed]
BIG = st.integers(0, 2**64 - 1)
LSNS = st.builds(Lsn, BIG)
SHORT = st.text(st.characters(categories=("L", "N", "P", "S")), max_size=messages.TEXT_MAX)


@st.composite
def histories(draw: st.DrawFn) -> History:
    starts = sorted(draw(st.sets(BIG, max_size=5)))
    numbers = sorted(draw(st.sets(BIG, min_size=len(starts), max_size=len(starts))))
    return History(
        TermStart(Term(number, draw(BIG)), Lsn(start)) for number, start in zip(numbers, starts, strict=True)
    )


def field_values(field: dataclasses.Field[Any]) -> st.SearchStrategy[Any]:
    if field.name == "history":
        return histories().map(lambda history: history.to_bytes().hex())
    if field.name == "config":
        return st.text(st.characters(codec="ascii"), max_size=2 * messages.TEXT_MAX)
    if field.type == "int":
        return st.integers(0, 65535) if field.name.endswith("_port") else BIG
    return st.booleans() if field.type == "bool" else SHORT


@st.composite
def json_messages(draw: st.DrawFn) -> Any:
    made = draw(st.sampled_from(JSON_MESSAGES))
    return made(**{field.name: draw(field_values(field)) for field in dataclasses.fields(made)})


def acknowledgement(
    lsns: list[Lsn], echo_us: int, checksum: int, blocked_ms: int, is_full: bool
) -> messages.Acknowledge:
    applied, flushed, written = sorted(lsns)
    return messages.Acknowledge(written, flushed, applied, echo_us, checksum, blocked_ms, is_full)


ACKNOWLEDGEMENTS = st.builds(
    acknowledgement, st.lists(LSNS, min_size=3, max_size=3), BIG, BIG, st.integers(0, 0xFFFFFFFF), st.booleans()
)
LEASES = st.none() | st.integers(0, 0xFFFFFFFE)
HEARTBEATS = st.builds(messages.Heartbeat, LSNS, LSNS, BIG, LEASES)
PACKED = st.one_of(HEARTBEATS, ACKNOWLEDGEMENTS, st.builds(messages.Observed, BIG, BIG))
ANY = st.one_of(json_messages(), PACKED)


@given(ANY)
def test_every_message_goes_round(message: Any) -> None:
    frame = encode_frame(Kind.HELLO, Term(3, 4), message.to_body())
    (heard,) = FrameReader().feed(frame)
    assert type(message).from_body(heard.body) == message


@given(histories())
def test_histories_go_round(history: History) -> None:
    assert messages.Follow(history.to_bytes().hex(), 0).terms() == history


@given(BIG, BIG, st.binary(min_size=1, max_size=300))
def test_records_go_round(committed: int, sent_us: int, records: bytes) -> None:
    body = messages.records_body(committed, sent_us, records)
    assert messages.read_records_head(body) == (committed, sent_us)
    assert body[messages.RECORDS_HEAD :] == records


@settings(max_examples=300)
@given(ANY, st.data())
def test_a_changed_body_is_refused_or_another_message(message: Any, chance: st.DataObject) -> None:
    body = bytearray(message.to_body())
    for _ in range(chance.draw(st.integers(1, 3))):
        at = chance.draw(st.integers(0, len(body)))
        what = chance.draw(st.integers(0, 2))
        if what == 0:
            body[at:at] = chance.draw(st.binary(max_size=8))
        elif what == 1:
            del body[at : at + 3]
        elif at < len(body):
            body[at] ^= 1 << chance.draw(st.integers(0, 7))
    try:
        heard = type(message).from_body(bytes(body))
        heard.to_body()
        if hasattr(heard, "terms"):
            heard.terms()
    except PeerProtocolError:
        pass


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(json_messages(), st.data())
def test_a_field_of_another_kind_is_refused(message: Any, chance: st.DataObject) -> None:
    content = dataclasses.asdict(message)
    name = chance.draw(st.sampled_from(sorted(content)))
    given_value = chance.draw(VALUES)
    body = json.dumps(content | {name: given_value}).encode()
    try:
        heard = type(message).from_body(body)
    except PeerProtocolError:
        return
    assert type(given_value) is type(content[name])
    assert type(getattr(heard, name)) is type(content[name])


@settings(max_examples=200)
@given(st.sampled_from(JSON_MESSAGES + PACKED_MESSAGES), st.binary(max_size=400))
def test_garbage_is_refused(kind: Any, body: bytes) -> None:
    try:
        kind.from_body(body)
    except PeerProtocolError:
        return
    assert kind in PACKED_MESSAGES


HELLO = messages.Hello("n1", "", "", "standby", "h", 1, 2, 3, "async", "00", True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("node_id", "a\nWARNING forged"),
        ("node_id", "\ud800"),
        ("node_id", "x" * (messages.TEXT_MAX + 1)),
        ("node_id", None),
        ("pg_port", -1),
        ("pg_port", 65536),
        ("pg_port", True),
        ("pg_port", 1.0),
    ],
)
def test_what_is_no_sound_field(name: str, value: object) -> None:
    body = json.dumps(dataclasses.asdict(HELLO) | {name: value}).encode()
    with pytest.raises(PeerProtocolError, match=name):
        messages.Hello.from_body(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b" " * (messages.JSON_MAX + 1)],
    ids=["empty", "list", "object", "null", "no UTF-8", "deep", "long number", "too long"],
)
@pytest.mark.parametrize("kind", JSON_MESSAGES, ids=lambda kind: kind.__name__)
def test_bodies_that_are_no_message(kind: Any, body: bytes) -> None:
    with pytest.raises(PeerProtocolError, match="damaged message"):
        kind.from_body(body)


def test_what_is_told_of_an_error_can_be_read_back() -> None:
    refused = messages.Refused.of(PeerProtocolError("two\nlines " + "x" * 1000, hint="tab\there"))
    assert messages.Refused.from_body(refused.to_body()) == refused
    assert refused.message.startswith("two lines x")


def test_before_it_is_trusted_a_peer_gets_no_memory() -> None:
    bomb = encode_frame(Kind.HELLO, Term(0), bytes(peer.BODY_MAX))
    assert len(bomb) < messages.HANDSHAKE_MAX * 2
    small = encode_frame(Kind.HELLO, Term(0), bytes(messages.HANDSHAKE_MAX + 1))
    tracemalloc.start()
    try:
        for frame in (bomb, small):
            with pytest.raises(PeerProtocolError, match=r"longer|too much"):
                FrameReader(messages.HANDSHAKE_MAX).feed(frame)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_proofs() -> None:
    proof = messages.prove(b"secret", "caller", b"hello", b"challenge", b"certificate")
    right = ("caller", b"hello", b"challenge", b"certificate")
    assert messages.proves(proof, b"secret", *right)
    for wrong in (
        ("answerer", b"hello", b"challenge", b"certificate"),
        ("caller", b"hell", b"ochallenge", b"certificate"),
        ("caller", b"hello", b"challengecertificate", b""),
        ("caller", b"hello", b"challenge", b"another"),
    ):
        assert not messages.proves(proof, b"secret", *wrong)
    assert not messages.proves(proof, b"other", *right)
    assert not messages.proves("", b"secret", *right)
    assert not messages.proves(messages.prove(b"", *right), b"", *right), "no secret proves nothing"
