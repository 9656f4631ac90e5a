"""``config``, ``start --dry-run``, ``server``, and how mistakes are told."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from helios_cli.cli import main
from helios_cli.commands.node import ha_flags


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of the machine reaches a test."""
    import os

    for name in list(os.environ):
        if name.startswith("HELIOSDB_") or name == "HA_SYNC_MODE":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_show_tells_value_and_origin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOSDB_LOCK_TIMEOUT", "90s")
    Path("x.conf").write_text("[server]\nport = 6000\n")
    code, out, _ = run(capsys, "config", "show", "--origin", "--changed", "--config", "x.conf", "--set", "auth=scram")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:]}
    assert rows["pg_port"] == ["6000", "x.conf:2"]
    assert rows["lock_timeout"] == ["90s", "HELIOSDB_LOCK_TIMEOUT"]
    assert rows["auth"] == ["scram", "--auth"]
    record = run_json(capsys, "config", "show", "--config", "x.conf")
    assert record["settings"]["lock_timeout"] == {
        "value": 90000, "shown": "90s", "origin": "HELIOSDB_LOCK_TIMEOUT", "unit": "ms",
    }  # fmt: skip
    assert record["config_file"] == "x.conf"


def test_show_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "config", "show", "authentication_timeout")[1] == "1min\n"
    assert run(capsys, "config", "show", "replication.batch_size")[1] == "1000\n"
    assert run_json(capsys, "config", "show", "pg_port")["value"] == 5432
    code, out, err = run(capsys, "config", "show", "pg_prot")
    assert (code, out) == (1, "")
    assert err == 'error: unrecognized configuration parameter "pg_prot"\nhint: Did you mean "pg_port"?\n'


def test_validate_names_every_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.conf").write_text("[server]\npg_port = 0\nhttp_prot = 1\n")
    code, out, err = run(capsys, "config", "validate", "bad.conf")
    assert (code, out) == (2, "")
    assert "error: bad.conf:2: 0 is outside the valid range" in err
    assert 'error: bad.conf:3: unrecognized configuration parameter "server.http_prot"' in err
    code, out, _ = run(capsys, "config", "validate", "bad.conf", "--json")
    problems = json.loads(out)["problems"]
    assert code == 2
    assert [(one["file"], one["line"], one["key"]) for one in problems] == [
        ("bad.conf", 2, "server.pg_port"),
        ("bad.conf", 3, "server.http_prot"),
    ]
    assert run(capsys, "config", "validate") == (0, "the configuration is valid\n", "")


def test_init_writes_a_file_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "config", "init", "--dry-run")[0] == 0
    assert not Path("heliosdb.conf").exists()
    assert run(capsys, "config", "init") == (0, "wrote heliosdb.conf\n", "")
    assert set(tomllib.loads(Path("heliosdb.conf").read_text())) >= {"server", "storage", "replication"}
    code, _, err = run(capsys, "config", "init")
    assert code == 5
    assert err == 'error: file "heliosdb.conf" exists\nhint: Add --force to replace it.\n'
    assert run(capsys, "config", "init", "--force")[0] == 0
    assert run(capsys, "config", "validate", "heliosdb.conf")[0] == 0


def test_start_takes_a_flag_for_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    record = run_json(
        capsys, "start", "--dry-run", "--data-dir", "d", "--pg-port", "5442", "--native-port", "5443",
        "--http-port", "8081",
        "--node-id", "standby-sync", "--replication-role", "standby", "--primary-host", "localhost",
        "--primary-port", "5433", "--replication-mode", "sync", "--allow-faults", "--statement-timeout", "1min",
    )["settings"]  # fmt: skip
    assert record["replication_role"]["value"] == "standby"
    assert record["statement_timeout"]["value"] == 60_000
    assert record["allow_faults"] == {"value": True, "shown": "on", "origin": "--allow-faults"}
    assert record["pg_port"]["origin"] == "--pg-port"


