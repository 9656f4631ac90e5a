"""proxy.toml: what it comes to, and every mistake in it at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from helios_cli.engine.config.problems import ConfigProblems, Problem
from helios_cli.engine.config.proxy import NodeSettings, ProxySettings, UserSettings
from helios_cli.engine.config.proxy_load import LoadedProxy, load_proxy, load_proxy_again, stamp
from helios_cli.engine.config.proxy_table import FIELDS, SCALARS, VARIABLES
from helios_cli.engine.wire import scram

SEED = """
[proxy]
listen_addr = "0.0.0.0:5400"
admin_addr = "0.0.0.0:9090"
health_check_interval_secs = 5
failure_threshold = 3
write_timeout_secs = 30
[[nodes]]
name = "primary"
host = "localhost"
port = 5432
role = "primary"
enabled = true
[[nodes]]
name = "standby-sync"
host = "localhost"
port = 5442
role = "standby"
enabled = true
"""
NODE = '[[nodes]]\nname = "a"\nhost = "db1"\n'
VERIFIER = str(scram.build_verifier("red", b"r" * 16))


def load(text: str | None, directory: Path, environ: Mapping[str, str] | None = None) -> LoadedProxy:
    path = directory / "proxy.toml"
    if text is not None:
        path.write_text(text)
        path.chmod(0o600)
    return load_proxy(environ or {}, str(path) if text is not None else None, system_file="")


def mistakes(text: str, directory: Path, environ: Mapping[str, str] | None = None) -> list[Problem]:
    with pytest.raises(ConfigProblems) as caught:
        load(text, directory, environ)
    return list(caught.value.problems)


def mistake(text: str, directory: Path) -> Problem:
    """The only mistake."""
    found = mistakes(text, directory)
    assert len(found) == 1, found
    return found[0]


def secret(directory: Path, text: str = "red\n", mode: int = 0o600) -> Path:
    path = directory / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


# What it comes to ----------------------------------------------------------------------------------------------------


def test_the_file_of_the_tutorials_works_unchanged(tmp_path: Path) -> None:
    loaded = load(SEED, tmp_path)
    settings = loaded.settings
    assert settings.nodes == (
        NodeSettings("primary", "localhost", 5432, "primary"),
        NodeSettings("standby-sync", "localhost", 5442, "standby"),
    )
    assert (settings.listen_port, settings.admin_port, settings.http_port) == (5400, 9090, 0)
    assert (settings.health_check_interval, settings.failure_threshold, settings.write_timeout) == (5.0, 3, 30.0)
    assert settings.discover == ""


def test_the_defaults_of_the_table_are_those_of_the_record(tmp_path: Path) -> None:
    """Each key fills one field, and nothing else has a default."""
    loaded = load(None, tmp_path)
    assert loaded.settings == ProxySettings(discover="127.0.0.1:5432")
    assert "the nodes are found from 127.0.0.1:5432" in str(loaded.warnings[0])
    known = {one.name for one in fields(ProxySettings)}
    apart = {"listen_addr", "admin_addr", "http_addr", "auth_password_file", "admin_token_file"}
    assert {FIELDS.get(one.key, one.name) for one in SCALARS} - apart <= known


def test_every_key(tmp_path: Path) -> None:
    for name in ("cert", "key", "ca"):
        (tmp_path / name).write_text("x")
    secret(tmp_path)
    text = f"""
