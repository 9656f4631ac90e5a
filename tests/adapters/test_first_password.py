"""The password that a database is born with: where it comes from, that it is asked for at once, and only at birth."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from support.node_process import NodeProcess

from helios_cli.engine.config.problems import ConfigProblems
from helios_cli.engine.config.proxy_load import load_proxy
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.storage.first_password import VARIABLE, load_first_password


def test_the_variable_is_stronger_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("of the file\r\nand more\n")
    assert load_first_password(str(file), {}) == "of the file"
    assert load_first_password(str(file), {VARIABLE: "of the variable"}) == "of the variable"
    assert load_first_password("", {}) == ""


@pytest.mark.parametrize(("content", "said"), [(None, "cannot read"), (b"", "is empty"), (b"\xff\xfe", "not UTF-8")])
def test_a_file_without_a_password_is_a_mistake(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        load_first_password(str(file), {})


def test_it_is_asked_for_from_the_first_login_on_and_changes_no_old_directory(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, ["--listen-address", "0.0.0.0"], {VARIABLE: "at birth"})
    try:
        node.start()
        assert "listening on 127.0.0.1 instead" not in node.log_tail()
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            node.connect(user="helios")
        with node.connect(user="helios", password="at birth") as connection:
            connection.execute("ALTER ROLE helios PASSWORD 'since then'")
        node.environment_of_start[VARIABLE] = "another"
        node.restart()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            node.connect(user="helios", password="another")
        node.connect(user="helios", password="since then").close()
        assert "at birth" not in node.log_path.read_text()
    finally:
        node.kill()


def test_a_file_that_cannot_be_read_leaves_no_database_behind(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, ["--initial-password-file", str(tmp_path / "missing")])
    node.start(wait=False)
    assert node.wait() == 2
    assert "cannot read initial_password_file" in node.log_tail()
    assert not (node.data_dir / "db").exists()


def test_the_proxys_password_from_the_environment() -> None:
    named = {"HELIOSDB_PROXY_AUTH_USER": "helios", "HELIOSDB_PROXY_LISTEN_ADDR": "0.0.0.0:5400"}
    loaded = load_proxy(named | {"HELIOSDB_PROXY_AUTH_PASSWORD": "x"}, system_file="")
    assert (loaded.settings.auth, loaded.settings.auth_password, loaded.settings.listen_host) == (
        "scram", "x", "0.0.0.0",
    )  # fmt: skip
    assert load_proxy(named, system_file="").settings.listen_host == "127.0.0.1"
    with pytest.raises(ConfigProblems, match="needs"):
        load_proxy({"HELIOSDB_PROXY_AUTH_PASSWORD": "x"}, system_file="")
