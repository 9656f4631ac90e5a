"""Textual screens over the Gateway."""
