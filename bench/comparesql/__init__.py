"""Random SQL, answered by a PostgreSQL and by a node, and compared."""
