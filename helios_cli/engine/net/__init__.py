"""Sockets: PostgreSQL clients, HTTP."""
