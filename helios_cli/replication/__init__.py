"""Managing the replicas of a running cluster from Python: choose, watch, fail over (docs/REPLICAS.md)."""
