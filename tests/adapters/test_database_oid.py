"""Directories in which the database had the OID 5: what is said of it is found under the one it has now."""

from __future__ import annotations

import apsw

from helios_cli.engine.sql.ddl_schema import DATABASE_OID, SYSTEM_SCHEMA
from helios_cli.engine.storage.later_tables import missing_tables


def test_comment_rights_and_settings_move() -> None:
    connection = apsw.Connection(":memory:")
    for statement in SYSTEM_SCHEMA:
        connection.execute(statement)
    for statement in missing_tables(connection):
        connection.execute(statement)
    connection.execute("INSERT INTO helios_description VALUES (5, 1262, 0, 'ours'), (5, 1259, 0, 'another')")
    connection.execute("INSERT INTO helios_privilege VALUES (1262, 5, 0, '[]'), (2615, 5, 0, '[]')")
    connection.execute(
        "INSERT INTO helios_db_role_setting VALUES (5, 0, 'work_mem', 'work_mem', '1MB'), (0, 0, 'jit', 'jit', 'on')"
    )
    steps = missing_tables(connection)
    for statement in steps:
        connection.execute(statement)
    found = {
        "helios_description": connection.execute(
            "SELECT objoid, classoid FROM helios_description ORDER BY 2"
        ).fetchall(),
        "helios_privilege": connection.execute("SELECT objid, classid FROM helios_privilege ORDER BY 2").fetchall(),
        "settings": connection.execute("SELECT setdatabase FROM helios_db_role_setting ORDER BY 1").fetchall(),
    }
    assert found == {
        "helios_description": [(5, 1259), (DATABASE_OID, 1262)],
        "helios_privilege": [(DATABASE_OID, 1262), (5, 2615)],
        "settings": [(0,), (DATABASE_OID,)],
    }
    assert missing_tables(connection) == ()
