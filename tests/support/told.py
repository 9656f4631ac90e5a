"""The sessions that a document shows: its commands, and what each is shown to print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ANYTHING = "..."


def sessions(document: Path, heading: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of the blocks below a heading, without its prompt, and the lines shown under it."""
    text = document.read_text()
    section = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    for block in re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
        command: str | None = None
        shown: list[str] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                if command is not None:
                    yield command, shown
                command, shown = line[2:], []
            else:
                shown.append(line)
        if command is not None:
            yield command, shown


def matches(shown: list[str], printed: str) -> bool:
    """Whether the output is the one that is shown: ``...`` stands for any text, blanks count as one."""
    pattern = r"\s*".join(
        r".*?".join(re.escape(" ".join(part.split())) for part in line.split(ANYTHING)) for line in shown
    )
    return re.fullmatch(rf"\s*{pattern}\s*", " ".join(printed.split()).replace("\n", " "), re.DOTALL) is not None
