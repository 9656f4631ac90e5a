"""Precedence, origins, and every mistake at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helios_cli.engine.config.load import load_settings
from helios_cli.engine.config.merge import merge
from helios_cli.engine.config.problems import ConfigProblems
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.config.source import read_entries

SEED = """
[server]
node_id = "us-east-1"
listen_address = "10.0.1.100"
port = 5432
[replication]
mode = "multi_master"
local_master_id = "us-east-1"
local_region = "us-east-1"
conflict_resolution = "custom"
custom_resolver = "trade_conflict_resolver"
resolver_function = "resolve_product_conflict"
resolver_language = "sql" # sql | rust | javascript
timestamp_source = "server_timestamp"
timestamp_precision_ms = true
crdt_types = ["counter", "set", "map", "register"]
replication_lag_threshold_ms = 500
max_retries = 3
batch_size = 1000
batch_timeout_ms = 100
max_batch_size_mb = 10
compression_threshold_bytes = 1024
enable_causal_consistency = true
vector_clock_update_interval_ms = 10
replication_timeout_ms = 15000
replication_batch_size = 5000
connection_pool_size = 10
enable_compression = true
health_check_interval_sec = 10
replication_monitor_interval_sec = 30
heartbeat_interval_ms = 50 # Fast failure detection
heartbeat_timeout_ms = 200
election_timeout_min_ms = 500
election_timeout_max_ms = 1000
require_quorum_for_writes = true
quorum_size = 2
use_witness_node = true
witness_endpoints = ["witness.example.com:6379"]
enable_automatic_failover = true
failover_timeout_sec = 10
primary_master = "us-east-1"
replica_addresses = [
    "us-east-1-rep1:5432",
    "us-east-1-rep2:5432",
]
auto_failover = true
min_replicas_for_failover = 1
enable_tenant_isolation = true
default_tenant_master = "auto"
[replication.connection_pool]
pool_size = 10
max_connections = 50
idle_timeout_sec = 300
connection_timeout_sec = 10
[[replication.peer_connections]]
peer_id = "eu-west-1"
pool_size = 15
priority = 10
[replication.buffers]
queue_buffer_size_mb = 256
per_peer_buffer_mb = 64
wal_buffer_size_mb = 512
conflict_detection_buffer_mb = 128
[[replication.masters]]
master_id = "us-east-1"
endpoint = "us.db.company.com:5432"
priority = 10
[[replication.masters]]
master_id = "eu-west-1"
endpoint = "eu.db.company.com:5432"
priority = 5
[replication.tenant_config.Company-A]
primary_region = "us-west-2"
allowed_regions = ["us-west-2"]
replication_targets = []
[replication.tenant_config.Company-B]
primary_region = "us-west-2"
allowed_regions = ["us-west-2", "eu-central-1"]
replication_targets = ["eu-central-1"]
"""


def from_text(text: str, **flags: object) -> Settings:
    entries, problems = read_entries(text, "heliosdb.conf", "file")
    return merge(flags, {}, [], entries, problems=problems)[0]


def problems_of(text: str, **flags: object) -> list[str]:
    with pytest.raises(ConfigProblems) as caught:
        from_text(text, **flags)
    return [str(one) for one in caught.value.problems]


def test_nothing_set_gives_the_defaults() -> None:
    settings = from_text("")
    assert (settings.pg_port, settings.native_port, settings.http_port) == (5432, 5433, 8080)
    assert settings.listen_address == "127.0.0.1"
    assert settings.data_dir == "./heliosdb-data"
    assert settings.node_id == "node-5432"
    assert settings.authentication_timeout == 60_000
    assert str(settings.origin("pg_port")) == "default"


def test_flag_over_environment_over_auto_over_file() -> None:
    names = ["statement_timeout", "lock_timeout", "max_connections", "group_max_transactions", "reader_threads"]
    file, _ = read_entries(
        "[sessions]\nstatement_timeout=1\nlock_timeout=1\nmax_connections=1\n[storage]\ngroup_max_transactions=1\n",
        "f",
        "file",
    )
    auto, _ = read_entries("[sessions]\nstatement_timeout=2\nlock_timeout=2\nmax_connections=2\n", "a", "auto")
    environ = {"HELIOSDB_STATEMENT_TIMEOUT": "3", "HELIOSDB_LOCK_TIMEOUT": "3"}
    settings, _ = merge({"statement_timeout": "4ms", "lock_timeout": None}, environ, auto, file)
    assert [getattr(settings, name) for name in names] == [4, 3, 2, 1, 2]
    origins = [str(settings.origin(name)) for name in names]
    assert origins == ["--statement-timeout", "HELIOSDB_LOCK_TIMEOUT", "a:4", "f:6", "default"]


def test_the_irregular_variables_are_aliases_and_the_regular_ones_win() -> None:
    environ = {
        "HELIOSDB_ROLE": "standby",
        "HELIOSDB_NODE_ID": "s1",
        "HELIOSDB_DATA_DIR": "/data",
        "HELIOSDB_PRIMARY_HOST": "primary",
        "HELIOSDB_PRIMARY_PORT": "5433",
        "HA_SYNC_MODE": "synchronous",
    }
    settings, _ = merge({}, environ, [], [])
    assert settings.replication_role == "standby"
    assert settings.replication_mode == "sync"
    assert (settings.node_id, settings.data_dir, settings.primary_host) == ("s1", "/data", "primary")
    settings, _ = merge({}, {**environ, "HELIOSDB_REPLICATION_MODE": "async"}, [], [])
    assert settings.replication_mode == "async"


def test_an_empty_variable_is_not_set_and_a_misspelt_one_is_a_warning() -> None:
    settings, warnings = merge({}, {"HELIOSDB_PG_PORT": "", "HELIOSDB_PG_PROT": "1", "HELIOSDB_BIN": "x"}, [], [])
    assert settings.pg_port == 5432
    assert [(one.key, one.hint) for one in warnings] == [("HELIOSDB_PG_PROT", 'Did you mean "HELIOSDB_PG_PORT"?')]


def test_every_key_of_a_full_multi_primary_configuration_is_recorded() -> None:
    settings = from_text(SEED)
    assert settings.pg_port == 5432
    assert settings.node_id == "us-east-1"
    assert settings.recorded["replication.topology"] == "multi_master"
    assert settings.replication_mode == "async"
    assert settings.recorded["replication.masters[1].endpoint"] == "eu.db.company.com:5432"
    assert settings.recorded["replication.tenant_config.Company-A.allowed_regions"] == ("us-west-2",)
    assert settings.recorded["replication.connection_pool.max_connections"] == 50
    written = {match[1] for match in re.finditer(r"^(\w+) =", SEED, re.MULTILINE)}
    known = {name.rpartition(".")[2] for name in settings.origins}
    assert written - known == {"port", "mode"}  # kept as pg_port and replication.topology
    assert settings.origin("replication.masters[1].priority").line == SEED.splitlines().index("priority = 5") + 1


@pytest.mark.parametrize("mode", ["sync", "quorum", "asynchronous"])
def test_one_key_takes_both_modes_and_topologies(mode: str) -> None:
    settings = from_text(f'[replication]\nmode = "{mode}"\n')
    assert settings.replication_mode == mode.replace("asynchronous", "async")
    assert settings.recorded["replication.topology"] == "single_primary"


def test_every_mistake_is_reported_with_its_line() -> None:
    text = """[server]
