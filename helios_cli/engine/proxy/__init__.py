"""HeliosProxy's decisions, without a clock or a socket: what a statement is, and which node gets it."""
