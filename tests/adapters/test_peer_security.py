"""Who may speak with a node, and what a stranger learns: real sockets, both event loops, third parties' tricks."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.peer_call import reach
from helios_cli.engine.node.peer_door import Door, TooSlow
from helios_cli.engine.node.peer_link import INBOX_MAX, Identity, PeerLink, PeerRefused, admit, introduce
from helios_cli.engine.node.peer_tls import NO_TLS, PeerTls, peer_tls, tls_failure
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Term
from helios_cli.engine.wire import peer
from helios_cli.engine.wire.peer import Kind, PeerProtocolError

CLUSTER = "c0ffee" * 5 + "00"
SECRET = b"correct horse battery staple"
TERM = Term(1234567, 7654321)


class Remote(PeerLink):
    """A connection that does not come from this machine, as far as it knows."""

    is_loopback = False


def identity(name: str) -> Identity:
    return Identity(name, CLUSTER, "ab" * 16, "standby", "async", "127.0.0.1", 1, 2, 3)


def welcome(proof: str) -> messages.Welcome:
    return messages.Welcome(proof, "answerer", CLUSTER, "primary", "async", "h", 1, 2, 0, 0, "embedded")


class Answerer:
    """The native port of a node, for as long as the block lasts."""

    def __init__(self, secret: bytes, tls: PeerTls = NO_TLS, make: type[PeerLink] = Remote) -> None:
        self.secret, self.tls, self.make = secret, tls, make
        self.links: list[PeerLink] = []
        self.admitted: list[messages.Hello] = []
        self.errors: list[BaseException] = []
        self.door = Door()
        self.port = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Answerer:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for link in self.links:
            link.close()
        await asyncio.gather(*self._tasks)

    def _accept(self) -> PeerLink:
        link = self.make(lambda: TERM, serve=self._serve, tls=self.tls, door=self.door)
        self.links.append(link)
        return link

    def _serve(self, link: PeerLink) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(self._handshake(link)))

    async def _handshake(self, link: PeerLink) -> None:
        try:
            self.admitted.append(await admit(link, identity("answerer"), self.secret, welcome))
        except PeerRefused as error:
            self.errors.append(error)
            link.refuse(error)
        except (HeliosError, TimeoutError) as error:
            self.errors.append(error)
            link.close()


@contextlib.asynccontextmanager
async def calling(port: int, tls: PeerTls = NO_TLS, host: str = "127.0.0.1") -> AsyncIterator[PeerLink]:
    link = Remote(lambda: TERM, tls=tls)
    try:
        await reach(link, host, port)
        yield link
    finally:
        link.close()


async def call(
    port: int, secret: bytes, tls: PeerTls = NO_TLS, host: str = "127.0.0.1", name: str = "caller"
) -> messages.Welcome:
    async with calling(port, tls, host) as link:
        return await introduce(link, identity(name), secret)


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:

        def bounded(work: Coroutine[Any, Any, Any]) -> Any:
            async def within() -> Any:
                async with asyncio.timeout(20):
                    return await work

            return runner.run(within())

        yield bounded


# The secret ----------------------------------------------------------------------------------------------------------


def test_both_know_the_secret(run: Run) -> None:
    async def test() -> None:
        async with Answerer(SECRET) as answerer:
            assert (await call(answerer.port, SECRET)).node_id == "answerer"
            assert [hello.node_id for hello in answerer.admitted] == ["caller"]

    run(test())


@pytest.mark.parametrize(
    ("theirs", "own", "text"),
    [
        (SECRET, b"another", "the proof of the cluster's secret is wrong"),
        (SECRET, b"", "nodes on other machines are told by the cluster's secret, and this node has none"),
        (b"", SECRET, "this node has no cluster secret, so it takes no node of another machine"),
    ],
)
def test_one_does_not(run: Run, theirs: bytes, own: bytes, text: str) -> None:
    async def test() -> None:
        async with Answerer(theirs) as answerer:
            with pytest.raises(PeerRefused, match=text) as refused:
                await call(answerer.port, own)
            assert "HELIOSDB_CLUSTER_SECRET" in (refused.value.hint or "")
            assert not answerer.admitted

    run(test())


def test_on_one_machine_no_secret_is_needed(run: Run) -> None:
    async def test() -> None:
        async with Answerer(SECRET, make=PeerLink) as answerer:
            link = PeerLink(lambda: TERM)
            await reach(link, "127.0.0.1", answerer.port)
            heard = await introduce(link, identity("caller"), b"")
            assert heard.proof == "", "a caller that has proved nothing gets no proof to hand on"
            link.close()

    run(test())


def test_on_one_machine_who_can_prove_it_does(run: Run) -> None:
    async def test() -> None:
        async with Answerer(SECRET, make=PeerLink) as answerer:
            for secret, proved in ((b"", False), (SECRET, True)):
                link = PeerLink(lambda: TERM)
                await reach(link, "127.0.0.1", answerer.port)
                await introduce(link, identity("caller"), secret)
                assert answerer.links[-1].proved is proved
                link.close()
            link = PeerLink(lambda: TERM)
            await reach(link, "127.0.0.1", answerer.port)
            with pytest.raises(PeerRefused, match="the proof of the cluster's secret is wrong"):
                await introduce(link, identity("caller"), b"another")

    run(test())


async def raw_call(port: int, *frames: bytes, until: int = 10_000) -> bytes:
    """Everything that a node says to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(peer.preface() + b"".join(frames))
    heard = await reader.read(until)
    with contextlib.suppress(OSError):
        while more := await asyncio.wait_for(reader.read(until), 10):
            heard += more
    writer.close()
    return heard


