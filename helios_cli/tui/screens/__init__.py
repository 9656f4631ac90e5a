"""Screens above the main one: help, a node in full, the question before an act."""
