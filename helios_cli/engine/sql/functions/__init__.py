"""PostgreSQL's functions: what the planner may call, and what SQLite must know to run it."""

from helios_cli.engine.sql.functions.library import AGGREGATES, COLLATIONS, REGISTRY, SCALARS

__all__ = ["AGGREGATES", "COLLATIONS", "REGISTRY", "SCALARS"]
