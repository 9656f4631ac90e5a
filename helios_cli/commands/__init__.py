"""Typer commands, one file a noun."""
