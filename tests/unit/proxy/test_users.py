"""Who may log in at the proxy: listed users, the nodes' roles, nobody that could be told from somebody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from helios_cli.engine.config.proxy import ProxySettings, UserSettings
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxyserver import users
from helios_cli.engine.proxyserver.users import Known, Users, credential
from helios_cli.engine.wire import scram

SECRET = b"k" * 32
ROLE = str(scram.build_verifier("red", b"r" * 16))


class World:
    """A node that is asked, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.roles: dict[str, str | None] = {"ann": ROLE}
        self.asked: list[str] = []
        self.down = False

    def clock(self) -> float:
        return self.now

    async def ask(self, sql: str, params: Sequence[str]) -> Sequence[Sequence[str | None]]:
        assert sql == users.ROLE_QUERY
        self.asked.append(params[0])
        await asyncio.sleep(0)
        if self.down:
            raise ConnectionRefusedError("nobody listens")
        return [(self.roles[params[0]],)] if params[0] in self.roles else []

    def users(self, *listed: UserSettings) -> Users:
        return Users(listed, secret=SECRET, clock=self.clock, ask=self.ask)


def of(*listed: UserSettings) -> Users:
    return Users(listed, secret=SECRET, clock=lambda: 0.0)


def exchange(known: Known, password: str) -> scram.ScramServer:
    """A whole dialogue with a client that knows ``password``. Raises AuthenticationFailed."""
    assert known.verifier is not None
    server = scram.ScramServer(known.verifier, b"s" * 18, doomed=known.doomed)
    client = scram.ScramClient(password, b"c" * 18)
    client.finish(server.final(client.final(server.first(client.first()))))
    return server


@pytest.mark.asyncio
async def test_without_users_everybody_is_trusted() -> None:
    assert of().trusting
    known = await of().find("anybody")
    assert known == Known(None)
    assert credential(known, b"") is None


@pytest.mark.asyncio
async def test_a_listed_password() -> None:
    known = await of(UserSettings("ann", "red")).find("ann")
    server = exchange(known, "red")
    assert credential(known, server.client_key) == "red"
    with pytest.raises(scram.AuthenticationFailed):
        exchange(known, "blue")


@pytest.mark.asyncio
async def test_a_listed_verifier_gives_the_clients_keys() -> None:
    known = await of(UserSettings("ann", verifier=ROLE)).find("ann")
    keys = credential(known, exchange(known, "red").client_key)
    assert isinstance(keys, scram.ClientKeys)
    # They are good for the same verifier elsewhere.
    node = scram.ScramServer(scram.Verifier.parse(ROLE), b"n" * 18)
    client = scram.ScramClient(keys, b"d" * 18)
    client.finish(node.final(client.final(node.first(client.first()))))


@pytest.mark.asyncio
async def test_unknown_users_look_like_listed_ones() -> None:
    one, worker = of(UserSettings("ann", "red")), of(UserSettings("ann", "red"))
    for name in ("ann", "nobody"):
        first, second = await one.find(name), await worker.find(name)
        assert first.verifier is not None and second.verifier is not None
        assert first.verifier.salt == second.verifier.salt, "two workers, or two starts, show the same salt"
        assert first.verifier.iterations == scram.DEFAULT_ITERATIONS
    nobody = await one.find("nobody")
    assert nobody.doomed
    with pytest.raises(scram.AuthenticationFailed):
        exchange(nobody, "red")


@pytest.mark.asyncio
async def test_roles_are_asked_of_a_node_and_kept_a_while() -> None:
    world = World()
    known = world.users()
    assert str((await known.find("ann")).verifier) == ROLE
    assert str((await known.find("ann")).verifier) == ROLE
    assert (await known.find("eve")).doomed
    assert (await known.find("eve")).doomed
    assert world.asked == ["ann", "eve"]
    world.now += users.FRESH_S
    await known.find("ann")
    assert world.asked == ["ann", "eve", "ann"]


@pytest.mark.asyncio
async def test_clients_that_come_together_share_a_question() -> None:
    world = World()
    known = world.users()
    await asyncio.gather(*(known.find("ann") for _ in range(20)))
    assert world.asked == ["ann"]


@pytest.mark.asyncio
async def test_after_a_failed_login_the_password_is_asked_anew() -> None:
    world = World()
    known = world.users()
    await known.find("ann")
    known.failed("ann")
    await known.find("ann")
    assert world.asked == ["ann"], "not within a second, however many fail"
    world.roles["ann"] = str(scram.build_verifier("blue", b"r" * 16))
    world.now += users.AGAIN_S
    known.failed("ann")
    assert str((await known.find("ann")).verifier) == world.roles["ann"]


@pytest.mark.asyncio
async def test_while_no_node_answers_old_answers_serve() -> None:
    world = World()
    known = world.users()
    await known.find("ann")
    world.down = True
    world.now += users.FRESH_S
    assert str((await known.find("ann")).verifier) == ROLE
    with pytest.raises(HeliosError) as caught:
        await known.find("bob")
    assert caught.value.sqlstate == "57P03"
    world.now += users.STALE_S
    with pytest.raises(HeliosError):
        await known.find("ann")


@pytest.mark.asyncio
@pytest.mark.parametrize("text", ["md5" + "0" * 32, "********"])
async def test_other_passwords_cannot_be_used(text: str, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.roles["ann"] = text
    with caplog.at_level(logging.WARNING):
        assert (await world.users().find("ann")).doomed
    assert "SCRAM" in caplog.text.upper()


@pytest.mark.asyncio
async def test_a_role_without_a_password_cannot_log_in() -> None:
    world = World()
    world.roles["ann"] = None
    assert (await world.users().find("ann")).doomed


@pytest.mark.asyncio
async def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "ENTRIES_MAX", 10)
    known = World().users()
    for number in range(50):
        await known.find(f"user{number}")
    assert len(known._asked) == 10


@pytest.mark.parametrize(
    ("settings", "asks", "trusting"),
    [
        (ProxySettings(), False, True),
        (ProxySettings(auth_user="postgres"), False, True),
        (ProxySettings(auth="scram", auth_user="boss", auth_password="x"), True, False),
        (ProxySettings(auth="scram", auth_user="boss"), True, False),
        (ProxySettings(auth="scram", auth_user="boss", users=(UserSettings("ann", "red"),)), False, False),
        (ProxySettings(auth="scram", auth_user="b", auth_password="x", users=(UserSettings("a", "b"),)), True, False),
        (ProxySettings(auth="trust", users=(UserSettings("ann", "red"),)), False, True),
    ],
)
@pytest.mark.asyncio
async def test_where_users_come_from(settings: ProxySettings, asks: bool, trusting: bool) -> None:
    world = World()
    known = Users.of(settings, world.clock, world.ask)
    assert known.trusting is trusting
    await known.find("stranger")
    assert bool(world.asked) is asks


@pytest.mark.asyncio
async def test_a_trusted_user_with_a_listed_password_logs_in_with_it_at_the_nodes() -> None:
    settings = ProxySettings(auth="trust", users=(UserSettings("ann", "red"),))
    world = World()
    known = await Users.of(settings, world.clock, world.ask).find("ann")
    assert (known.verifier, credential(known, None)) == (None, "red")
