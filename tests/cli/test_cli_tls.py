"""``health`` and ``status`` of a node with TLS: by its settings, by a CA, and with one clear line when it cannot be."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
import trustme
from support.node_process import NodeProcess, wait_until

from helios_cli.cli import main


class Secured(NamedTuple):
    """A node with a certificate that no system trusts, and its files."""

    node: NodeProcess
    ca: Path
    config: Path


def write_certificate(authority: trustme.CA, directory: Path, name: str, *hosts: str) -> None:
    certificate = authority.issue_cert(*hosts)
    certificate.private_key_pem.write_to_path(directory / f"{name}.key")
    certificate.cert_chain_pems[0].write_to_path(directory / f"{name}.crt")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.crt")
    # The name is another than that of the address asked: the node's own file vouches for it all the same.
    write_certificate(authority, directory, "own", "db1.example.com")
    config = directory / "heliosdb.conf"
    config.write_text(f'[security]\ntls_cert = "{directory}/own.crt"\ntls_key = "{directory}/own.key"\n')
    node = NodeProcess(directory, ["--config", str(config)])
    node.start(wait=False)
    wait_until(lambda: answers(node), "the node answers", 30)
    yield Secured(node, directory / "ca.crt", config)
    node.kill()
    print(node.log_tail())


def answers(node: NodeProcess) -> bool:
    try:
        node.connect(sslmode="disable").close()
    except psycopg.OperationalError:
        return False
    return True


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def named(secured: Secured, scheme: str = "") -> str:
    return f"{scheme}127.0.0.1:{secured.node.http_port}"


@pytest.mark.parametrize("command", ["health", "status"])
def test_the_settings_of_the_node_are_enough(
    capsys: pytest.CaptureFixture[str], secured: Secured, command: str
) -> None:
    here = ["--config", str(secured.config), "--data-dir", str(secured.node.data_dir)]
    code, out, err = run(capsys, command, *here, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)
    assert run(capsys, command, *here, "--node", named(secured))[0] == 0


def test_another_certificate_than_the_settings_name_is_refused(
    capsys: pytest.CaptureFixture[str], secured: Secured, tmp_path: Path
) -> None:
    write_certificate(trustme.CA(), tmp_path, "other", "127.0.0.1")
    config = tmp_path / "heliosdb.conf"
    config.write_text(f'[security]\ntls_cert = "{tmp_path}/other.crt"\ntls_key = "{tmp_path}/other.key"\n')
    code, _, err = run(capsys, "health", "--config", str(config), "--node", named(secured))
    assert code == 3
    first, second = err.splitlines()
    assert first == f"error: {named(secured)} shows another certificate than {tmp_path}/other.crt"
    assert second.startswith("hint: ")


def test_a_ca_checks_the_name_too(capsys: pytest.CaptureFixture[str], secured: Secured) -> None:
    code, _, err = run(capsys, "health", "--node", named(secured), "--ca", str(secured.ca))
    assert code == 3
    assert err.splitlines()[0].startswith(f"error: the certificate of {named(secured)} is not trusted: ")
    assert "127.0.0.1" in err


@pytest.mark.parametrize(
    ("scheme", "says", "hint"),
    [
        ("https://", "is not trusted: ", "--ca FILE"),
        (
            "",
            "closed the connection without an answer: it speaks HTTPS alone, or is no HTTP port",
            "https://127.0.0.1:",
        ),
        (
            "http://",
            "closed the connection without an answer: it speaks HTTPS alone, or is no HTTP port",
            "https://127.0.0.1:",
        ),
    ],
)
def test_what_cannot_be_asked_says_how(
    capsys: pytest.CaptureFixture[str], secured: Secured, scheme: str, says: str, hint: str
) -> None:
    code, out, err = run(capsys, "health", "--node", named(secured, scheme))
    assert (code, out) == (3, "")
    error, advice = err.splitlines()
    assert error.startswith("error: ") and says in error
    assert advice.startswith("hint: ") and hint in advice


def test_a_ca_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], secured: Secured) -> None:
    code, _, err = run(capsys, "health", "--node", named(secured), "--ca", "/nonexistent.pem")
    assert code == 2
    assert err.splitlines()[0] == "error: cannot load the certificates in /nonexistent.pem: No such file or directory"


def test_a_node_without_tls_asked_by_tls(
    capsys: pytest.CaptureFixture[str], node: NodeProcess, secured: Secured
) -> None:
    address = f"127.0.0.1:{node.http_port}"
    assert run(capsys, "health", "--node", f"http://{address}")[0] == 0
    code, _, err = run(capsys, "health", "--node", f"https://{address}")
    assert (code, err.splitlines()[0]) == (3, f"error: {address} does not speak TLS")


def test_a_name_and_a_ca_that_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    write_certificate(authority, tmp_path, "own", "localhost")
    node = NodeProcess(tmp_path, ["--tls-cert", str(tmp_path / "own.crt"), "--tls-key", str(tmp_path / "own.key")])
    node.start(wait=False)
    try:
        wait_until(lambda: answers(node), "the node answers", 30)
        address = f"localhost:{node.http_port}"
        assert run(capsys, "health", "--node", address, "--ca", str(tmp_path / "ca.crt")) == (0, "ok\n", "")
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
        for page in ("health", "ready", "status", "metrics"):
            with urllib.request.urlopen(f"https://{address}/{page}", context=context, timeout=10) as answer:
                assert answer.status == 200
    finally:
        node.kill()
