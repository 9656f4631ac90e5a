"""Playbooks: files that say what is done to a cluster step by step, and what has to come of each step."""
