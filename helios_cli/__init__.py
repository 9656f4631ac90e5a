"""HeliosDB Nano: a replicated SQLite that speaks the PostgreSQL wire protocol."""

__version__ = "0.1.0"
