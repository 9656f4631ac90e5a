"""One running node: joins adapters, owns the clock."""
