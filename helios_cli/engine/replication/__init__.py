"""The pure cores of replication: what counts as committed, who has what, where two logs part. No clock, no socket."""
