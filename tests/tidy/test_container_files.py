"""Dockerfile, compose file and the proxy's configuration: well formed, and true to the tutorials and to the product."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.compose import Malformed, effective, image_environment, read_compose, read_dockerfile

from helios_cli.commands.root import COMMANDS
from helios_cli.engine.config.proxy_table import PASSWORD_VARIABLE, VARIABLES
from helios_cli.engine.config.registry import ALL_SETTINGS, OTHER_ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
STAGES = read_dockerfile(ROOT / "Dockerfile")
COMPOSE = read_compose((ROOT / "docker-compose.ha-cluster.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ENTRYPOINT = ROOT / "deploy" / "entrypoint.sh"

SERVICE_KEYS = {
    "build", "image", "container_name", "hostname", "user", "networks", "ports", "environment", "volumes", "command",
    "depends_on", "healthcheck", "init", "stop_grace_period",
}  # fmt: skip
PORTS = {
    "primary": ["15432:5432", "15433:5433", "18080:8080"],
    "standby-sync": ["15442:5432", "15443:5433", "18081:8080"],
    "standby-semisync": ["15452:5432", "15453:5433", "18082:8080"],
    "standby-async": ["15462:5432", "15463:5433", "18084:8080"],
    "observer": ["18083:8080"],
    "proxy": ["15400:5432", "19090:9090"],
    "test-runner": None,
}
MODES = {"primary": "sync", "standby-sync": "sync", "standby-semisync": "semi-sync", "standby-async": "async"}
HEALTH = {"interval": "5s", "timeout": "3s", "retries": 3}


def environment(name: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in SERVICES[name]["environment"])


def test_the_services_are_those_of_the_tutorials() -> None:
    assert {name: one.get("ports") for name, one in SERVICES.items()} == PORTS
    assert {one["container_name"] for one in SERVICES.values()} == {f"heliosdb-{name}" for name in PORTS}
    assert all(one["hostname"] == name for name, one in SERVICES.items())
    for name, mode in MODES.items():
        asked = environment(name)
        role = {"HELIOSDB_ROLE": "primary"} if name == "primary" else {
            "HELIOSDB_ROLE": "standby", "HELIOSDB_PRIMARY_HOST": "primary", "HELIOSDB_PRIMARY_PORT": "5433",
        }  # fmt: skip
        wanted = {"HELIOSDB_NODE_ID": name, "HELIOSDB_DATA_DIR": "/data", "HELIOSDB_REPLICATION_MODE": mode, **role}
        assert wanted.items() <= asked.items(), name
        assert SERVICES[name]["volumes"] == [f"{name}-data:/data"]
        assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "heliosdb-nano", "health"]
        if name != "primary":
            assert SERVICES[name]["depends_on"] == {"primary": {"condition": "service_healthy"}}
    proxy = SERVICES["proxy"]
    assert proxy["command"] == ["heliosdb-proxy"]
    assert proxy["volumes"] == ["./proxy-config.toml:/etc/heliosdb/proxy.toml:ro"]
    assert proxy["healthcheck"]["test"] == ["CMD", "curl", "-f", "http://localhost:9090/health"]
    assert set(proxy["depends_on"]) >= {"primary", "standby-sync", "standby-async"}
    assert environment("proxy")["HELIOSDB_PROXY_CONFIG"] == "/etc/heliosdb/proxy.toml"


def test_the_compose_file_is_whole() -> None:
    assert set(COMPOSE) == {"networks", "services", "volumes"}
    assert COMPOSE["networks"]["helios-ha"]["ipam"]["config"] == [{"subnet": "172.28.0.0/16"}]
    named = {one.split(":")[0] for service in SERVICES.values() for one in service.get("volumes", ())}
    assert {name for name in named if not name.startswith(".")} == set(COMPOSE["volumes"])
    assert all((ROOT / name).is_file() for name in named if name.startswith("."))
    addresses = [one["networks"]["helios-ha"]["ipv4_address"] for one in SERVICES.values()]
    assert len(set(addresses)) == len(addresses) and all(one.startswith("172.28.1.") for one in addresses)
    published = [port.split(":")[0] for one in SERVICES.values() for port in one.get("ports", ())]
    assert len(set(published)) == len(published)
    targets = {stage.name for stage in STAGES}
    for name, one in SERVICES.items():
        assert set(one) <= SERVICE_KEYS, name
        assert one["build"]["context"] == "." and one["build"]["target"] in targets
        assert HEALTH.items() <= one["healthcheck"].items()
        assert set(one.get("depends_on", ())) <= set(SERVICES)


def test_every_variable_is_known_to_the_product() -> None:
    known = {name for one in ALL_SETTINGS for name in one.environment} | set(OTHER_ENVIRONMENT)
    known |= {*VARIABLES, PASSWORD_VARIABLE, "PGUSER", "PGPASSWORD", "PGDATABASE"}
    for name in SERVICES:
        assert set(environment(name)) <= known, name
    assert {name for name in image_environment(STAGES, "node") if name.startswith("HELIOS")} <= known


def test_nodes_may_listen_on_the_network_only_behind_a_password_and_a_secret() -> None:
    secrets = {environment(name).get("HELIOSDB_CLUSTER_SECRET", "") for name in (*MODES, "observer")}
    assert len(secrets) == 1 and len(secrets.pop()) >= 16
    assert environment("primary")["HELIOSDB_INITIAL_PASSWORD"] == environment("proxy")[PASSWORD_VARIABLE] == "helios"
    text = (ROOT / "docker-compose.ha-cluster.yml").read_text()
    chosen = read_compose(text, {"HELIOSDB_PASSWORD": "another", "HELIOSDB_CLUSTER_SECRET": "and a longer one of it"})
    assert "=helios" not in json.dumps([one["environment"] for one in chosen["services"].values()]).replace(
        "USER=helios", ""
    ).replace("DATABASE=heliosdb", "")


def test_the_configuration_of_the_proxy_is_the_tutorials() -> None:
    document = tomllib.loads((ROOT / "proxy-config.toml").read_text())
    assert document["proxy"] == {
        "listen_addr": "0.0.0.0:5432", "admin_addr": "0.0.0.0:9090", "health_check_interval_secs": 5,
        "failure_threshold": 3, "write_timeout_secs": 30,
    }  # fmt: skip
    for node in document["nodes"]:
        role = "primary" if node["name"] == "primary" else "standby"
        assert node == {"name": node["name"], "host": node["name"], "port": 5432, "role": role, "enabled": True}
    assert [node["name"] for node in document["nodes"]] == list(MODES)


def test_the_dockerfile_is_well_formed() -> None:
    assert STAGES[-1].name == "node", "docker build without --target makes the last stage"
    stages: set[str] = set()
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for stage in STAGES:
        assert stage.base in stages or re.fullmatch(r"python:\$\{PYTHON\}-slim-bookworm", stage.base)
        stages.add(stage.name)
        for name, text in stage.steps:
            if name == "COPY":
                words = [word for word in text.split() if not word.startswith("--")]
                source = re.search(r"--from=(\w+)", text)
                assert source is None or source[1] in stages
                for path in words[:-1] if source is None else ():
                    assert (ROOT / path).exists(), path
                    assert f"!{path}" in ignored, f".dockerignore keeps {path} away"
            if name == "RUN" and "apt-get install" in text:
                assert "--no-install-recommends" in text and "rm -rf /var/lib/apt/lists" in text
            if name == "RUN" and "pip install" in text and "-r " in text:
                assert text.count("--require-hashes") == text.count("-r req"), "packages are installed by their hashes"
    for target in ("node", "tools"):
        assert effective(STAGES, target, "USER") == "helios", "nothing runs as root"
        assert str(effective(STAGES, target, "HEALTHCHECK")).endswith('CMD ["heliosdb-nano", "health"]')
        assert json.loads(str(effective(STAGES, target, "ENTRYPOINT"))) == ["/usr/local/bin/entrypoint.sh"]
        assert json.loads(str(effective(STAGES, target, "CMD"))) == ["start"]
    assert image_environment(STAGES, "node")["HELIOSDB_LISTEN_ADDRESS"] == "0.0.0.0"


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        ([], "heliosdb-nano start"),
        (["start"], "heliosdb-nano start"),
        (["start", "--node-id", "a"], "heliosdb-nano start --node-id a"),
        (["--node-id", "a b"], "heliosdb-nano start --node-id a b"),
        (["server", "--ha-mode", "primary"], "heliosdb-nano server --ha-mode primary"),
        (["server", "--ha-mode", "standby", "--ha-primary", "primary:5433"],
         "heliosdb-nano server --ha-mode standby --ha-primary primary:5433"),
        (["heliosdb-proxy"], "heliosdb-proxy"),
        (["heliosdb-cli", "-c", "SELECT 1"], "heliosdb-cli -c SELECT 1"),
        (["heliosdb-nano", "health"], "heliosdb-nano health"),
        *([[verb], f"heliosdb-nano {verb}"] for verb in COMMANDS),
    ],
    ids=str,
)  # fmt: skip
def test_the_entry_point_takes_what_compose_files_say(given: list[str], runs: str, tmp_path: Path) -> None:
    for name in ("heliosdb-nano", "heliosdb-proxy", "heliosdb-cli"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(ENTRYPOINT), *given], env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=20
    )
    assert (done.stdout.strip(), done.stderr) == (runs, "")


@pytest.mark.parametrize(
    "text",
    ["a: 1\na: 2", "a:\n   b: 1", "a: &x 1", "a: {b: 1}", "- a", "a: ${NONE}", "a: b: c", "\ta: 1", "a: $HOME",
     "a:\n    b: 1"],
)  # fmt: skip
def test_the_reader_refuses_what_it_does_not_understand(text: str) -> None:
    with pytest.raises(Malformed):
        read_compose(text)


def test_patterns_of_the_ignore_file_leave_nothing_secret_in() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for secret in (".git", "cluster.secret", "http.token", "proxy.token", "heliosdb-data"):
        assert not any(fnmatch.fnmatch(secret, pattern) for pattern in kept)
