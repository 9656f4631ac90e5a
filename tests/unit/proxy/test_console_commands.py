"""Commands of the console: how they are read, and that nothing secret is shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from helios_cli.engine.config.proxy import NodeSettings, ProxySettings, UserSettings
from helios_cli.engine.errors import SqlError
from helios_cli.engine.proxy.console import COMMANDS, EPOCH, Order, config, needs, read, shown, split
from helios_cli.engine.proxy.figures import ClientRow, Figures, NodeRow, PoolRow, ServerRow, stats

NODE = NodeRow("n1", "h", 5432, "primary", "healthy", True, 1, 3, "0/10", 0, 0.0, 0.5, 1, 2, True, "")
CLIENT = ClientRow(7, "u", "d", "app", "10.0.0.1:99", True, "idle", "", "", 60.0, 2.0, 5)


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        ("show pools;", [Order("SHOW", "POOLS")]),
        ("  Pause ; resume;", [Order("PAUSE"), Order("RESUME")]),
        ('DRAIN "n 1" force', [Order("DRAIN", "n 1", force=True)]),
        ("UNDRAIN 'a''b'", [Order("UNDRAIN", "a'b")]),
        ("-- first; not this\nKILL 12", [Order("KILL", "12")]),
        ("/* ; */ SELECT 1 /* ; */", [Order("SELECT", "1")]),
        ("SELECT 'a;b'", [Order("SELECT", "a;b")]),
        ("set search_path = 'a;b'; begin", [Order("ANSWER", "SET"), Order("ANSWER", "BEGIN")]),
        ("", []),
        (" ; -- nothing\n;", []),
    ],
)
def test_what_is_read(text: str, orders: list[Order]) -> None:
    assert [read(part) for part in split(text)] == orders


@pytest.mark.parametrize(
    "text",
    ["DROP TABLE t", "SHOW", "SHOW POOLS NOW", "SHOW TABLES", "DRAIN", "DRAIN a b", "KILL x", "KILL ²", "PAUSE n"],
)
def test_what_is_not(text: str) -> None:
    with pytest.raises(SqlError) as caught:
        read(text)
    assert caught.value.sqlstate == "42601" and all(command in (caught.value.hint or "") for command in COMMANDS)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.startswith("SHOW")])
def test_columns_are_known_before_there_is_anything_to_show(command: str) -> None:
    order, settings = read(command), ProxySettings()
    figures = Figures(
        nodes=[NODE], pools=[PoolRow("n1", "u", "d", "session", 3, 1, 1, 1, 2, 1500.25)], clients=[CLIENT],
        servers=[ServerRow("n1", "u", "d", "active", "h:5432", 4, 7, 0, 0.0)],
    )  # fmt: skip
    empty, full = shown(order, Figures(), settings, "v"), shown(order, figures, settings, "v", datetime.now(UTC))
    assert empty is not None and full is not None and empty.columns == full.columns
    assert full.rows and all(len(row) == len(full.columns) for row in full.rows)
    assert needs(order) == {"clients": "CLIENTS" in command, "servers": "SERVERS" in command}


def test_pools_tell_what_pgbouncers_monitoring_looks_for() -> None:
    table = shown(
        read("SHOW POOLS"), Figures(pools=[PoolRow("n1", "u", "d", "session", 3, 1, 2, 0, 2, 1500.25)]), None, "v"
    )
    assert table is not None
    (row,) = [dict(zip([name for name, _ in table.columns], row, strict=True)) for row in table.rows]
    assert row == {
        "database": "d", "user": "u", "cl_active": 1, "cl_waiting": 2, "sv_active": 1, "sv_idle": 2, "sv_used": 0,
        "sv_tested": 0, "sv_login": 0, "maxwait": 1, "maxwait_us": 500250, "pool_mode": "session", "node": "n1",
        "size": 3,
    }  # fmt: skip


def test_clients_tell_when_they_came() -> None:
    table = shown(read("SHOW CLIENTS"), Figures(clients=[CLIENT]), None, "v", EPOCH + timedelta(seconds=100))
    assert table is not None
    (row,) = [dict(zip([name for name, _ in table.columns], row, strict=True)) for row in table.rows]
    assert (row["connect_time"], row["request_time"]) == (40_000_000, 98_000_000)
    assert (row["addr"], row["port"], row["tls"], row["id"]) == ("10.0.0.1", 99, "TLS", 7)


def test_nothing_secret_is_shown() -> None:
    settings = ProxySettings(
        auth_password="secret one", admin_token="secret two", nodes=(NodeSettings("a", "h", 1),),
        users=(UserSettings("ada", "secret three"), UserSettings("eve", "", "SCRAM secret four")),
    )  # fmt: skip
    rows = {row[0]: row[1] for row in config(settings)}
    assert "secret" not in str(list(rows.values()))
    assert (rows["users"], rows["nodes"], rows["admin_token"]) == ("ada, eve", "a = h:1", "(hidden)")


def test_names_of_stats_are_distinct() -> None:
    names = [name for name, _ in stats(Figures(counts={"sessions": 1}, states={"clients": 1}))]
    assert len(set(names)) == len(names) and {"sessions_total", "clients"} <= set(names)
