"""The container files as this product writes them: a strict reader of compose files, and one of Dockerfiles.

Only what those files use is understood: block mappings and sequences indented by two spaces, lists in brackets, quoted
and plain scalars. Everything else is an error, so that a slip of the pen is not taken for a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_KEY: Final = re.compile(r"([A-Za-z_][\w-]*):(?: (.+))?")
_COMMENT: Final = re.compile(r"(?:^|  )#.*$")
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Malformed(ValueError):
    """The text is not what the reader understands; the message has the line."""


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    indent: int
    text: str


def read_compose(text: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The document of a compose file, ``${NAME:-default}`` replaced as Compose does from ``environment``.

    Raises:
        Malformed: anything that is not understood, a key that stands twice, an unset variable without a default.
    """
    lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw).rstrip()
        if not line:
            continue
        indent = len(line) - len(line.lstrip(" "))
        if "\t" in line or indent % 2:
            raise Malformed(f"line {number}: a tab, or an odd indentation")
        lines.append(_Line(number, indent, line.strip()))
    found, rest = _block(lines, 0, environment or {})
    if rest:
        raise Malformed(f"line {rest[0].number}: unexpected indentation")
    if not isinstance(found, dict):
        raise Malformed("the document is no mapping")
    return found


def _block(lines: list[_Line], indent: int, environment: Mapping[str, str]) -> tuple[Any, list[_Line]]:
    if not lines or lines[0].indent < indent:
        return None, lines
    if lines[0].indent > indent:
        raise Malformed(f"line {lines[0].number}: indented too far")
    return (_sequence if lines[0].text.startswith("- ") else _mapping)(lines, indent, environment)


def _mapping(lines: list[_Line], indent: int, environment: Mapping[str, str]) -> tuple[dict[str, Any], list[_Line]]:
    found: dict[str, Any] = {}
    while lines and lines[0].indent == indent:
        line, lines = lines[0], lines[1:]
        match = _KEY.fullmatch(line.text)
        if match is None or match[1] in found:
            raise Malformed(f"line {line.number}: not a new key: {line.text}")
        if match[2] is not None:
            found[match[1]] = _scalar(match[2], line.number, environment)
        else:
            found[match[1]], lines = _block(lines, indent + 2, environment)
    return found, lines


def _sequence(lines: list[_Line], indent: int, environment: Mapping[str, str]) -> tuple[list[Any], list[_Line]]:
    found = []
    while lines and lines[0].indent == indent:
        line, lines = lines[0], lines[1:]
        if not line.text.startswith("- "):
            raise Malformed(f"line {line.number}: not an item: {line.text}")
        item = line.text[2:]
        if _KEY.fullmatch(item):
            value, lines = _mapping([_Line(line.number, indent + 2, item), *lines], indent + 2, environment)
        else:
            value = _scalar(item, line.number, environment)
        found.append(value)
    return found, lines


def _scalar(text: str, number: int, environment: Mapping[str, str]) -> Any:
    if text[0] in '["':
        try:
            value = json.loads(text)
        except ValueError as error:
            raise Malformed(f"line {number}: {error}") from error
        return [_filled(one, number, environment) for one in value] if isinstance(value, list) else value
    if text[0] in "&*!|>{'%@`?" or ": " in text or text.endswith(":"):
        raise Malformed(f"line {number}: not understood: {text}")
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdigit() else _filled(text, number, environment)


def _filled(text: str, number: int, environment: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        chosen = environment.get(match[1]) or match[2]
        if chosen is None:
            raise Malformed(f"line {number}: ${{{match[1]}}} has no default")
        return chosen

    filled = _VARIABLE.sub(value, text)
    if "$" in filled.replace("$$", ""):
        raise Malformed(f"line {number}: a bare $ in {text}")
    return filled


@dataclass(slots=True)
class Stage:
    """One stage of a Dockerfile."""

    base: str
    """The image, or the stage, that it begins with."""
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    """Instruction and arguments in order, continuation lines joined."""

    def last(self, instruction: str) -> str | None:
        """The arguments of the last such instruction; None when there is none."""
        return next((text for name, text in reversed(self.steps) if name == instruction), None)


INSTRUCTIONS: Final = frozenset(
    ("ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "VOLUME", "EXPOSE", "USER", "LABEL", "ENTRYPOINT", "CMD",
     "HEALTHCHECK", "STOPSIGNAL")
)  # fmt: skip


def read_dockerfile(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, in order.

    Raises:
        Malformed: an instruction that is unknown, or stands before FROM and is no ARG.
    """
    stages: list[Stage] = []
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    for line in filter(None, (line.strip() for line in re.sub(r"\\\n\s*", "", text).splitlines())):
        name, _, arguments = line.partition(" ")
        if name not in INSTRUCTIONS or not arguments:
            raise Malformed(f"not an instruction: {line}")
        if name == "FROM":
            match = re.fullmatch(r"(\S+) AS (\w+)", arguments)
            if match is None:
                raise Malformed(f"a stage without a name: {line}")
            stages.append(Stage(match[1], match[2]))
        elif stages:
            stages[-1].steps.append((name, arguments))
        elif name != "ARG":
            raise Malformed(f"{name} before FROM")
    return stages


def image_environment(stages: list[Stage], target: str) -> dict[str, str]:
    """What ENV gives a container of the stage, those of its bases first."""
    by_name = {stage.name: stage for stage in stages}
    stage = by_name[target]
    found = image_environment(stages, stage.base) if stage.base in by_name else {}
    for name, text in stage.steps:
        if name == "ENV":
            found |= dict(pair.split("=", 1) for pair in text.split())
    return found


def effective(stages: list[Stage], target: str, instruction: str) -> str | None:
    """The instruction that holds in the stage, its own or that of a base."""
    by_name = {stage.name: stage for stage in stages}
    stage: Stage | None = by_name[target]
    while stage is not None:
        if (text := stage.last(instruction)) is not None:
            return text
        stage = by_name.get(stage.base)
    return None
