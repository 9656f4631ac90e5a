"""Write ``expected.json``: what PostgreSQL 15 answers to ``schema.sql`` and ``statements.sql``, in this order.

Usage: python record.py "host=... user=... dbname=..." with a new database of encoding UTF8 and collation C.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2]))

from support.recorded_answers import answer

HERE = Path(__file__).parent


def lines(name: str) -> list[str]:
    """The statements of a file, one a line."""
    return [line for line in (HERE / name).read_text().splitlines() if line.strip()]


def main() -> None:
    """Run everything and write the file."""
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        for sql in lines("schema.sql"):
            connection.execute(sql.encode())
        found = [{"sql": sql, **answer(connection, sql)} for sql in lines("statements.sql")]
    text = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in found)
    (HERE / "expected.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
