"""Playbooks on a cluster of this machine: files, runs, and the runner."""