def hello(name: str = "mallory", nonce: str = "00" * 16) -> bytes:
    body = messages.Hello(name, "", "", "standby", "h", 1, 2, 3, "async", nonce, True).to_body()
    return peer.encode_frame(Kind.HELLO, Term(0), body)


def test_a_stranger_learns_nothing(run: Run) -> None:
    async def test() -> None:
        async with Answerer(SECRET) as answerer:
            proof = peer.encode_frame(Kind.PROOF, Term(0), messages.Proof("ab" * 32).to_body())
            heard = await raw_call(answerer.port, hello(), proof)
            for name in (b"answerer", CLUSTER.encode(), TERM.number.to_bytes(8, "little"), SECRET):
                assert name not in heard
            kinds = [(frame.kind, frame.term) for frame in peer.FrameReader().feed(heard[peer.PREFACE_BYTES :])]
            assert kinds == [(Kind.CHALLENGE, Term(0)), (Kind.REFUSED, Term(0))]

    run(test())


def test_a_node_tells_an_impostor_no_term(run: Run) -> None:
    async def test() -> None:
        heard = bytearray()
        gone = asyncio.Event()

        async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(peer.answer_preface(await reader.readexactly(8))[1])
            challenge = messages.Challenge("00" * 16, False).to_body()
            writer.write(peer.encode_frame(Kind.CHALLENGE, Term(9), challenge))
            # A node in the middle that would rather not be asked for a proof claims that none is wanted.
            writer.write(peer.encode_frame(Kind.WELCOME, Term(9), welcome("").to_body()))
            while more := await reader.read(10_000):
                heard.extend(more)
            writer.close()
            gone.set()

        server = await asyncio.start_server(impostor, "127.0.0.1", 0)
        async with server:
            with pytest.raises(PeerProtocolError, match="does not know the cluster's secret"):
                await call(server.sockets[0].getsockname()[1], SECRET)
            await gone.wait()
        frames = peer.FrameReader().feed(bytes(heard))
        assert [(frame.kind, frame.term) for frame in frames] == [(Kind.HELLO, Term(0)), (Kind.PROOF, Term(0))]
        assert messages.Proof.from_body(frames[1].body).proof == "", "what is not wanted is not given away"

    run(test())


def test_a_proof_that_is_sent_back_proves_nothing(run: Run) -> None:
    async def test() -> None:
        gone = asyncio.Event()

        async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            frames = peer.FrameReader()
            heard: list[peer.Frame] = []
            writer.write(peer.answer_preface(await reader.readexactly(8))[1])
            challenge = messages.Challenge("00" * 16, True).to_body()
            writer.write(peer.encode_frame(Kind.CHALLENGE, Term(0), challenge))
            while not any(frame.kind is Kind.PROOF for frame in heard):
                heard += frames.feed(await reader.read(10_000))
            proof = messages.Proof.from_body(heard[-1].body).proof
            assert proof
            writer.write(peer.encode_frame(Kind.WELCOME, Term(0), welcome(proof).to_body()))
            await reader.read()
            writer.close()
            gone.set()

        server = await asyncio.start_server(mirror, "127.0.0.1", 0)
        async with server:
            with pytest.raises(PeerProtocolError, match="does not know the cluster's secret"):
                await call(server.sockets[0].getsockname()[1], SECRET)
            await gone.wait()

    run(test())


def test_what_was_recorded_is_of_no_use_later(run: Run) -> None:
    async def test() -> None:
        sent = bytearray()

        class Recorded(Remote):
            def write(self, frame: bytes) -> None:
                sent.extend(frame)
                super().write(frame)

        async with Answerer(SECRET) as answerer:
            link = Recorded(lambda: TERM)
            await reach(link, "127.0.0.1", answerer.port)
            await introduce(link, identity("caller"), SECRET)
            link.close()
            heard = await raw_call(answerer.port, bytes(sent))
            last = peer.FrameReader().feed(heard[peer.PREFACE_BYTES :])[-1]
            assert messages.Refused.from_body(last.body).sqlstate == "28P01"
            assert len(answerer.admitted) == 1

    run(test())


