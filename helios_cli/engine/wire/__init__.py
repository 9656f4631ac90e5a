"""The PostgreSQL wire protocol, version 3, without any I/O."""
