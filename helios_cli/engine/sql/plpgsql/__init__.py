"""PL/pgSQL: functions, DO blocks and triggers in PostgreSQL's procedural language."""
