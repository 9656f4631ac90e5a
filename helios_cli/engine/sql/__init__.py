"""PostgreSQL statements to SQLite plans, without any I/O."""
