"""The report: a table for people, JSON for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from bench.results import Measurement, median
from helios_cli import __version__

_STYLES = {"met": "green", "missed": "bold red", "failed": "bold red", "skipped": "yellow", "": ""}


def document(
    measurements: Sequence[Measurement], versions: Mapping[str, str], how: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything a reader needs to judge the figures; ``how`` holds rounds, seconds and the like."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {
            "heliosdb": __version__,
            "python": platform.python_version(),
            "sqlite": sqlite_version(),
            **versions,
        },
        "how": dict(how),
        "measurements": [measurement.record() for measurement in measurements],
    }


def machine() -> dict[str, Any]:
    """Processor, memory and kernel, and how busy the machine was."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def sqlite_version() -> str:
    """The version of the SQLite that the product runs on."""
    import apsw

    return apsw.sqlite_lib_version()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write the document, making its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def table(measurements: Sequence[Measurement]) -> Table:
    """Medians, ratios and verdicts; a ratio of 1 is PostgreSQL's own figure, above 1 is better."""
    view = Table(title="HeliosDB Nano and PostgreSQL, medians")
    view.add_column("cell", no_wrap=True)
    view.add_column("unit", no_wrap=True)
    for title in ("ours", "PostgreSQL", "ratio", "must"):
        view.add_column(title, justify="right", no_wrap=True)
    view.add_column("verdict")
    for item in measurements:
        verdict = item.verdict + (f": {'; '.join(item.errors)}" if item.errors else "")
        if item.limit is not None and item.note:
            verdict = f"{verdict} ({item.note})"
        view.add_row(
            item.name,
            item.unit + (", less is better" if item.better == "lower" else ""),
            number(median(item.ours)),
            number(median(item.theirs)),
            number(item.ratio),
            number(item.must)
            if item.limit is None
            else ("≥ " if item.better == "higher" else "≤ ") + number(item.limit),
            verdict,
            style=_STYLES[item.verdict],
        )
    return view


def _demanded(item: Measurement) -> str:
    """A ratio, or what the figure itself must reach or not exceed."""
    if item.limit is None:
        return number(item.must)
    return ("≥ " if item.better == "higher" else "≤ ") + number(item.limit)


def number(value: float | None) -> str:
    """Three significant places, thousands without a fraction; a dash for None."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
