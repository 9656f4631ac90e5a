"""ALTER SYSTEM's file, the template, roles and network binds."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from helios_cli.engine.config.checks import binding, is_loopback
from helios_cli.engine.config.load import load_settings
from helios_cli.engine.config.merge import merge
from helios_cli.engine.config.registry import ALL_SETTINGS, NODE_SETTINGS, find
from helios_cli.engine.config.roles import Role, decide_role
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.config.write import replace_file, reset_auto, template, write_auto
from helios_cli.engine.errors import ConfigError, IoFailed


def settings(**flags: object) -> Settings:
    return merge(flags, {}, [], [])[0]


def auto_text(directory: Path) -> str:
    return (directory / "heliosdb.auto.conf").read_text()


def test_what_alter_system_writes_is_read_back_with_its_origin(tmp_path: Path) -> None:
    assert write_auto(str(tmp_path), "STATEMENT_TIMEOUT", "30s").reload
    write_auto(str(tmp_path), "replication.batch_size", 5000)
    write_auto(str(tmp_path), "replication.crdt_types", ["set"])
    loaded = load_settings({"data_dir": str(tmp_path)}, {}, system_file=str(tmp_path / "none")).settings
    assert loaded.statement_timeout == 30_000
    assert loaded.recorded["replication.batch_size"] == 5000
    assert loaded.recorded["replication.crdt_types"] == ("set",)
    assert loaded.origin("statement_timeout").where.endswith("heliosdb.auto.conf")


def test_comments_and_other_entries_survive(tmp_path: Path) -> None:
    path = tmp_path / "heliosdb.auto.conf"
    path.write_text("# mine\n[sessions]\nlock_timeout = 5 # keep\n")
    write_auto(str(tmp_path), "statement_timeout", 1)
    assert "# mine" in auto_text(tmp_path) and "lock_timeout = 5 # keep" in auto_text(tmp_path)
    write_auto(str(tmp_path), "statement_timeout", None)
    assert tomllib.loads(auto_text(tmp_path)) == {"sessions": {"lock_timeout": 5}}
    reset_auto(str(tmp_path))
    assert tomllib.loads(auto_text(tmp_path)) == {}


@pytest.mark.parametrize(
    ("name", "value", "sqlstate", "message"),
    [
        ("statement_timeuot", "1", "42704", 'unrecognized configuration parameter "statement_timeuot"'),
        ("data_dir", "/x", "55P02", 'parameter "data_dir" cannot be changed'),
        ("statement_timeout", "x", "22023", 'invalid value for parameter "statement_timeout": "x"'),
    ],
)
def test_refusals_leave_no_file(tmp_path: Path, name: str, value: str, sqlstate: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        write_auto(str(tmp_path), name, value)
    assert (caught.value.sqlstate, caught.value.message) == (sqlstate, message)
    assert os.listdir(tmp_path) == []


def test_a_directory_that_is_gone_is_an_io_error(tmp_path: Path) -> None:
    with pytest.raises(IoFailed):
        write_auto(str(tmp_path / "gone"), "lock_timeout", 1)


def test_a_failed_replacement_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_text("old")

    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        replace_file(str(path), "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_damaged_auto_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "heliosdb.auto.conf").write_text("[broken")
    with pytest.raises(ConfigError, match="damaged"):
        write_auto(str(tmp_path), "lock_timeout", 1)
    assert auto_text(tmp_path) == "[broken"


def test_the_template_is_a_valid_file_both_switched_off_and_on(tmp_path: Path) -> None:
    path = tmp_path / "heliosdb.conf"
    path.write_text(template())
    assert load_settings({}, {}, config=str(path)).settings.origins == {}
    path.write_text("\n".join(line.removeprefix("# ") for line in template().splitlines()[1:]))
    loaded = load_settings({}, {}, config=str(path)).settings
    assert {one.name for one in NODE_SETTINGS} <= set(loaded.origins)
    plain = settings()
    assert all(getattr(loaded, one.name) == getattr(plain, one.name) for one in NODE_SETTINGS)


def test_every_default_passes_its_own_row_and_every_setting_is_found() -> None:
    for one in ALL_SETTINGS:
        assert one.help.endswith(".") and "\n" not in one.help
        if one.default is not None:
            assert one.parse(one.show(one.default)) == one.default, one.name
        if not one.in_table:
            assert find(one.name) is one
    variables = [name for one in ALL_SETTINGS for name in one.environment]
    assert len(variables) == len(set(variables))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("db1", False),
        ("::", False),
    ],
)
def test_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_a_network_bind_without_credentials_is_narrowed() -> None:
    open_settings = settings(listen_address="0.0.0.0")
    narrowed = binding(open_settings, has_credentials=False)
    assert narrowed.address == "127.0.0.1"
    assert narrowed.warning is not None and "allow_insecure_network" in narrowed.warning
    assert binding(open_settings, has_credentials=True).address == "0.0.0.0"
    assert binding(settings(listen_address="0.0.0.0", auth="scram"), has_credentials=False).warning is None
    insecure = binding(settings(listen_address="0.0.0.0", allow_insecure_network="on"), has_credentials=False)
    assert insecure.address == "0.0.0.0" and insecure.warning is not None
    assert binding(settings(), has_credentials=False).warning is None


def test_role_flags_hold_for_an_empty_directory_alone() -> None:
    wanted = settings(replication_role="primary")
    assert decide_role(wanted, None).role == Role("primary")
    decision = decide_role(wanted, Role("standby", "other", 5433))
    assert decision.role == Role("standby", "other", 5433)
    assert decision.warnings == (
        "replication_role = primary (--replication-role) is ignored: this data directory belongs to a standby",
    )
    assert decide_role(settings(), Role("standby", "other", 5433)).warnings == ()
    moved = settings(replication_role="standby", primary_host="new")
    assert decide_role(moved, Role("standby", "old", 5433)).warnings == (
        "primary_host = new (--primary-host) is ignored: the membership says old",
    )


def test_a_new_standby_needs_a_primary() -> None:
    with pytest.raises(ConfigError, match="a new standby needs the address of a primary"):
        decide_role(settings(replication_role="standby"), None)
    role = decide_role(settings(replication_role="standby", primary_host="p"), None).role
    assert role == Role("standby", "p", 5433)
