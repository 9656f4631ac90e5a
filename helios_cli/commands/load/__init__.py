"""A load that counts what was acknowledged, and checks afterwards that all of it is there."""
