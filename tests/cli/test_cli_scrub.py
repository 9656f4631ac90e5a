"""``scrub`` against a node whose file is rotten, and what ``health`` says of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until

from helios_cli.cli import main
from helios_cli.commands.scrub import bar
from helios_cli.engine.node import page_repair
from helios_cli.engine.types import PAGE_SIZE

ROTTEN = 100
"""One of the pages with rows."""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def rot(node: InnerNode) -> None:
    with node.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
        writer.execute("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 2000) i")
        writer.execute("CHECKPOINT")
    os.pwrite(node.node.checkpointer._file, bytes(50), (ROTTEN - 1) * PAGE_SIZE + 1000)


def test_the_outcome_is_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with InnerNode(tmp_path) as node:
        rot(node)
        where = ("--data-dir", node.settings.data_dir, "--node", f"127.0.0.1:{node.settings.http_port}")
        with monkeypatch.context() as patch:
            patch.setattr(page_repair, "in_log", lambda *_: {})
            code, out, err = run(capsys, "scrub", *where, "--wait", "--rate-mb", "0")
            assert code == 6 and f"1 damaged ({ROTTEN})" in out and "does not reach back" in out
            code, out, _ = run(capsys, "health", *where)
            assert code == 0 and out.startswith(f"ok\nalarm: page {ROTTEN} of the database file is damaged")
        code, out, err = run(capsys, "scrub", *where, "--wait", "--json")
        (record,) = json.loads(out)["scrubs"]
        assert (code, record["pages_bad"], record["pages_repaired"], err) == (0, 0, 1, "")
        assert run(capsys, "health", *where)[:2] == (0, "ok\n")
        code, out, _ = run(capsys, "scrub", *where)
        assert code == 0 and "reading" in out
        wait_until(lambda: not node.node.scrub.running, "it is over")
        code, out, err = run(capsys, "scrub", *where, "--rate-mb", "-1")
        assert code == 2


def test_it_is_asked_for_with_the_secret_of_the_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "cluster.secret"
    secret.write_text("the secret of all the nodes\n")
    secret.chmod(0o600)
    with InnerNode(tmp_path, cluster_secret_file=str(secret)) as node:
        where = ("--node", f"127.0.0.1:{node.settings.http_port}", "--cluster-secret-file", str(secret))
        code, out, _ = run(capsys, "scrub", *where, "--wait", "--rate-mb", "0")
        assert code == 0 and "none is damaged" in out


def test_the_bar_shows_how_far_it_is() -> None:
    assert bar(0, 0) == "[....................]   0% 0 of 0 pages"
    assert bar(50, 100) == "[##########..........]  50% 50 of 100 pages"
    assert bar(101, 100).startswith("[####################] 100%")
