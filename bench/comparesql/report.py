"""Figures of a run: coverage and agreement by construct, differences in groups, as JSON and as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from bench.comparesql.answers import Answer, Difference, unlike_texts
from bench.comparesql.classes import CLASSES
from bench.comparesql.tree import Case


@dataclass
class Group:
    """Differences of one kind with one construct at their root."""

    construct: str
    kind: str
    detail: str
    count: int = 0
    example: str = ""
    ours: str = ""
    theirs: str = ""


@dataclass
class Tally:
    """What a run found."""

    statements: int = 0
    cases: int = 0
    agreed: int = 0
    skipped: int = 0
    stopped: str = ""
    """The statement that a server did not answer, which ended the run."""
    errors: int = 0
    errors_exact: int = 0
    messages_same: int = 0
    with_texts: int = 0
    """Agreeing cases with an error or a notice."""
    texts_same: int = 0
    unlike: Counter[str] = field(default_factory=Counter)
    constructs: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    families_wrong: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    groups: dict[tuple[str, str, str], Group] = field(default_factory=dict)
    inexact: Counter[str] = field(default_factory=Counter)
    messages: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def count(self, case: Case, found: Difference | None, answered: int) -> None:
        """One case and whether it differs; ``answered`` is how many of its statements were."""
        self.cases += 1
        self.statements += answered
        self.agreed += found is None
        self.constructs.update(case.constructs)
        self.families[case.family] += 1
        if found is not None:
            self.families_wrong[case.family] += 1

    def failed_both(self, text: str, mine: Answer, other: Answer) -> None:
        """Both gave an error of one class: is it the same code, and the same text?"""
        self.errors += 1
        self.errors_exact += mine.sqlstate == other.sqlstate
        if mine.sqlstate != other.sqlstate:
            self.inexact[f"{mine.sqlstate} for {other.sqlstate}"] += 1
            self.messages[f"{mine.sqlstate} for {other.sqlstate}"].append(
                f"{text}\n      ours   {mine.message}\n      theirs {other.message}"
            )
        elif mine.message != other.message:
            self.messages[f"text of {mine.sqlstate}"].append(
                f"{text}\n      ours   {mine.message}\n      theirs {other.message}"
            )
        self.messages_same += mine.message == other.message

    def texts(self, text: str, ours: tuple[Answer, ...], theirs: tuple[Answer, ...]) -> None:
        """Count the texts that errors and notices of an agreeing case have, and what differs in them."""
        if not any(answer.sqlstate or answer.notices for answer in (*ours, *theirs)):
            return
        self.with_texts += 1
        different = unlike_texts(ours, theirs)
        self.texts_same += not different
        for name in different:
            self.unlike[name] += 1
            if name in ("SQLSTATE", "message"):
                continue
            shown = [
                str([answer.notices for answer in side] if name == "notices" else dict(side[-1].fields).get(name))
                for side in (ours, theirs)
            ]
            self.messages[f"field {name}"].append(f"{text}\n      ours   {shown[0]}\n      theirs {shown[1]}")

    @property
    def agreement_of_texts(self) -> float:
        """Of the agreeing cases with errors or notices, the share whose every field is the same, 0 to 1."""
        return self.texts_same / self.with_texts if self.with_texts else 1.0

    def group(self, small: Case, found: Difference, missing: str = "") -> None:
        """Put a shrunk difference with others like it; ``missing`` names a function or operator that is not there."""
        construct = missing or root(small)
        key = (construct, found.kind, found.detail)
        group = self.groups.setdefault(key, Group(*key))
        group.count += 1
        self.wrong[construct] += 1
        if not group.example or len(small.text) < len(group.example):
            group.example, group.ours, group.theirs = small.text, found.ours, found.theirs

    @property
    def agreement(self) -> float:
        """The share of cases that agree, 0 to 1."""
        return self.agreed / self.cases if self.cases else 1.0

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "cases": self.cases, "statements": self.statements, "agreed": self.agreed, "agreement": self.agreement,
            "skipped": self.skipped, "stopped": self.stopped, "errors": self.errors, "errors_exact": self.errors_exact,
            "messages_same": self.messages_same, "with_texts": self.with_texts, "texts_same": self.texts_same,
            "agreement_of_texts": self.agreement_of_texts, "unlike": dict(sorted(self.unlike.items())),
            "classes": dict(sorted(self.classes.items())),
            "constructs": dict(sorted(self.constructs.items())),
            "groups": [vars(group) for group in self.sorted_groups()],
        }  # fmt: skip

    def sorted_groups(self) -> list[Group]:
        """Groups, the largest first."""
        return sorted(self.groups.values(), key=lambda group: (-group.count, group.construct, group.detail))

    def table(self, every_construct: bool = True) -> str:
        """The same for people."""
        lines = [f"{'family':<16}{'cases':>8}{'differ':>8}"]
        lines += [f"{name:<16}{self.families[name]:>8}{self.families_wrong[name]:>8}" for name in sorted(self.families)]
        if every_construct:
            lines += ["", f"{'construct':<44}{'cases':>8}{'differ':>8}"]
            lines += [f"{name:<44}{self.constructs[name]:>8}{self.wrong[name]:>8}" for name in sorted(self.constructs)]
        lines.append("")
        for group in self.sorted_groups():
            lines += [
                f"{group.count:>5}  {group.construct}  {group.kind} {group.detail}",
                f"       {group.example}", f"       ours   {group.ours}", f"       theirs {group.theirs}",
            ]  # fmt: skip
        lines += [
            "", *(f"{count:>5}  {name}: {CLASSES[name]}" for name, count in sorted(self.classes.items())),
            "", f"{self.cases} cases, {self.statements} statements, {self.skipped} skipped",
            f"agree in rows, columns, types, tag and SQLSTATE class: {self.agreed} ({self.agreement:.2%})",
            f"errors on both sides: {self.errors}, of them the same SQLSTATE {self.errors_exact},"
            f" the same message {self.messages_same}",
            f"texts of errors and notices, in every field: {self.texts_same} of {self.with_texts}"
            f" ({self.agreement_of_texts:.2%}); unlike: "
            + (", ".join(f"{name} {count}" for name, count in self.unlike.most_common()) or "none"),
            *([f"STOPPED, no answer to: {self.stopped}"] if self.stopped else []),
        ]  # fmt: skip
        return "\n".join(lines)


def root(case: Case) -> str:
    """The construct that a shrunk case is about: its outermost one that is not the mere statement around it."""
    for step in case.steps:
        for each in step.walk():
            if each.construct and not each.construct.startswith(
                ("query:", "literal:", "column", "statement", "setting")
            ):
                return each.construct
    return next((each.construct for step in case.steps for each in step.walk() if each.construct), "statement")
