"""What a journal tells afterwards: for programs, and as a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from helios_cli.engine.playbook import values
from helios_cli.engine.playbook.facts import LoadFact
from helios_cli.engine.playbook.journal import Entry, of_kind
from helios_cli.engine.playbook.machine import Machine, Phase, undo_sentence
from helios_cli.engine.playbook.plan import from_record

UNFINISHED = "unfinished"
"""The outcome of a run that has not ended: its runner goes on, or was killed."""


def report(
    entries: Sequence[Entry], loads: Mapping[str, LoadFact], summaries: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Everything about one run. ``summaries`` are the last lines of its workloads; raises KeyError without a head."""
    head = of_kind(entries, "began")[0]
    plan = from_record(head.fields["plan"])
    machine = Machine(plan, entries, entries[-1].at_s)
    reason = machine.failing[1] if machine.failing else ""
    ended = of_kind(entries, "ended")
    return {
        "run": head.fields["run"], "playbook": plan.playbook, "title": plan.title, "cluster": head.fields["cluster"],
        "variables": dict(plan.variables), "outcome": str(machine.outcome or UNFINISHED), "reason": reason,
        "began": _moment(head.at_s), "ended": _moment(ended[-1].at_s) if ended else None,
        "took_s": round(entries[-1].at_s - head.at_s, 3), "resumed": len(of_kind(entries, "resumed")),
        "steps": [_step(number, machine, head.at_s) for number in range(len(plan.steps))],
        "undone": [
            {"step": plan.steps[key[0]].name, "do": undo_sentence(action), "came": machine.undone[key]}
            for key, action in machine.undo_actions() if key in machine.undone
        ],
        "outages": _outages(entries),
        "workloads": {name: _load(one, summaries.get(name, ())) for name, one in loads.items()},
        "timeline": _timeline(entries, head.at_s),
    }  # fmt: skip


def _step(number: int, machine: Machine, began_s: float) -> dict[str, Any]:
    planned, step = machine.plan.steps[number], machine.steps[number]
    took = None if step.ended_s is None or step.acted_s is None else round(step.ended_s - step.acted_s, 3)
    return {
        "name": planned.name, "do": planned.sentence, "outcome": str(step.phase),
        "at_s": None if step.acted_s is None else round(step.acted_s - began_s, 3), "took_s": took,
        "detail": step.detail, "expected": [one.text for one in planned.expect],
    }  # fmt: skip


def _load(load: LoadFact, summary: Sequence[str]) -> dict[str, Any]:
    rate = load.error_rate
    return {
        "total": load.total, "failed": load.failed, "successful": load.total - load.failed, "reads": load.reads,
        "writes": load.writes, "missing": load.missing, "error_rate": None if rate is None else round(rate, 3),
        "longest_gap_s": load.longest_gap_s, "complete": load.complete, "summary": list(summary),
    }  # fmt: skip


def _outages(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """When nobody led, as the runner has seen it; ``seconds`` is None when that did not end."""
    found: list[dict[str, Any]] = []
    since: float | None = None
    last = ""
    for entry in of_kind(entries, "seen"):
        primary = str(entry.fields.get("primary") or "")
        if not primary and since is None:
            since = entry.at_s
        elif primary and since is not None:
            found.append({"at": _moment(since), "seconds": round(entry.at_s - since, 3), "from": last, "to": primary})
            since = None
        last = primary or last
    if since is not None:
        found.append({"at": _moment(since), "seconds": None, "from": last, "to": None})
    return found


def _timeline(entries: Sequence[Entry], began_s: float) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []
    cluster = ""
    for entry in entries:
        text = told(entry)
        if text and not (entry.kind == "seen" and text == cluster):
            cluster = text if entry.kind == "seen" else cluster
            said.append({"at_s": round(entry.at_s - began_s, 3), "text": text})
    return said


def told(entry: Entry) -> str:
    """An entry as a sentence; empty for one that tells nothing to people."""
    fields = entry.fields
    match entry.kind:
        case "step":
            phase = Phase(fields["phase"])
            quiet = (Phase.NEEDING, Phase.DELAYED, Phase.EXPECTING)
            detail = f": {fields['detail']}" if fields.get("detail") else ""
            return "" if phase in quiet and not detail else f"{fields['name']}: {_said(phase)}{detail}"
        case "seen":
            who = f"{fields['primary']} leads in term {fields['term']}" if fields.get("primary") else "nobody leads"
            others = [f"{name} is {state}" for name, state in fields["states"].items() if state not in FINE]
            return "; ".join([who, *others])
        case "failing":
            return f"the run ends: {fields['reason']}"
        case "undo" if fields["came"] != "acting":
            return f"undone: {fields['came']}" if fields["came"] != "done" else ""
        case "resumed":
            return "the runner came back"
        case "ended":
            return f"ended: {fields['outcome']}"
        case _:
            return ""


FINE = ("serving", "streaming", "catchup", "observing")


def _said(phase: Phase) -> str:
    return "begins" if phase is Phase.ACTING else str(phase)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def markdown(found: Mapping[str, Any]) -> str:
    """A report as a page."""
    lines = [
        f"# {found['title']}: {found['outcome']}", "",
        f"Run `{found['run']}` of playbook `{found['playbook']}` on `{found['cluster']}`, from {found['began']}, "
        f"{values.seconds_text(found['took_s'])}.", "",
    ]  # fmt: skip
    if found["reason"]:
        lines += [f"**{found['reason']}**", ""]
    if found["variables"]:
        lines += ["| variable | value |", "|---|---|"]
        lines += [f"| {name} | {_cell(values.text(value))} |" for name, value in found["variables"].items()]
        lines += [""]
    lines += ["## Steps", "", "| at | step | does | outcome | took |", "|---|---|---|---|---|"]
    lines += [_row(one) for one in found["steps"]]
    if found["undone"]:
        lines += ["", "## Undone", "", *(f"- {one['step']}: {one['do']}: {one['came']}" for one in found["undone"])]
    if found["outages"]:
        lines += ["", "## Without a primary, as the runner saw it", "", *map(outage_text, found["outages"])]
    for name, load in found["workloads"].items():
        lines += ["", f"## Workload {name}", "", "```", *load["summary"], "```"]
    lines += ["", "## Timeline", "", *(f"- {one['at_s']:.1f} s: {one['text']}" for one in found["timeline"]), ""]
    return "\n".join(lines)


def _row(step: Mapping[str, Any]) -> str:
    at = "" if step["at_s"] is None else f"{step['at_s']:.1f} s"
    took = "" if step["took_s"] is None else values.seconds_text(step["took_s"])
    outcome = step["outcome"] + (f": {step['detail']}" if step["detail"] else "")
    return f"| {at} | {_cell(step['name'])} | {_cell(step['do'])} | {_cell(outcome)} | {took} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def outage_text(one: Mapping[str, Any]) -> str:
    """One time without a primary, as an item of a list."""
    if one["seconds"] is None:
        return f"- since {one['at'][11:23]}, and still"
    who = f", from {one['from']} to {one['to']}" if one["from"] else ""
    return f"- {values.seconds_text(one['seconds'])} at {one['at'][11:23]}{who}"