def test_server_means_the_same_settings(capsys: pytest.CaptureFixture[str]) -> None:
    record = run_json(
        capsys, "server", "--dry-run", "--ha-mode", "standby", "--ha-primary", "db1.example.com:6433",
        "--ha-bind", "0.0.0.0:6434", "--pg-port", "6432",
    )["settings"]  # fmt: skip
    found = {name: one["value"] for name, one in record.items()}
    assert (found["replication_role"], found["primary_host"], found["primary_port"]) == (
        "standby",
        "db1.example.com",
        6433,
    )
    assert (found["listen_address"], found["native_port"], found["pg_port"]) == ("0.0.0.0", 6434, 6432)
    record = run_json(
        capsys, "server", "--dry-run", "--ha-mode", "multi-primary", "--ha-region", "us-east", "--ha-peers",
        "eu-west.example.com:5433,ap.example.com:5433",
    )["settings"]  # fmt: skip
    assert record["replication.topology"]["value"] == "multi_master"
    assert record["replication.local_region"]["value"] == "us-east"
    assert record["replication.peers"]["value"] == ["eu-west.example.com:5433", "ap.example.com:5433"]


def test_ha_flags_leave_out_what_was_not_given() -> None:
    assert ha_flags(None, None, None, None, None) == {}
    assert ha_flags("primary", "[::1]:5433", None, None, None) == {
        "replication_role": "primary", "listen_address": "::1", "native_port": "5433",
    }  # fmt: skip


MISTAKES = {
    "strat": ("No such command 'strat'. Did you mean 'start', 'status'?", "see: heliosdb-nano --help"),
    "start --pg-prot 1": (
        "No such option: --pg-prot (Possible options: --http-port, --pg-port, --primary-port)",
        "see: heliosdb-nano start --help",
    ),
    "start --set x": ("Invalid value: --set takes NAME=VALUE, not 'x'", "see: heliosdb-nano start --help"),
    "start --set auht=trust": ('--set auht: unrecognized configuration parameter "auht"', 'Did you mean "auth"?'),
    "start --pg-port x": ('--pg-port: invalid value for parameter "pg_port": "x"', "A whole number is expected."),
    "server --ha-bind x": (
        "Invalid value: --ha-bind takes HOST:PORT, not 'x'",
        "see: heliosdb-nano server --help",
    ),
    "start --config none.conf": (
        "none.conf: could not open file: No such file or directory",
        "It was named by --config.",
    ),
    "completion tcsh": (
        "Invalid value: SHELL is one of bash, zsh, fish, not 'tcsh'",
        "see: heliosdb-nano completion --help",
    ),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str], line: str) -> None:
    message, hint = MISTAKES[line]
    assert run(capsys, *line.split()) == (2, "", f"error: {message}\nhint: {hint}\n")


def test_several_mistakes_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "start", "--pg-port", "x", "--auth", "y")
    assert code == 2
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "error"]


def test_errors_are_json_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "config", "show", "nothing_like_it", "--json")
    assert (code, out) == (1, "")
    assert json.loads(err) == {
        "error": 'unrecognized configuration parameter "nothing_like_it"',
        "sqlstate": "42704",
        "hint": None,
        "exit_code": 1,
    }


def test_the_bare_program_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Usage: heliosdb-nano" in run(capsys)[1]
    assert run(capsys, "--version")[1].startswith("heliosdb-nano 0.")
    assert run_json(capsys, "version")["apsw"] >= "3.54"
    code, out, err = run(capsys, "config")
    assert code == 2 and "Usage: heliosdb-nano config" in out + err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_know_every_command(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    code, out, _ = run(capsys, "completion", shell)
    assert code == 0
    for word in ("doctor", "validate", "heliosdb-cli", "replication-mode"):
        assert word in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["heliosdb-nano", "hea"], "health"),
        (["heliosdb-nano", "config", "va"], "validate"),
        (["heliosdb-nano", "config", "show", "--ori"], "--origin"),
        (["heliosdb-cli", "--ho"], "--host"),
        (["heliosdb-proxy", "--con"], "--config"),
    ],
)
@pytest.mark.needs("bash")
def test_bash_completes(words: list[str], expected: str) -> None:
    import subprocess

    script = Path(__file__).resolve().parents[2] / "completions" / f"{words[0]}.bash"
    function = "_" + words[0].replace("-", "_")
    quoted = " ".join(f"'{word}'" for word in words)
    code = f'source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; {function}; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