pg_prot = 5432
listen_address = "127.0.0.1"
native_port = 70000
[sessions]
statement_timeout = "30 parsecs"
[security]
auth = "kerberos"
[[replication.masters]]
master_id = "a"
"""
    assert problems_of(text, max_connections="many") == [
        '--max-connections: invalid value for parameter "max_connections": "many"',
        'heliosdb.conf:2: unrecognized configuration parameter "server.pg_prot"',
        'heliosdb.conf:4: 70000 is outside the valid range for parameter "native_port" (1 .. 65535)',
        'heliosdb.conf:6: invalid value for parameter "statement_timeout": "30 parsecs"',
        'heliosdb.conf:8: invalid value for parameter "auth": "kerberos"',
        'heliosdb.conf:10: "replication.masters[0]" has no "endpoint"',
    ]


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigProblems) as caught:
        from_text("[server]\nstatement_timeuot = 1\n")
    assert caught.value.problems[0].hint == 'Did you mean "sessions.statement_timeout"?'


@pytest.mark.parametrize("text", ["[server\n", "a = \n", "[a]\nb=1\nb=2\n", "x = 'unclosed\n"])
def test_text_that_is_not_toml_is_one_problem(text: str) -> None:
    assert len(problems_of(text)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\npg_port = 1\nhttp_port = 1\n", 'f:3: parameters "pg_port" and "http_port" are both 1'),
        ('[security]\ntls_cert = "c.pem"\n', 'f:2: parameter "tls_cert" needs "tls_key"'),
        (
            '[server]\nallow_faults = true\nlisten_address = "0.0.0.0"\n',
            'f:2: parameter "allow_faults" refuses the network address "0.0.0.0"',
        ),
        (
            "[storage]\nwal_checkpoint_mb = 2048\n",
            'f:2: parameter "wal_checkpoint_mb" (2048) is not below "wal_max_mb"',
        ),
        (
            "[replication]\nheartbeat_interval_ms = 900\n",
            'f:2: parameter "replication.heartbeat_interval_ms" (900) is not below '
            '"replication.heartbeat_timeout_ms" (500)',
        ),
        (
            '[replication.tenant_config.A]\nprimary_region = "us"\n'
            'allowed_regions = ["us"]\nreplication_targets = ["eu"]\n',
            'f:4: "replication.tenant_config.A.replication_targets" names region "eu", which allowed_regions does not',
        ),
    ],
)
def test_rules_between_settings(text: str, message: str) -> None:
    entries, _ = read_entries(text, "f", "file")
    with pytest.raises(ConfigProblems) as caught:
        merge({}, {}, [], entries)
    assert [str(one) for one in caught.value.problems] == [message]


def test_the_file_is_searched_in_order(tmp_path: Path) -> None:
    data, named, system = tmp_path / "d", tmp_path / "named.conf", tmp_path / "etc.conf"
    data.mkdir()
    flags = {"data_dir": str(data)}
    system.write_text("[server]\npg_port = 1001\n")

    def port(environ: dict[str, str], config: str | None = None) -> int:
        return load_settings(flags, environ, config=config, system_file=str(system)).settings.pg_port

    assert port({}) == 1001
    (data / "heliosdb.conf").write_text("[server]\npg_port = 1002\n")
    assert port({}) == 1002
    named.write_text("[server]\npg_port = 1003\n")
    assert port({"HELIOSDB_CONFIG": str(named)}) == 1003
    assert port({"HELIOSDB_CONFIG": str(named)}, config=str(data / "heliosdb.conf")) == 1002


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_settings({}, {"HELIOSDB_CONFIG": str(tmp_path / "no.conf")})
    assert caught.value.message == f"{tmp_path}/no.conf: could not open file: No such file or directory"
    assert caught.value.hint == "It was named by HELIOSDB_CONFIG."


def test_a_file_may_name_the_data_directory_whose_auto_file_counts(tmp_path: Path) -> None:
    (tmp_path / "heliosdb.auto.conf").write_text("[sessions]\nlock_timeout = 9\n")
    conf = tmp_path / "x.conf"
    conf.write_text(f'[server]\ndata_dir = "{tmp_path}"\n')
    settings = load_settings({}, {}, config=str(conf)).settings
    assert settings.lock_timeout == 9
    assert settings.origin("lock_timeout").kind == "auto"
    assert settings.config_file == str(conf)
