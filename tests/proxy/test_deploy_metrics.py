"""The dashboard and the alerts name only what a running primary, standby or proxy exposes, with the labels it has."""

from __future__ import annotations

import ast
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.compose import read_compose
from support.node_cluster import NodeCluster
from support.proxy_process import ProxyProcess

ROOT = Path(__file__).resolve().parents[2]
ALERTS = read_compose((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "heliosdb-nano.json").read_text())

Exposed = dict[str, set[str]]
"""Labels by metric."""


def expressions() -> Iterator[tuple[str, str]]:
    """Where each expression stands, and its text."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        yield variable["name"], variable["query"]
    for note in DASHBOARD["annotations"]["list"]:
        yield note["name"], note["expr"]


def only_with_etcd() -> set[str]:
    """Metrics of nodes whose authority is etcd, which no node here has."""
    tree = ast.parse((ROOT / "helios_cli" / "engine" / "node" / "etcd_meter.py").read_text())
    return {
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("heliosdb_")
    }  # fmt: skip


@pytest.fixture(scope="module")
def exposed(node_cluster: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Exposed:
    proxy = ProxyProcess(tmp_path_factory.mktemp("metrics"), node_cluster.nodes)
    found: Exposed = {name: set() for name in only_with_etcd()}
    try:
        proxy.start()
        with proxy.connect() as connection:
            connection.execute("SELECT 1")
            for port in (*(node.http_port for node in node_cluster.nodes), proxy.admin_port):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
                    text = answer.read().decode()
                for name in re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE):
                    found.setdefault(name, set())
                for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
                    found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    finally:
        proxy.kill()
    return found


def test_every_metric_is_exposed_with_its_labels(exposed: Exposed) -> None:
    wrong, seen = [], set()
    for where, text in expressions():
        for name, selector in re.findall(r"\b(heliosdb_\w+)(?:\{([^}]*)\})?", text):
            seen.add(name)
            labels = set(re.findall(r"(\w+)=~?\"", selector)) - {"job", "instance"}
            if name not in exposed or not labels <= exposed[name]:
                wrong.append(f"{where}: {name} {sorted(labels)}")
        named = set(re.findall(r"\b(?:by|without) \(([^)]*)\)", text))
        grouped = {label.strip() for group in named for label in group.split(",")}
        metrics = re.findall(r"\bheliosdb_\w+", text)
        have = {"instance", "job"}.union(*(exposed.get(name, set()) for name in metrics))
        if not grouped <= have:
            wrong.append(f"{where}: by {sorted(grouped - have)}")
    assert wrong == []
    assert len(seen) > 40


def test_labels_in_texts_are_those_of_the_expression(exposed: Exposed) -> None:
    for rule in RULES:
        metrics = re.findall(r"\bheliosdb_\w+", rule["expr"])
        have = {"instance", "job"}.union(*(exposed.get(name, set()) for name in metrics))
        if "certificate" in rule["expr"]:
            have.add("setting")  # of nodes with TLS
        assert set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))) <= have, rule["alert"]


def test_expressions_are_balanced_and_alerts_are_whole() -> None:
    for where, text in expressions():
        for left, right in ("()", "{}", "[]"):
            assert text.count(left) == text.count(right), where
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names) > 20
    operations = (ROOT / "docs" / "OPERATIONS.md").read_text()
    for rule in RULES:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["annotations"]["runbook"] == f"docs/OPERATIONS.md#alerts: {rule['alert']}"
    told = re.findall(r"^\| `(Helios\w+)` \| \S.{20,} \|$", operations, re.MULTILINE)
    assert told == names, "docs/OPERATIONS.md, Alerts: a line for each, in the order of alerts.yml"


def test_the_dashboard_has_no_two_panels_in_one_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers) > 30
