"""Other settings while the proxy runs."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from helios_cli.engine.config.problems import ConfigProblems
from helios_cli.engine.config.proxy import NodeSettings, ProxySettings, UserSettings
from helios_cli.engine.config.proxy_change import AT_RESTART, Change, compare
from helios_cli.engine.config.proxy_load import LoadedProxy, load_proxy
from helios_cli.engine.config.proxy_table import SCALARS
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.proxyserver import reloading
from helios_cli.engine.proxyserver.reloading import Reloading, with_token
from helios_cli.engine.proxyserver.tls import ProxyTls

OLD = ProxySettings(nodes=(NodeSettings("a", "db1"),))
GUARDED = replace(OLD, listen_host="0.0.0.0", auth="scram", users=(UserSettings("ann", "red"),))


def test_what_changes_at_once_and_what_needs_a_restart() -> None:
    new = replace(OLD, listen_port=5401, workers=3, pool_size=7, nodes=(NodeSettings("b", "db2"),))
    change = compare(OLD, new)
    assert change.at_once == ("pool_size", "nodes")
    assert change.at_restart == ("listen_port", "workers")
    assert change.settings == replace(new, listen_port=5400, workers=1)
    assert str(change) == "pool_size, nodes changed; listen_port, workers will change at the next start"
    assert str(compare(OLD, OLD)) == "nothing has changed"


def test_the_table_says_of_each_key_whether_a_reload_is_enough() -> None:
    apart = {"proxy.listen_addr": "listen_host", "proxy.admin_addr": "admin_host", "proxy.http_addr": "http_host"}
    needs = {apart.get(one.key, one.name) for one in SCALARS if not one.reload}
    assert needs - {"admin_token_file"} == {name for name in AT_RESTART if not name.endswith("_port")}


def test_nobody_is_let_in_from_the_network_by_a_reload() -> None:
    """The file without users would narrow the listener, which cannot move."""
    new = replace(GUARDED, listen_host="127.0.0.1", auth="trust", users=())
    with pytest.raises(ConfigProblems, match=r"the proxy listens on 0\.0\.0\.0"):
        compare(GUARDED, new)
    assert compare(GUARDED, replace(new, listen_host="0.0.0.0", allow_insecure_network=True)).settings.auth == "trust"
    assert compare(replace(GUARDED, listen_host="127.0.0.1"), new).settings.auth == "trust"


class Taken:
    """Who takes changes over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loaded = load_proxy({}, str(path))
        self.changes: list[Change] = []
        self.tls: list[ProxyTls] = []
        self.reloading = Reloading(self.loaded, self.apply)

    def apply(self, change: Change, tls: ProxyTls) -> None:
        self.changes.append(change)
        self.tls.append(tls)


@pytest.fixture
def taken(tmp_path: Path) -> Taken:
    path = tmp_path / "proxy.toml"
    path.write_text('[proxy]\npool_size = 3\n[[nodes]]\nname = "a"\nhost = "db1"\n')
    return Taken(path)


def test_a_reload_is_taken_over_and_logged(taken: Taken, caplog: pytest.LogCaptureFixture) -> None:
    taken.path.write_text('[proxy]\npool_size = 4\n[[nodes]]\nname = "a"\nhost = "db1"\n')
    with caplog.at_level(logging.INFO):
        taken.reloading.reload()
    assert taken.changes[0].settings.pool_size == 4
    assert "pool_size changed" in caplog.text
    assert taken.reloading.loaded.settings.pool_size == 4


@pytest.mark.parametrize("text", ["[proxy]\npool_size = 0\nfoo = 1\n", "[proxy", '[tls]\ncert = "x"\nkey = "x"\n'])
def test_an_invalid_file_is_refused_and_the_old_settings_go_on(
    text: str, taken: Taken, caplog: pytest.LogCaptureFixture
) -> None:
    taken.path.with_name("x").write_text("no certificate")
    taken.path.write_text(text)
    with pytest.raises(ConfigError):
        taken.reloading.reload()
    assert "not reloaded: " in caplog.text
    taken.reloading.on_signal()
    assert not taken.changes
    assert taken.reloading.loaded is taken.loaded


def test_a_new_certificate_is_taken_over_with_the_same_settings(tmp_path: Path) -> None:
    def write() -> None:
        issued = trustme.CA().issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(tmp_path / "crt")
        issued.private_key_pem.write_to_path(tmp_path / "key")

    write()
    path = tmp_path / "proxy.toml"
    path.write_text('[tls]\ncert = "crt"\nkey = "key"\n')
    taken = Taken(path)
    taken.reloading.reload()
    write()
    change = taken.reloading.reload()
    assert change.at_once == ()
    first, second = (one.clients for one in taken.tls)
    assert first is not None and second is not None and first.binding != second.binding


@pytest.mark.asyncio
async def test_a_changed_file_is_noticed(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "LOOK_EVERY_S", 0.01)
    task = asyncio.create_task(taken.reloading.watch())
    try:
        for size in (8, 9):
            taken.path.write_text(f"[proxy]\npool_size = {size}\n")
            async with asyncio.timeout(20):
                while not (taken.changes and taken.changes[-1].settings.pool_size == size):
                    await asyncio.sleep(0.005)
        assert len(taken.changes) == 2, "each change is taken over once"
        taken.path.write_text("[proxy]\npool_size = 0\n")
        await asyncio.sleep(0.2)
        assert len(taken.changes) == 2
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_change_during_the_start_is_noticed(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "LOOK_EVERY_S", 0.01)
    taken.path.write_text("[proxy]\npool_size = 77\n")
    task = asyncio.create_task(Reloading(taken.loaded, taken.apply).watch())
    try:
        async with asyncio.timeout(20):
            while not taken.changes:
                await asyncio.sleep(0.005)
        assert taken.changes[0].settings.pool_size == 77
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# The token -----------------------------------------------------------------------------------------------------------


def test_the_token_is_drawn_once_and_guarded(taken: Taken) -> None:
    first = with_token(taken.loaded)
    file = taken.path.with_name("proxy.token")
    assert first.settings.admin_token == file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert with_token(taken.loaded).settings.admin_token == first.settings.admin_token


def test_a_reload_keeps_the_token(taken: Taken) -> None:
    started = with_token(taken.loaded)
    again = Reloading(started, taken.apply)
    taken.path.write_text("[proxy]\npool_size = 8\n")
    assert again.reload().settings.admin_token == started.settings.admin_token
    assert "admin_token" not in taken.changes[0].at_once


def test_without_a_place_for_the_token_there_is_none(
    taken: Taken, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = LoadedProxy(taken.loaded.settings, token_file=str(tmp_path / "proxy.toml" / "proxy.token"))
    assert with_token(blocked).settings.admin_token == ""
    assert "the verbs are refused" in caplog.text