def test_another_cluster_and_the_same_name(run: Run) -> None:
    async def test() -> None:
        async with Answerer(SECRET) as answerer:
            with pytest.raises(PeerRefused, match="there is a node answerer in this cluster already"):
                await call(answerer.port, SECRET, name="answerer")
            async with calling(answerer.port) as link:
                other = Identity("x", "00" * 16, "", "standby", "async", "h", 1, 2, 3)
                with pytest.raises(PeerRefused, match="belongs to another cluster"):
                    await introduce(link, other, SECRET)

    run(test())


def test_frames_wait_in_the_socket_not_in_memory(run: Run) -> None:
    async def test() -> None:
        async with Answerer(SECRET, make=PeerLink) as answerer:
            link = PeerLink(lambda: TERM)
            await reach(link, "127.0.0.1", answerer.port)
            await introduce(link, identity("caller"), b"")
            other = answerer.links[0]
            body = random.Random(1).randbytes(1 << 20)
            for number in range(100):
                other.send(Kind.HASHES, number.to_bytes(4, "little") + body)
            for number in range(100):
                assert len(link._inbox) <= INBOX_MAX + 4
                frame = await link.receive(Kind.HASHES)
                assert frame.body[:4] == number.to_bytes(4, "little")
            link.close()

    run(test())


# TLS -----------------------------------------------------------------------------------------------------------------


