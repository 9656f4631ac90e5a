"""One command for every node of a cluster: the token that is made of its secret, and the way over TLS."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psycopg
import pytest
import trustme
from support.node_process import NodeProcess, wait_until

from helios_cli.cli import main
from helios_cli.commands import _tokens
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.net.http_token import cluster_token

Capture = pytest.CaptureFixture[str]

SECRET = "the secret of all the nodes"
OTHER = "the secret of another cluster"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("PG", "HELIOSDB_"))]:
        monkeypatch.delenv(name)


def call(capsys: Capture, *arguments: object) -> tuple[int, str, str]:
    code = main([str(one) for one in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_order_in_which_tokens_are_tried(tmp_path: Path) -> None:
    own, empty, secret = (tmp_path / name for name in ("own", "empty", "secret"))
    own.write_text("of the file\n")
    empty.write_text("\n")
    secret.write_text(SECRET + "\n")
    files = ("none", str(empty), str(own), str(secret))
    environ = {"HELIOSDB_HTTP_TOKEN": "given", "HELIOSDB_CLUSTER_SECRET": OTHER}
    made, other = cluster_token(SECRET.encode()), cluster_token(OTHER.encode())
    assert _tokens.tokens("n", files, (str(secret),), environ) == ["of the file", "given", made, other]
    assert _tokens.tokens("n", (), (str(secret),), {"HELIOSDB_CLUSTER_SECRET": SECRET}) == [made]
    with pytest.raises(ConfigError, match=r"no token for n \(none cannot be read\)"):
        _tokens.tokens("n", ("none",), (), {"HELIOSDB_CLUSTER_SECRET": "short"})


class Machine:
    """A node with a certificate of its own, as on a machine of its own: all that it knows is in its heliosdb.conf."""

    def __init__(self, directory: Path, authority: trustme.CA, *flags: str) -> None:
        directory.mkdir()
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(directory / "own.key")
        certificate.cert_chain_pems[0].write_to_path(directory / "own.crt")
        authority.cert_pem.write_to_path(directory / "ca.crt")
        (directory / "secret").write_text(SECRET)
        self.config = directory / "heliosdb.conf"
        names = {
            "tls_cert": "own.crt", "tls_key": "own.key", "tls_ca": "ca.crt", "cluster_secret_file": "secret",
        }  # fmt: skip
        lines = [f'{name} = "{directory}/{file}"\n' for name, file in names.items()]
        self.config.write_text("[security]\n" + "".join(lines))
        self.node = NodeProcess(directory, ["--config", str(self.config), *flags])
        self.node.start(wait=False)
        wait_until(self.answers, "the node answers", 30)

    def answers(self) -> bool:
        """Whether it takes clients."""
        try:
            self.node.connect(sslmode="disable").close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def here(self) -> tuple[object, ...]:
        """What says on this machine that its node is meant."""
        return ("--config", self.config, "--data-dir", self.node.data_dir)

    @property
    def by_name(self) -> tuple[object, ...]:
        """What says so elsewhere."""
        return ("--node", f"127.0.0.1:{self.node.http_port}", "--ca", self.config.parent / "ca.crt")


def test_any_node_is_asked_from_any_machine(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    cluster = ("--replication-mode", "sync")
    first = Machine(tmp_path / "m1", authority, "--replication-role", "primary", "--node-id", "n1", *cluster)
    where = ("--primary-host", "127.0.0.1", "--primary-port", str(first.node.native_port))
    second = None
    try:
        second = Machine(
            tmp_path / "m2", authority, "--replication-role", "standby", "--node-id", "n2", *cluster, *where
        )

        def lead() -> object:
            assert second is not None
            code, out, err = call(capsys, "topology", *second.here, "--json")
            assert code == 0, err
            view = json.loads(out)
            counts = all(one["in_sync"] and one["state"] == "streaming" for one in view["nodes"])
            return view["primary_id"] if counts else None

        wait_until(lambda: lead() == "n1", "the standby counts", 30)
        # On the standby's machine: its own certificate, its own token; on the primary the CA and the cluster's secret.
        code, out, err = call(capsys, "switchover", *second.here, "--to", "n2", "--dry-run")
        assert (code, out.splitlines()[0]) == (0, "the lead can go from n1 to n2"), err
        # From a third machine, by the secret alone, wherever it is.
        secret = ("--cluster-secret-file", second.config.parent / "secret")
        to_standby = ("config", "set", "eject_after", "3s", *second.by_name)
        code, _, err = call(capsys, *to_standby)
        assert code == 2 and "--cluster-secret-file" in err
        code, out, err = call(capsys, *to_standby, *secret)
        assert (code, out) == (0, "eject_after is 3s for the cluster\n"), err
        monkeypatch.setenv("HELIOSDB_CLUSTER_SECRET_FILE", str(secret[1]))
        code, out, err = call(capsys, "switchover", *second.by_name, "--to", "n2")
        assert code == 0, err
        wait_until(lambda: lead() == "n2", "the lead has changed", 30)
        # The old primary's own token is no other node's, and what is said then is the way.
        monkeypatch.delenv("HELIOSDB_CLUSTER_SECRET_FILE")
        (tmp_path / "wrong").write_text(OTHER)
        code, _, err = call(capsys, "pause", *second.by_name, "--cluster-secret-file", "wrong")
        assert (
            code == 3 and "wrong token" in err and "hint: Give the cluster's secret with --cluster-secret-file" in err
        )
        assert SECRET not in first.node.log_path.read_text() + second.node.log_path.read_text()
        assert cluster_token(SECRET.encode()) not in first.node.log_path.read_text() + second.node.log_path.read_text()
    finally:
        first.node.kill()
        if second is not None:
            second.node.kill()
