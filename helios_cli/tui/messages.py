"""What workers tell the app when they come back."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from helios_cli.engine.errors import HeliosError
from helios_cli.tui.facts import Sample
from helios_cli.tui.gateway import Plan, SqlAnswer
from helios_cli.tui.past import Past
from helios_cli.tui.screens.dialog import Question


@dataclass
class Sampled(Message):
    """A look at the cluster is over."""

    sample: Sample


@dataclass
class Recalled(Message):
    """What the nodes have kept is here."""

    past: Past


@dataclass
class Planned(Message):
    """The dry run of an act is here, or why there is none."""

    question: Question
    outcome: Plan | HeliosError


@dataclass
class CarriedOut(Message):
    """An act is done, or why it is not."""

    question: Question
    outcome: list[str] | HeliosError


@dataclass
class LogRead(Message):
    """The end of a log, or why it cannot be had."""

    name: str
    outcome: list[str] | HeliosError


@dataclass
class SqlRun(Message):
    """A statement has been run, or why not."""

    text: str
    outcome: SqlAnswer | HeliosError


@dataclass
class PlaybooksListed(Message):
    """The playbooks that there are, or why none can be run."""

    outcome: list[tuple[str, str]] | HeliosError
