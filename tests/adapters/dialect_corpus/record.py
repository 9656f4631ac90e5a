"""Write ``<topic>.json`` for each ``<topic>.sql``: what PostgreSQL 15 answers to its statements, in this order.

Each topic begins with the tables of ``../planner_corpus/schema.sql`` in a new database.
Usage: python record.py "host=... user=... dbname=..." [topic ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from support.recorded_answers import answer

HERE = Path(__file__).parent
SCHEMA = HERE.parent / "planner_corpus" / "schema.sql"
DATABASE = "dialect_corpus"


def lines(path: Path) -> list[str]:
    """The statements of a file, one a line."""
    return [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("--")]


def record(server: str, topic: str) -> None:
    """Run one topic's statements and write what came."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        admin.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING utf8 LC_COLLATE 'C' LC_CTYPE 'C'")
    with psycopg.connect(server, dbname=DATABASE, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        for sql in lines(SCHEMA):
            connection.execute(sql.encode())
        found = [{"sql": sql, **answer(connection, sql)} for sql in lines(HERE / f"{topic}.sql")]
    text = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in found)
    (HERE / f"{topic}.json").write_text(f"[\n{text}\n]\n")


def main() -> None:
    """Record the named topics, or all."""
    for topic in sys.argv[2:] or sorted(path.stem for path in HERE.glob("*.sql")):
        record(sys.argv[1], topic)


if __name__ == "__main__":
    main()
