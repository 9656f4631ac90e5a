"""Reading the files again while a node runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from helios_cli.engine.config.load import load_again, load_settings
from helios_cli.engine.config.problems import ConfigProblems
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.config.write import write_auto


def started(directory: Path, **flags: object) -> Settings:
    environ = {"HELIOSDB_LOCK_TIMEOUT": "7s"}
    return load_settings({"data_dir": str(directory), **flags}, environ, system_file=str(directory / "none")).settings


def test_only_what_may_change_while_running_changes(tmp_path: Path) -> None:
    (tmp_path / "heliosdb.conf").write_text("[sessions]\nstatement_timeout = 1\nmax_connections = 10\n")
    before = started(tmp_path, log_level="debug")
    text = "[sessions]\nstatement_timeout = 2\nmax_connections = 20\nlock_timeout = 9\n[logging]\nlevel = 'error'\n"
    (tmp_path / "heliosdb.conf").write_text(text + "[replication]\nbatch_size = 5\n")
    after = load_again(before)
    assert after.statement_timeout == 2
    assert after.max_connections == 10, "needs a restart"
    assert after.lock_timeout == 7000, "the environment of the start is stronger than the file"
    assert after.log_level == "debug", "so is a flag"
    assert after.recorded["replication.batch_size"] == 5
    assert str(after.origin("log_level")) == "--log-level"
    assert str(after.origin("lock_timeout")) == "HELIOSDB_LOCK_TIMEOUT"
    assert after.origin("statement_timeout").line == 2
    assert load_again(after) == after


def test_alter_system_takes_effect_and_reset_takes_it_back(tmp_path: Path) -> None:
    before = started(tmp_path)
    write_auto(str(tmp_path), "statement_timeout", "5s")
    after = load_again(before)
    assert (after.statement_timeout, after.origin("statement_timeout").kind) == (5000, "auto")
    write_auto(str(tmp_path), "statement_timeout", None)
    assert load_again(after).statement_timeout == 0
    assert load_again(after).origin("statement_timeout").kind == "default"


def test_a_broken_file_leaves_the_node_as_it_is(tmp_path: Path) -> None:
    before = started(tmp_path)
    (tmp_path / "heliosdb.conf").write_text("[sessions]\nstatement_timeout = 'x'\n")
    with pytest.raises(ConfigProblems, match="statement_timeout"):
        load_again(before)