[proxy]
listen_addr = "10.0.0.1:6000"
admin_addr = "[::1]:6001"
http_addr = "10.0.0.1:6002"
workers = 4
discover = "db1:5432"
database = "shop"
health_check_interval_secs = 0.5
health_check_timeout_secs = "250ms"
failure_threshold = 7
write_timeout_secs = "1min"
pool_mode = "session"
pool_size = 3
max_clients = 9
queue_timeout_secs = 1
server_idle_timeout_secs = 0
connect_timeout_secs = 2
login_timeout_secs = 3
balancer = "round_robin"
read_from_primary = false
sticky = true
read_your_writes = "off"
max_lag_bytes = "16MB"
max_lag_ms = 1500
replay_max_bytes = 0
auth_user = "helios"
auth_password_file = "secret"
auth_failures_max = 0
auth_lockout_secs = 4
log_level = "warn"
log_format = "json"
[[users]]
name = "ann"
password_file = "secret"
[[users]]
name = "bob"
verifier = "{VERIFIER}"
[tls]
cert = "cert"
key = "key"
[backend_tls]
mode = "verify-full"
ca = "ca"
cert = "cert"
key = "key"
"""
    loaded = load(text, tmp_path)
    assert loaded.settings == ProxySettings(
        listen_host="10.0.0.1", listen_port=6000, admin_host="::1", admin_port=6001, http_host="10.0.0.1",
        http_port=6002, workers=4, discover="db1:5432", database="shop", health_check_interval=0.5,
        health_check_timeout=0.25, failure_threshold=7, write_timeout=60.0, pool_mode="session", pool_size=3,
        max_clients=9, queue_timeout=1.0, server_idle_timeout=0.0, connect_timeout=2.0, login_timeout=3.0,
        balancer="round-robin", read_from_primary=False, sticky=True, read_your_writes=False, max_lag_bytes=16 << 20,
        max_lag=1.5, replay_max_bytes=0, auth="scram", auth_user="helios", auth_password="red", auth_failures_max=0,
        auth_lockout=4.0, log_level="warning", log_format="json", tls_mode="allow", tls_cert=str(tmp_path / "cert"),
        tls_key=str(tmp_path / "key"), backend_tls="verify-full", backend_ca=str(tmp_path / "ca"),
        backend_cert=str(tmp_path / "cert"), backend_key=str(tmp_path / "key"),
        users=(UserSettings("ann", "red"), UserSettings("bob", verifier=VERIFIER)),
    )  # fmt: skip
    assert loaded.warnings == ()
    assert loaded.token_file == str(tmp_path / "proxy.token")
    assert set(loaded.files) == {str(tmp_path / name) for name in ("proxy.toml", "cert", "key", "ca", "secret")}


def test_the_environment_is_stronger(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("x")
    path = tmp_path / "other.toml"
    path.write_text('[proxy]\npool_size = 3\nmax_clients = 9\n[tls]\nmode = "disable"\n')
    environ = {
        "HELIOSDB_PROXY_CONFIG": str(path), "HELIOSDB_PROXY_POOL_SIZE": "5", "HELIOSDB_PROXY_TLS_CERT": "cert",
        "HELIOSDB_PROXY_TLS_KEY": "cert", "HELIOSDB_PROXY_STICKY": "on", "HELIOSDB_PROXY_MAX_LAG_BYTES": "",
        "HELIOSDB_PROXY_PORT": "tcp://10.0.0.1:5432",
    }  # fmt: skip
    loaded = load_proxy(environ, None, system_file="")
    settings = loaded.settings
    assert (settings.pool_size, settings.max_clients, settings.sticky) == (5, 9, True)
    assert (settings.tls_mode, settings.tls_cert, settings.max_lag_bytes) == ("disable", str(tmp_path / "cert"), None)
    assert str(loaded.origins["proxy.pool_size"]) == "HELIOSDB_PROXY_POOL_SIZE"
    assert str(loaded.origins["proxy.max_clients"]) == f"{path}:3"
    named = load_proxy({**environ, "HELIOSDB_PROXY_POOL_SIZE": ""}, str(path), system_file="")
    assert named.settings.pool_size == 3
    assert len(VARIABLES) == len(SCALARS), "every key that stands once has a variable"


def test_a_misspelled_variable_is_a_warning(tmp_path: Path) -> None:
    loaded = load(SEED, tmp_path, {"HELIOSDB_PROXY_POOLSIZE": "4"})
    told = [one for one in loaded.warnings if one.origin.kind == "environment"]
    assert [one.hint for one in told] == ['Did you mean "HELIOSDB_PROXY_POOL_SIZE"?']


def test_config_wins_over_the_variable(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[proxy]\npool_size = 3\n")
    environ = {"HELIOSDB_PROXY_CONFIG": str(tmp_path / "other.toml")}
    assert load("[proxy]\npool_size = 4\n", tmp_path, environ).settings.pool_size == 4


# Safety --------------------------------------------------------------------------------------------------------------


def test_a_network_address_without_credentials_is_narrowed(tmp_path: Path) -> None:
    loaded = load(SEED, tmp_path)
    assert (loaded.settings.listen_host, loaded.settings.admin_host) == ("127.0.0.1", "127.0.0.1")
    assert loaded.settings.auth == "trust"
    told = [str(one) for one in loaded.warnings]
    assert any("listening on 127.0.0.1:5400 instead of 0.0.0.0" in one and "proxy.toml:3" in one for one in told)
    assert any("127.0.0.1:9090" in one for one in told)


def test_it_is_not_narrowed_when_that_is_asked_for(tmp_path: Path) -> None:
    loaded = load(SEED.replace("failure", "allow_insecure_network = true\nfailure"), tmp_path)
    assert loaded.settings.listen_host == "0.0.0.0"
    assert any("anyone who reaches 0.0.0.0:5400 is let in" in str(one) for one in loaded.warnings)


@pytest.mark.parametrize(
    "more", ['[[users]]\nname = "ann"\npassword = "red"\n', '[[users]]\nname = "ann"\npassword_file = "secret"\n']
)
def test_users_open_the_network(more: str, tmp_path: Path) -> None:
    secret(tmp_path)
    loaded = load(SEED + more, tmp_path)
    assert (loaded.settings.listen_host, loaded.settings.auth) == ("0.0.0.0", "scram")
    assert loaded.warnings == ()


def test_an_auth_user_without_a_password_guards_nothing(tmp_path: Path) -> None:
    """It is the name that the watches log in by, at nodes that trust."""
    loaded = load(SEED.replace("failure", 'auth_user = "postgres"\nfailure'), tmp_path)
    assert (loaded.settings.listen_host, loaded.settings.auth) == ("127.0.0.1", "trust")


def test_trust_is_possible_with_users(tmp_path: Path) -> None:
    loaded = load(SEED.replace("failure", 'auth = "trust"\nfailure') + '[[users]]\nname="a"\npassword="b"\n', tmp_path)
    assert (loaded.settings.listen_host, loaded.settings.auth) == ("127.0.0.1", "trust")


def test_a_file_with_passwords_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "proxy.toml"
    path.write_text(NODE + '[[users]]\nname = "ann"\npassword = "red"\n')
    path.chmod(0o644)
    (warning,) = load_proxy({}, str(path)).warnings
    assert "holds passwords" in str(warning) and warning.hint == f"Run: chmod 600 {path}"


@pytest.mark.parametrize("mode", [0o604, 0o660, 0o644])
def test_a_password_file_that_others_can_read(mode: int, tmp_path: Path) -> None:
    path = secret(tmp_path, mode=mode)
    found = mistake(f'{NODE}[[users]]\nname = "ann"\npassword_file = "{path}"\n', tmp_path)
    assert "may be read by others" in found.message and found.hint == f"Run: chmod 600 {path}"


@pytest.mark.parametrize("text", ["", "\n", "two\nlines\n", "x" * 5000])
def test_a_password_file_without_a_password(text: str, tmp_path: Path) -> None:
    secret(tmp_path, text)
    more = '[proxy]\nauth_user = "a"\nauth_password_file = "secret"\n'
    assert "does not hold a password alone" in mistake(more, tmp_path).message


# Mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("[proxy]\nlisten_adr = 'x'", 2, 'unrecognized configuration parameter "proxy.listen_adr"',
         'Did you mean "proxy.listen_addr"?'),
        ("pool_size = 3", 1, 'unrecognized configuration parameter "pool_size"', 'Did you mean "proxy.pool_size"?'),
        ("[nodes]\nname = 'a'", 2, 'unrecognized configuration parameter "nodes.name"', 'Did you mean "nodes[].name"?'),
        (NODE + "wait = 3", 4, 'unrecognized configuration parameter "nodes[0].wait"', '"nodes[].weight"'),
        (NODE + "bad = 3", 4, 'unrecognized configuration parameter "nodes[0].bad"', "There are: name, host, port,"),
        ("[tls]\ncertificate = 'a'", 2, 'unrecognized configuration parameter "tls.certificate"', "mode, cert, key."),
        ("[proxy]\nlisten_addr = '5400'", 2, 'invalid value for parameter "listen_addr": "5400"', "host:port"),
        ("[proxy]\nlisten_addr = 'a:99999'", 2, "99999 is outside the valid range for the port", None),
        ("[proxy]\nadmin_addr = '127.0.0.1:5400'", 2, 'parameters "listen_addr" and "admin_addr" are both on port 5400',
         "a port of its own"),
        ("[proxy]\nhttp_addr = '0.0.0.0:9090'", 2, "are both on port 9090", None),
        ("[proxy]\nwrite_timeout_secs = 'soon'", 2, 'invalid value for parameter "write_timeout_secs"', "Valid units"),
        ("[proxy]\nhealth_check_interval_secs = 0", 2, "outside the valid range", None),
        ("[proxy]\npool_size = 0", 2, '0 is outside the valid range for parameter "pool_size" (1 .. 10000)', None),
        ("[proxy]\npool_mode = 'statement'", 2, 'invalid value for parameter "pool_mode"', "transaction, session"),
        ("[proxy]\nsticky = 'maybe'", 2, 'invalid value for parameter "sticky"', "on, off"),
        ("[proxy]\nmax_lag_bytes = '16 apples'", 2, 'invalid value for parameter "max_lag_bytes"', "Valid units"),
        (NODE + "port = 0", 4, "0 is outside the valid range", None),
        (NODE + "weight = -1", 4, "-1 is outside the valid range", None),
        (NODE + "role = 'boss'", 4, 'invalid value for parameter "nodes[].role"', "primary, standby"),
        ("[[nodes]]\nname = 'a'", 2, '"nodes[0]" has no "host"', None),
        (NODE + NODE.replace("db1", "db2"), 5, 'two nodes are named "a"', None),
        (NODE + NODE.replace('"a"', '"b"'), 5, 'nodes "a" and "b" are both db1:5432', None),
        (NODE.replace("db1", "localhost") + "port = 5400", 2, 'node "a" is the proxy itself (localhost:5400)', None),
        ("[proxy]\ndiscover = 'db1:5432'\n" + NODE, 2, 'there are both [[nodes]] and "discover"', "Keep one"),
        ("[proxy]\ndiscover = 'db1:0'\n", 2, "discover", None),
        ("[proxy]\nauth_password_file = 'secret'", 2, '"auth_password_file" needs "auth_user"', None),
        ("[proxy]\nauth = 'scram'", 2, '"auth" = scram needs users', "[[users]]"),
        ("[[users]]\nname = 'a'", 2, 'user "a" has no password', "one of password"),
        ("[[users]]\nname = 'a'\npassword = 'b'\nverifier = '" + VERIFIER + "'", 2, '"password" and "verifier"', None),
        ("[[users]]\nname = 'a'\nverifier = 'md5'", 3, 'the verifier of user "a" is none', "rolpassword"),
        ("[[users]]\nname='a'\npassword='b'\n[[users]]\nname='a'\npassword='c'", 5, 'two users are named "a"', None),
        ("[[users]]\npassword = 'b'", 2, '"users[0]" has no "name"', None),
        ("[tls]\ncert = 'secret'", 2, 'parameter "tls.cert" needs "tls.key"', None),
        ("[tls]\nmode = 'require'", 2, '"tls.mode" = require needs "tls.cert"', None),
        ("[backend_tls]\nmode = 'require'\nkey = 'secret'", 3, 'parameter "backend_tls.key" needs "backend_tls.cert"',
         None),
        ("[backend_tls]\nmode = 'verify-ca'\nca = 'none'", 3, 'cannot read "', None),
        ("[proxy]\nauth_user = 'a'\nauth_password_file = 'none'", 3, "No such file", None),
        ("[proxy\n", 1, "not TOML", None),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(text: str, line: int, message: str, hint: str | None, tmp_path: Path) -> None:
    secret(tmp_path)
    found = mistake(text, tmp_path)
    assert message in found.message
    assert str(found.origin) == f"{tmp_path / 'proxy.toml'}:{line}"
    if hint is not None:
        assert hint in (found.hint or "")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = "[proxy]\npool_size = 0\nmax_clients = 'x'\nfoo = 1\n[tls]\nmode = 'require'\n"
    found = mistakes(text, tmp_path, {"HELIOSDB_PROXY_STICKY": "perhaps"})
    assert [str(one.origin).rpartition("/")[2] for one in found] == [
        "HELIOSDB_PROXY_STICKY", "proxy.toml:2", "proxy.toml:3", "proxy.toml:4", "proxy.toml:6",
    ]  # fmt: skip


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_proxy({"HELIOSDB_PROXY_CONFIG": str(tmp_path / "none")})
    assert "could not open file" in str(caught.value)
    assert caught.value.problems[0].hint == "It was named by HELIOSDB_PROXY_CONFIG."


def test_no_node_is_enabled(tmp_path: Path) -> None:
    assert ["no node is enabled" in str(one) for one in load(NODE + "enabled = false\n", tmp_path).warnings] == [True]


# Again ---------------------------------------------------------------------------------------------------------------


def test_it_is_read_again_from_the_same_sources(tmp_path: Path) -> None:
    loaded = load(SEED, tmp_path, {"HELIOSDB_PROXY_POOL_SIZE": "5"})
    before = stamp(loaded.files)
    path = tmp_path / "proxy.toml"
    path.write_text(SEED.replace("write_timeout_secs = 30", "write_timeout_secs = 7\npool_size = 9"))
    assert stamp(loaded.files) != before
    fresh = load_proxy_again(loaded)
    assert (fresh.settings.write_timeout, fresh.settings.pool_size) == (7.0, 5)


def test_a_file_that_is_replaced_is_noticed(tmp_path: Path) -> None:
    """Same size, same time of change: another file all the same."""
    loaded = load(SEED, tmp_path)
    before = stamp(loaded.files)
    path = tmp_path / "proxy.toml"
    status = path.stat()
    other = tmp_path / "new"
    other.write_text(SEED)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)
    assert stamp(loaded.files) != before
    path.unlink()
    assert stamp(loaded.files) == (None,)
