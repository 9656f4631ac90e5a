"""Frames of the native protocol: what goes round, and what garbage is told apart from it."""

from __future__ import annotations

import struct

import pytest
from google_crc32c import value as crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_cli.engine.types import Term
from helios_cli.engine.wire import peer
from helios_cli.engine.wire.peer import Frame, FrameReader, Kind, PeerProtocolError, encode_frame

TERMS = st.builds(Term, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
BODIES = st.one_of(
    st.binary(max_size=200), st.builds(lambda piece, count: piece * count, st.binary(max_size=20), st.integers(0, 300))
)
FRAMES = st.builds(Frame, st.sampled_from(Kind), TERMS, BODIES)


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(1, 3000), max_size=20), st.booleans())
def test_frames_go_round_however_they_are_cut(frames: list[Frame], cuts: list[int], compress: bool) -> None:
    data = b"".join(encode_frame(frame.kind, frame.term, frame.body, compress=compress) for frame in frames)
    reader = FrameReader()
    heard: list[Frame] = []
    for cut in cuts:
        heard += reader.feed(data[:cut])
        data = data[cut:]
    heard += reader.feed(data)
    assert heard == frames
    assert reader.pending == 0


@given(FRAMES, st.data())
def test_a_changed_bit_is_noticed(frame: Frame, chance: st.DataObject) -> None:
    data = bytearray(encode_frame(frame.kind, frame.term, frame.body))
    bit = chance.draw(st.integers(0, len(data) * 8 - 1))
    data[bit // 8] ^= 1 << bit % 8
    reader = FrameReader()
    try:
        # A longer length only makes the reader wait for more, and that more then fails the checksum.
        heard = reader.feed(bytes(data))
        heard += reader.feed(bytes(peer.BODY_MAX + peer.HEADER_BYTES)) if not heard else []
    except PeerProtocolError:
        return
    raise AssertionError(f"{heard} came out of a damaged frame")


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=400), max_size=6))
def test_garbage_gives_an_error_or_nothing(pieces: list[bytes]) -> None:
    reader = FrameReader()
    try:
        for piece in pieces:
            assert reader.feed(piece) == []
    except PeerProtocolError:
        pass
    assert reader.pending <= sum(map(len, pieces))


def forged(body: bytes, *, kind: int = Kind.HEARTBEAT, flags: int = 0, length: int | None = None) -> bytes:
    """A frame whose checksum is right."""
    header = struct.pack("<IBBHQQ", len(body) if length is None else length, kind, flags, 0, 1, 2)
    return header + struct.pack("<I", crc32c(header + body)) + body


@pytest.mark.parametrize(
    "data",
    [
        forged(b"", kind=99),
        forged(b"", flags=2),
        forged(b"", length=peer.BODY_MAX + 1),
        forged(b"abc", flags=1),
        forged(struct.pack("<I", peer.BODY_MAX + 1) + b"abc", flags=1),
        forged(struct.pack("<I", 100) + b"\xff\xff\xff", flags=1),
        forged(struct.pack("<I", 100) + b"\x10a", flags=1),
    ],
    ids=["kind", "flags", "length", "cut short", "bomb", "no LZ4", "another length"],
)
def test_what_a_checksum_does_not_tell(data: bytes) -> None:
    with pytest.raises(PeerProtocolError, match="damaged frame"):
        FrameReader().feed(data)


def test_a_body_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ValueError, match="longer than"):
        encode_frame(Kind.RECORDS, Term(1), bytes(peer.BODY_MAX + 1))


@given(st.integers(0, 255), st.integers(0, 255))
def test_versions_are_agreed_on_or_refused(lowest: int, highest: int) -> None:
    offered = peer.preface(lowest, highest)
    if lowest > highest:
        with pytest.raises(PeerProtocolError):
            peer.answer_preface(offered)
        return
    chosen, answer = peer.answer_preface(offered)
    common = range(max(lowest, peer.VERSION_MIN), min(highest, peer.VERSION_MAX) + 1)
    assert chosen == (common[-1] if common else peer.NO_VERSION)
    if chosen:
        assert peer.read_answer(answer) == chosen
    else:
        with pytest.raises(PeerProtocolError, match="no version"):
            peer.read_answer(answer)


@given(st.binary(max_size=12))
def test_other_protocols_are_told_apart(data: bytes) -> None:
    if data[:6] == peer.MAGIC and len(data) == peer.PREFACE_BYTES:
        return
    with pytest.raises(PeerProtocolError):
        peer.answer_preface(data)
    with pytest.raises(PeerProtocolError):
        peer.read_answer(data)
