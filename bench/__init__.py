"""Measured comparisons with PostgreSQL on the same machine: ``python -m bench``."""
