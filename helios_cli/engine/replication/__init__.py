"""The pure cores of replication: what nodes say to each other, and what a cluster looks like. No clock, no socket."""
