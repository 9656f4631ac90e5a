"""A cluster under load and faults, and what came of everything it had acknowledged."""
