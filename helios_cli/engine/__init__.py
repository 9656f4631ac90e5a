"""The database engine and replication core."""
