"""What a proof has come to: one record for programs, the same in lines for people."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from helios_cli import __version__
from helios_cli.commands.load.statistics import success_rate
from helios_cli.commands.proving.clients import PROXY
from helios_cli.commands.proving.outages import distribution_ms, distribution_text
from helios_cli.commands.proving.plan import Plan
from helios_cli.commands.proving.prover import Evidence
from helios_cli.commands.proving.stage import Stage
from helios_cli.commands.proving.timeline import Event, picture
from helios_cli.engine.histories.sessions import Finding, Outcome, Write

FORMAT: Final = "heliosdb-prove 1"

CHECKS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "acknowledged": (("lost", "gone"), "every acknowledged write is there, on every node"),
    "once": (("twice",), "no write is there twice"),
    "refused": (("refused", "foreign"), "nothing is there that was refused, or that nobody wrote"),
    "whole": (("half",), "transactions are there as a whole or not at all"),
    "own": (("stale",), "every session saw what it had written itself"),
    "kept": (("taken-back",), "no row that a reader saw was taken back"),
    "one-primary": (("two-primaries",), "no two primaries acknowledged in one term, none in a term that was over"),
    "equal": (("not-equal", "different", "unreadable"), "all nodes end up with the same pages"),
    "goes-on": (("not-whole", "no-progress", "hanging"), "clients got on, and the cluster was whole, after each fault"),
}
"""Name: kinds of findings that break it, and what it says."""

NOT_PROMISED: Final = ("acknowledged", "own", "kept")
"""Of a cluster whose commits wait for no other copy."""


def record(run: str, stage: Stage, plan: Plan, evidence: Evidence, events: Sequence[Event]) -> dict[str, Any]:
    """Everything. Times are seconds since the load began, unless their names say otherwise."""
    durable = stage.mode != "async"
    return {
        "format": FORMAT, "run": run, "verdict": "passed" if evidence.passed else "failed",
        "product": __version__, "python": platform.python_version(), "system": platform.platform(),
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(evidence.began_wall)),
        "seconds": evidence.seconds,
        "cluster": {
            "mode": stage.mode, "own": stage.is_own,
            "nodes": [{"name": one.name, "role": one.role, "mode": one.mode} for one in stage.cluster.nodes],
        },
        "plan": {"faults": list(plan.faults), "rounds": plan.rounds, "seconds": plan.seconds, "seed": plan.seed,
                 "clients": plan.clients},
        "checks": [_check(name, evidence.findings, durable=durable) for name in CHECKS],
        "findings": [
            {"kind": one.kind, "text": one.text, "rows": [list(row) for row in one.rows]} for one in evidence.findings
        ],
        "rpo": _rpo(evidence),
        "rto_ms": distribution_ms(outage for fault in evidence.faults for outage in fault.outages_s),
        "faults": [
            {"number": one.number, "name": one.name, "target": one.target, "text": one.text, "at_s": one.at_s,
             "until_s": one.until_s, "rto_ms": distribution_ms(one.outages_s)}
            for one in evidence.faults
        ],
        "load": _load(evidence),
        "checksums": dict(evidence.checksums),
        "timeline": [{"at_s": one.at_s, "kind": one.kind, "text": one.text} for one in events],
    }  # fmt: skip


def _check(name: str, findings: Sequence[Finding], *, durable: bool) -> dict[str, Any]:
    kinds, text = CHECKS[name]
    promised = durable or name not in NOT_PROMISED
    return {
        "name": name, "text": text, "promised": promised,
        "passed": not any(one.kind in kinds for one in findings) if promised else None,
    }  # fmt: skip


def _rpo(evidence: Evidence) -> dict[str, Any]:
    """What was acknowledged and is gone: how many rows, and over how much time, one sample for each fault."""
    return {"lost_rows": len(evidence.lost), "ms": distribution_ms(losses_s(evidence))}


def losses_s(evidence: Evidence) -> list[float]:
    """For each fault the time in which acknowledged writes were lost by it: 0.0 for none.

    It ends with the fault's begin, or with the last of those writes where some were acknowledged later.
    """
    moments = [at - evidence.began for at in evidence.lost.values()]
    losses, since = [], -math.inf
    for number, fault in enumerate(evidence.faults, 1):
        until = fault.until_s if number < len(evidence.faults) else math.inf
        lost = [at for at in moments if since <= at < until]
        losses.append(max(fault.at_s, *lost) - min(lost) if lost else 0.0)
        since = until
    return losses


def _load(evidence: Evidence) -> dict[str, Any]:
    writes = evidence.told.writes
    count = {outcome: sum(one.outcome is outcome for one in writes) for outcome in Outcome}
    done = [one for one in writes if one.outcome is Outcome.ACKNOWLEDGED]
    failed = sum(evidence.errors.values())
    asked = len(writes) + len(evidence.told.reads)
    return {
        "acknowledged": count[Outcome.ACKNOWLEDGED], "unknown": count[Outcome.UNKNOWN],
        "refused": count[Outcome.REFUSED], "rows": sum(len(one.numbers) for one in done),
        "reads": len(evidence.told.reads), "writes_per_s": round(len(done) / max(evidence.seconds, 1e-3), 1),
        "latency_ms": distribution_ms(one.answered - one.sent for one in done),
        "success_rate": success_rate(asked - failed, asked), "errors": evidence.errors,
        "errors_at_nodes": evidence.direct_errors, "tried_again": evidence.tried_again,
        "lead_changes": evidence.lead_changes,
    }  # fmt: skip


def lines(found: Mapping[str, Any], writes: Sequence[Write], began: float) -> list[str]:
    """The record for people, the verdict last. ``began``: when the load did, by the clock of ``writes``."""
    load, rpo = found["load"], found["rpo"]
    answers = [one.answered - began for one in writes if one.outcome is Outcome.ACKNOWLEDGED]
    events = [Event(one["at_s"], one["kind"], one["text"]) for one in found["timeline"]]
    text = [
        "=== Timeline ===",
        *picture(answers, found["seconds"], events),
        *(f"{one.at_s:7.2f} s  {one.text}" for one in events),
        "",
        "=== Load ===",
        f"Acknowledged: {load['acknowledged']:,} writes of {load['rows']:,} rows, {load['writes_per_s']:,.0f} a second",
        f"Outcome unknown: {load['unknown']}",
        f"Refused: {load['refused']}",
        f"Reads: {load['reads']:,}",
        f"Write latency: {distribution_text(load['latency_ms'])}",
        f"Success rate through the {PROXY}: {load['success_rate']}",
        *(f"Error: {text} ({count} times)" for text, count in list(load["errors"].items())[:5]),
        "",
        "=== Faults ===",
        *(text for one in found["faults"] for text in _fault(one)),
        "",
        rpo_text(rpo),
        f"RTO: {distribution_text(found['rto_ms'])} ({found['rto_ms']['samples']} waits of clients)",
        "",
    ]
    return [*text, *verdict(found)]


def rpo_text(rpo: Mapping[str, Any]) -> str:
    """For people."""
    return f"RPO: {rpo['lost_rows']} rows lost, {distribution_text(rpo['ms'])} ({_faults(rpo['ms']['samples'])})"


def _faults(count: int) -> str:
    return "1 fault" if count == 1 else f"{count} faults"


def _fault(one: Mapping[str, Any]) -> tuple[str, str]:
    return f"{one['number']:2}. {one['text']}", f"    RTO {distribution_text(one['rto_ms'])}"


def summary(found: Mapping[str, Any]) -> list[str]:
    """What was done, and its figures, in a few lines."""
    load, cluster, rpo = found["load"], found["cluster"], found["rpo"]
    names = ", ".join(dict.fromkeys(one["name"] for one in found["faults"])) or "none"
    return [
        f"Run {found['run']} of {found['began']}, version {found['product']}",
        f"Cluster: {len(cluster['nodes'])} nodes, mode {cluster['mode']}; {found['seconds']:g} s of load",
        f"Faults: {len(found['faults'])} ({names})",
        f"Acknowledged: {load['acknowledged']:,} writes",
        rpo_text(rpo),
        f"RTO: {distribution_text(found['rto_ms'])}",
        "",
    ]


def verdict(found: Mapping[str, Any]) -> list[str]:
    """The checks, what was found, and the last line."""
    marks = {True: "✓", False: "✗", None: "-"}
    text = ["=== Checks ==="]
    for one in found["checks"]:
        text.append(f"{marks[one['passed']]} {one['text']}" + ("" if one["promised"] else " (not promised in async)"))
    text += [f"  {one['text']}" for one in found["findings"]]
    if found["verdict"] == "passed":
        return [*text, "VERDICT: passed."]
    if not found["load"]["acknowledged"]:
        text.append("nothing was acknowledged")
    return [*text, f"repeat with: --seed {found['plan']['seed']}", "VERDICT: FAILED."]
