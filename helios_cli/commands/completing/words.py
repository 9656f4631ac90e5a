"""The commands as a completion script knows them, and what fits behind each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

SHELLS: Final = ("bash", "zsh", "fish")


class Source(StrEnum):
    """Where further words come from when TAB is pressed."""

    NONE = ""
    FILES = "files"
    NODES = "nodes"
    """Names in ``cluster.toml``."""
    MEMBERS = "members"
    """The same, with the proxy where there is one."""
    RUNS = "runs"
    """Of playbooks, beside ``cluster.toml``."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What fits in one place."""

    source: Source = Source.NONE
    words: tuple[str, ...] = ()


NOTHING: Final = Offer()
ACTED_ON: Final = Offer(Source.MEMBERS, ("@primary",))


@dataclass(frozen=True, slots=True)
class Verb:
    """A command."""

    path: tuple[str, ...]
    """Words after the program's name; empty for the program itself."""
    summary: str
    options: tuple[tuple[str, str], ...]
    """Flag and help, in the order of the help."""
    children: tuple[str, ...]
    values: Mapping[str, Offer]
    """What fits behind a flag, for those that take a value."""
    arguments: Offer
    """What fits where no flag is."""

    @property
    def place(self) -> str:
        """The path as the scripts write it, a space before each word."""
        return "".join(f" {word}" for word in self.path)


def walk(command: Any, path: tuple[str, ...]) -> list[Verb]:
    """A command and everything below it, parents first."""
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    flags = [(flag, one) for one in options for flag in (*one.opts, *one.secondary_opts) if flag.startswith("--")]
    arguments = [_offer(one, path) for one in command.params if one.param_type_name == "argument"]
    children = getattr(command, "commands", {})
    helped = [(flag, (one.help or "").partition(". ")[0].replace("\\[", "[")) for flag, one in flags]
    verb = Verb(
        path, (command.help or "").partition("\n")[0].rstrip("."), (*helped, ("--help", "Show the help")),
        tuple(children), {flag: _offer(one, path) for flag, one in flags if not one.is_flag},
        next((one for one in arguments if one != NOTHING), NOTHING),
    )  # fmt: skip
    return [verb, *(below for name, child in children.items() for below in walk(child, (*path, name)))]


def _offer(one: Any, path: tuple[str, ...]) -> Offer:
    """What fits an argument or the value of an option, by what its help calls it."""
    metavar = (one.metavar or "").strip("[].")
    choices = metavar.split("|")
    if len(choices) > 1 and all(re.fullmatch(r"[a-z0-9][a-z0-9-]*", choice) for choice in choices):
        return Offer(words=tuple(choices))
    match metavar:
        case "NODE":
            return ACTED_ON if path[0] == "cluster" else Offer(Source.NODES)
        case "A,B|C":
            return ACTED_ON
        case "lose NODE,... | cut A|B":
            return Offer(Source.NODES, ("lose", "cut"))
        case "NAME|FILE":
            return Offer(Source.FILES, _playbooks())
        case "RUN":
            return Offer(Source.RUNS)
        case "SHELL":
            return Offer(words=SHELLS)
    if one.name == "node" or (path == ("standby", "remove") and metavar == "NAME"):
        return Offer(Source.NODES)
    if path[:1] == ("config",) and one.name == "name":
        return Offer(words=_settings())
    return Offer(Source.FILES) if metavar in ("FILE", "DIR") or one.type.name in ("path", "file") else NOTHING


def _playbooks() -> tuple[str, ...]:
    from helios_cli.commands.playing import shelf

    return tuple(shelf.shipped())


def _settings() -> tuple[str, ...]:
    from helios_cli.engine.config.registry import ALL_SETTINGS

    return tuple(one.name for one in ALL_SETTINGS if not one.recorded)