class Certificates:
    """Files of an authority and of the nodes that it has signed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authorities = {name: trustme.CA() for name in ("own", "foreign")}
        for name, authority in self.authorities.items():
            authority.cert_pem.write_to_path(str(directory / f"{name}.ca"))

    def tls(
        self, name: str = "node", *, host: str = "127.0.0.1", signer: str = "own", ended: bool = False, **settings: Any
    ) -> PeerTls:
        """Of a node with a certificate for ``host``, which is good no longer when it has ``ended``."""
        until = datetime.now(UTC) - timedelta(days=1) if ended else None
        made = self.authorities[signer].issue_cert(host, not_after=until)
        certificate, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        return peer_tls(Settings(tls_cert=str(certificate), tls_key=str(key), **settings))

    def authority(self, name: str = "own") -> str:
        return str(self.directory / f"{name}.ca")


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def test_tls_with_a_certificate_that_is_verified(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with Answerer(SECRET, certificates.tls("a")) as answerer:
            verified = peer_tls(Settings(tls_ca=certificates.authority()))
            async with calling(answerer.port, verified) as link:
                assert link.secured and not link.certified
                assert (await introduce(link, identity("caller"), SECRET)).node_id == "answerer"
            with pytest.raises(PeerRefused, match="the proof of the cluster's secret is wrong"):
                await call(answerer.port, b"another", verified)

    run(test())


@pytest.mark.parametrize(
    ("answerer", "caller", "text"),
    [
        ({"signer": "foreign"}, {}, "is not signed by what is in tls_ca"),
        ({"signer": "foreign"}, {"peer_tls": "verify-ca"}, "is not signed by what is in tls_ca"),
        ({"host": "127.0.0.9"}, {}, 'the node that was called as "127.0.0.1" is for "127.0.0.9"'),
        ({"host": "db2.example.com"}, {}, 'the node that was called as "127.0.0.1" is for "db2.example.com"'),
        ({"ended": True}, {}, "the certificate that the node at 127.0.0.1 shows has expired"),
        ({"host": "127.0.0.9"}, {"peer_tls": "verify-ca"}, ""),
        ({"signer": "foreign", "host": "127.0.0.9"}, {"peer_tls": "require"}, ""),
    ],
)
def test_which_certificates_are_taken(
    run: Run, certificates: Certificates, answerer: Any, caller: Any, text: str
) -> None:
    async def test() -> None:
        async with Answerer(SECRET, certificates.tls("a", **answerer)) as other:
            tls = peer_tls(Settings(tls_ca=certificates.authority(), **caller))
            if not text:
                await call(other.port, SECRET, tls)
                return
            with pytest.raises(PeerProtocolError, match=text) as failed:
                await call(other.port, SECRET, tls)
            hint = "pg_reload_conf()" if "expired" in text else "peer_tls = verify-ca" if "called" in text else "tls_ca"
            assert hint in (failed.value.hint or "")

    run(test())


def test_a_handshake_that_the_other_node_ended_says_where_to_look() -> None:
    failure = tls_failure(ConnectionResetError(), "db1")
    assert failure.message == "TLS failed: the other node ended the handshake" and "its log" in (failure.hint or "")


def test_a_certificate_stands_in_for_the_secret(run: Run, certificates: Certificates) -> None:
    both: dict[str, Any] = {"tls_ca": certificates.authority(), "peer_auth": "certificate"}

    async def test() -> None:
        async with Answerer(b"", certificates.tls("a", **both)) as answerer:
            assert (await call(answerer.port, b"", certificates.tls("b", **both))).proof == ""
            assert len(answerer.admitted) == 1
            foreign = certificates.tls("c", signer="foreign", **both)
            bare = peer_tls(Settings(tls_ca=certificates.authority()))
            for tls in (foreign, bare):
                with pytest.raises((HeliosError, OSError)):
                    await call(answerer.port, SECRET, tls)
            assert len(answerer.admitted) == 1

    run(test())


def test_in_the_clear_to_a_node_with_tls(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with Answerer(SECRET, certificates.tls("a")) as answerer:
            with pytest.raises(PeerRefused, match="the native port of this node speaks TLS only") as refused:
                await call(answerer.port, SECRET)
            assert "tls_ca" in (refused.value.hint or "")
            assert not answerer.admitted

    run(test())


def test_tls_to_a_node_without(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with Answerer(SECRET) as answerer:
            with pytest.raises(PeerProtocolError, match="the other node does not speak TLS"):
                await call(answerer.port, SECRET, peer_tls(Settings(tls_ca=certificates.authority())))

    run(test())


def test_bytes_in_the_clear_behind_the_request_for_tls(run: Run, certificates: Certificates) -> None:
    async def test() -> None:
        async with Answerer(SECRET, certificates.tls("a")) as answerer:
            reader, writer = await asyncio.open_connection("127.0.0.1", answerer.port)
            writer.write(peer.TLS_WANTED + peer.preface() + hello())
            assert await reader.read() == b"", "not even a yes"
            writer.close()
            assert "in the clear" in str(answerer.links[0].error)

    run(test())


def test_a_man_in_the_middle_with_a_certificate_of_his_own(run: Run, certificates: Certificates) -> None:
    """The caller verifies no certificate; the proofs are bound to the one that it has seen."""

    async def test() -> None:
        genuine, own = certificates.tls("a"), certificates.tls("m", signer="foreign")
        onward: list[asyncio.Task[None]] = []
        async with Answerer(SECRET, genuine) as answerer:

            async def relay(link: PeerLink) -> None:
                other = Remote(lambda: Term(0), tls=peer_tls(Settings(tls_ca="", peer_tls="require")))
                await reach(other, "127.0.0.1", answerer.port)
                other.begin(lambda frame: link.write(peer.encode_frame(*frame)))
                link.begin(lambda frame: other.write(peer.encode_frame(*frame)))

            def accept() -> PeerLink:
                return Remote(
                    lambda: Term(0),
                    serve=lambda link: onward.append(asyncio.get_running_loop().create_task(relay(link))),
                    tls=own,
                )

            server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
            async with server:
                caller = peer_tls(Settings(peer_tls="require"))
                with pytest.raises(PeerRefused, match="the proof of the cluster's secret is wrong"):
                    await call(server.sockets[0].getsockname()[1], SECRET, caller)
            assert not answerer.admitted
            await asyncio.gather(*onward)
            await call(answerer.port, SECRET, caller)

    run(test())


# The door ------------------------------------------------------------------------------------------------------------


class Silent:
    def __init__(self) -> None:
        self.error: HeliosError | None = None

    def drop(self, error: HeliosError) -> None:
        self.error = error


def test_who_stands_at_the_door_longest_is_dropped_first(run: Run) -> None:
    async def test() -> None:
        door = Door(strangers_max=3, seconds=60)
        links = [Silent() for _ in range(5)]
        for link in links:
            door.enter(link)
        assert [link.error is not None for link in links] == [True, True, False, False, False]
        door.leave(links[2])
        assert (door.strangers, door.dropped) == (2, 2)
        door.close()
        assert door.strangers == 0
        assert links[2].error is None

    run(test())


def test_who_says_nothing_in_time_is_dropped(run: Run) -> None:
    async def test() -> None:
        for first in (b"", peer.preface()[:3], peer.preface(), peer.preface() + hello()):
            async with Answerer(SECRET) as answerer:
                answerer.door = Door(seconds=0.05)
                reader, writer = await asyncio.open_connection("127.0.0.1", answerer.port)
                writer.write(first)
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                    await reader.read()
                assert isinstance(answerer.links[0].error, TooSlow)
                assert answerer.door.strangers == 0
                writer.close()

    run(test())


def test_who_is_trusted_has_left_the_door(run: Run) -> None:
    async def test() -> None:
        async with Answerer(SECRET) as answerer:
            await call(answerer.port, SECRET)
            assert answerer.door.strangers == 0
            assert answerer.door.dropped == 0

    run(test())


def test_strangers_cannot_fill_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        door = Door()
        for _ in range(1000):
            door.tell("somebody called")

    run(test())
    assert len(caplog.records) == 1
