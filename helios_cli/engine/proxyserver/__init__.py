"""HeliosProxy at work: connections to applications and nodes, the pools between them, and what watches the nodes."""
