"""PostgreSQL's functions for the planner and for SQLite."""
