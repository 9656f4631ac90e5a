"""Logging in: rules, certificates, bound passwords; and that no password is ever seen anywhere."""

from __future__ import annotations

import datetime
import hashlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.inner_node import InnerNode
from support.node_process import NodeProcess

from helios_cli.engine.wire import scram

CANARY = "c4nary-7f3e-of-the-p1t"


def issue(directory: Path, name: str, issuer: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """A key and a certificate of ``name``, signed by an issuer or by itself, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0] if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    (directory / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    text = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path = directory / f"{name}.key"
    path.write_bytes(text)
    path.chmod(0o600)
    return subject, key


def refused(node: NodeProcess, match: str, **options: Any) -> None:
    with pytest.raises(psycopg.OperationalError, match=match):
        node.connect(**options)


RULES = """
tls = "self-signed"
tls_client_ca = "{directory}/authority.crt"
[[hba]]
type = "hostssl"
user = "carl"
method = "cert"
[[hba]]
user = "mallory"
method = "reject"
[[hba]]
user = "helios"
address = "127.0.0.0/8"
method = "trust"
[[hba]]
user = "+staff"
method = "scram-sha-256"
"""


def test_rules_certificates_and_tls(make_node: Callable[..., NodeProcess], tmp_path: Path) -> None:
    authority = issue(tmp_path, "authority")
    issue(tmp_path, "carl", authority)
    issue(tmp_path, "other", authority)
    issue(tmp_path, "stranger")
    (tmp_path / "rules.conf").write_text("[security]" + RULES.format(directory=tmp_path))

    def certificate(name: str) -> dict[str, str]:
        return {"sslcert": str(tmp_path / f"{name}.crt"), "sslkey": str(tmp_path / f"{name}.key"), "sslmode": "require"}

    node = make_node("--config", str(tmp_path / "rules.conf"))
    assert (node.data_dir / "tls.key").stat().st_mode & 0o777 == 0o600
    with node.connect(user="helios", sslmode="require") as admin:
        admin.execute(f"create role carl login; create role staff; create role sue login password '{CANARY}'")
        admin.execute("grant staff to sue; create role late login password 'x' valid until '2020-01-01' in role staff")
        found = admin.execute("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()").fetchall()
        assert found == [(True, "TLSv1.3")]
        rules = admin.execute("select line_number, auth_method from pg_hba_file_rules").fetchall()
        assert rules == [(1, "cert"), (2, "reject"), (3, "trust"), (4, "scram-sha-256")]
    with node.connect(user="carl", **certificate("carl")) as carl:
        shown = carl.execute("select current_user, client_dn from pg_stat_ssl where pid = pg_backend_pid()")
        assert shown.fetchall() == [("carl", "/CN=carl")]
    refused(node, "connection requires a valid client certificate", user="carl", sslmode="require")
    with pytest.raises(psycopg.OperationalError):
        node.connect(user="carl", **certificate("stranger"))
    refused(node, 'certificate authentication failed for user "carl"', user="carl", **certificate("other"))
    where = 'host "127.0.0.1", user "carl", database "heliosdb", no encryption'
    refused(node, f"no pg_hba.conf entry for {where}", user="carl", sslmode="disable")
    refused(node, "pg_hba.conf rejects connection for host", user="mallory", sslmode="disable")
    with node.connect(user="sue", password=CANARY, sslmode="require", channel_binding="require") as sue:
        assert sue.execute("select current_user").fetchall() == [("sue",)]
    refused(node, "password authentication failed", user="late", password="x", sslmode="disable")
    with node.connect(user="helios") as admin:
        kinds = {row[0] for row in admin.execute("select kind from helios_events").fetchall()}
        told = admin.execute("select message from helios_events where kind = 'login_failed' order by id").fetchall()
    assert told[0][0].startswith("login of 'carl' from 127.0.0.1 failed: the certificate is for \"other\"")
    assert {"role_changed", "login_failed", "hba_refused"} <= kinds


def test_a_password_may_come_as_the_verifier_that_a_client_made(tmp_path: Path) -> None:
    verifier = scram.build_verifier("from the client", b"0123456789abcdef")
    with InnerNode(tmp_path) as node:
        with node.connect(user="helios") as admin:
            assert admin.execute("show password_encryption").fetchall() == [("scram-sha-256",)]
            admin.execute(f"create role pat login password '{verifier}'")
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                admin.execute(f"create role five login password 'md5{hashlib.md5(b'').hexdigest()}'")
            stored = admin.execute("select rolpassword from pg_authid where rolname = 'pat'").fetchall()
            assert stored == [(str(verifier),)]
        with node.connect(user="pat", password="from the client") as pat:
            assert pat.execute("select 1").fetchall() == [(1,)]


def places(directory: Path, logged: Path, pid: int, texts: dict[str, str]) -> list[str]:
    """Where the canary is: files that the node wrote, its log, its command line and what it answers."""
    files = [path for path in directory.rglob("*") if path.is_file()] + [logged]
    held = {str(path): path.read_bytes() for path in files}
    held["command line"] = Path(f"/proc/{pid}/cmdline").read_bytes()
    held |= {name: text.encode() for name, text in texts.items()}
    return [name for name, data in held.items() if CANARY.encode() in data]


def test_a_password_is_seen_nowhere(make_node: Callable[..., NodeProcess]) -> None:
    node = make_node(start=False)
    node.program = True
    node.start()
    texts: dict[str, str] = {}
    with node.connect(user="helios") as admin, node.connect(user="helios") as watcher:
        admin.execute(f"create role admin superuser login password '{CANARY}'")
        admin.execute(f"alter role admin with encrypted password $q${CANARY}$q$")
        admin.execute(f"prepare p as select 1; create user second password '{CANARY}'", prepare=False)
        admin.execute(f"create user third password '{CANARY}'", prepare=True)
        for number, wrong in enumerate(
            (
                f"create role admin password '{CANARY}'",
                f"create role x password '{CANARY}' nonsense",
                f"create role x password '{CANARY}' valid until 'garbage'",
            )
        ):
            with pytest.raises(psycopg.Error):
                admin.execute(wrong.encode())
            activity = watcher.execute("select query from pg_stat_activity").fetchall()
            texts[f"pg_stat_activity {number}"] = repr(activity)
        for relation in ("pg_authid", "pg_shadow", "helios_events", "pg_prepared_statements", "pg_settings"):
            texts[relation] = repr(watcher.execute(f"select * from {relation}").fetchall())
    with pytest.raises(psycopg.OperationalError) as caught:
        node.connect(user="helios", password=CANARY)
    texts["refusal"] = str(caught.value)
    with node.connect(user="admin", password=CANARY) as admin:
        admin.execute("checkpoint")
    for path in ("metrics", "status", "health"):
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/{path}", timeout=10) as answer:
            texts[path] = answer.read().decode()
    assert places(node.data_dir, node.log_path, node.pid, texts) == []


def test_the_user_command_sends_no_password(make_node: Callable[..., NodeProcess]) -> None:
    node = make_node()

    def user(*words: str, password: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "helios_cli", "user", *words]
        given = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(node.pg_port), "PGUSER": "helios", **environ}
        return subprocess.run(command, input=password, capture_output=True, text=True, env=given, timeout=60)

    refusal = user("create", "app", "--preset", "read-write", "--password-stdin", password=CANARY)
    assert refusal.returncode == 5 and "no administrator has a password" in refusal.stderr
    assert user("password", "helios", "--password-stdin", password=CANARY).returncode == 0
    made = user("create", "app", "--preset", "read-only", "--json", HELIOSDB_NEW_PASSWORD="a", PGPASSWORD=CANARY)
    assert made.returncode == 0 and "********" in made.stdout
    listed = user("list", "--json", PGPASSWORD=CANARY)
    assert '"member_of": ["pg_read_all_data"]' in listed.stdout
    with node.connect(user="helios", password=CANARY) as admin:
        admin.execute("create table seen(a int); insert into seen values (1)")
    with node.connect(user="app", password="a") as app:
        assert app.execute("select * from seen").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("insert into seen values (2)")
    assert user("drop", "app", "--reassign-to", "helios", PGPASSWORD=CANARY).returncode == 0
    assert places(node.data_dir, node.log_path, node.pid, {"out": made.stdout + made.stderr + listed.stdout}) == []
