"""Clusters of real processes on one machine, described by a ``cluster.toml``."""
