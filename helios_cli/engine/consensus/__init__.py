"""The pure cores of agreement: who may lead, what counts as committed, by whose copies. No clock, no socket."""
