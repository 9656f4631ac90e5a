"""What ends a simulated run."""

from __future__ import annotations


class Violation(Exception):
    """Something that must never happen has happened."""

    def __init__(self, rule: str, text: str) -> None:
        self.rule = rule
        self.text = text
        super().__init__(f"{rule}: {text}")
