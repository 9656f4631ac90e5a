"""Completion scripts of the shells, made from the commands; pressing TAB starts no Python."""
