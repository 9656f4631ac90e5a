"""Simulated ports: files that lose power."""
