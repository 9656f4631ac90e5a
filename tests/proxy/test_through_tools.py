"""pgbench, psql and libpq's own test of pipelines through the proxy in transaction pooling."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.proxied import Proxied

SCALE = 1


def run(proxied: Proxied, program: str, *arguments: str, script: str = "", check: bool = True) -> str:
    done = subprocess.run(
        [program, *arguments], env=proxied.proxy.environment(), input=script, capture_output=True, text=True,
        timeout=110, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.needs("pgbench")
def test_pgbench_in_every_mode(proxied: Proxied, program: Callable[[str], str]) -> None:
    pgbench = program("pgbench")
    run(proxied, pgbench, "-i", "-q", "-s", str(SCALE))
    proxied.prepare()
    count = 0
    for protocol in ("simple", "extended", "prepared"):
        for workload in (["-S"], ["-N"], []):
            told = run(proxied, pgbench, "-n", "-c", "8", "-j", "2", "-t", "25", "-M", protocol, *workload)
            assert "number of transactions actually processed: 200/200" in told, told
            assert "number of failed transactions: 0 " in told, told
            count += 0 if workload == ["-S"] else 200
    ((rows, deltas, balances),) = proxied.truth(
        "SELECT (SELECT count(*) FROM pgbench_history), (SELECT sum(delta) FROM pgbench_history), "
        "(SELECT sum(abalance) FROM pgbench_accounts)"
    )
    assert (rows, deltas) == (count, balances)


@pytest.mark.needs("pgbench")
def test_pgbench_pipelines(proxied: Proxied, program: Callable[[str], str], tmp_path: Path) -> None:
    proxied.prepare("DROP TABLE IF EXISTS benched", "CREATE TABLE benched (client int, n int)")
    script = tmp_path / "pipeline.sql"
    script.write_text(
        "\\startpipeline\nINSERT INTO benched VALUES (:client_id, 1);\nSELECT count(*) FROM benched;\n\\endpipeline\n"
    )
    for protocol in ("extended", "prepared"):
        told = run(proxied, program("pgbench"), "-n", "-c", "6", "-t", "20", "-M", protocol, "-f", str(script))
        assert "number of transactions actually processed: 120/120" in told, told
    assert proxied.truth("SELECT count(*) FROM benched") == [(240,)]


SCRIPT = r"""
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
DROP TABLE IF EXISTS shelf; CREATE TABLE shelf (id int PRIMARY KEY, name text);
\copy shelf FROM pstdin WITH (FORMAT csv)
1,one
2,"two, or more"
\.
SELECT format('INSERT INTO shelf VALUES (%s, %L)', g, 'made ' || g) FROM generate_series(3, 5) AS g \gexec
SELECT count(*) AS total FROM shelf \gset
\echo total :total
BEGIN; UPDATE shelf SET name = upper(name) WHERE id = 1; SELECT name FROM shelf WHERE id = 1; COMMIT;
SELECT name FROM shelf WHERE id = 1 \; SELECT count(*) FROM shelf;
\copy (SELECT * FROM shelf ORDER BY id LIMIT 2) TO STDOUT
LISTEN shelf_news;
NOTIFY shelf_news, 'fresh';
"""


@pytest.mark.needs("psql")
def test_psql(proxied: Proxied, program: Callable[[str], str]) -> None:
    psql = program("psql")
    told = run(proxied, psql, "-X", "-q", "-f", "-", script=SCRIPT).splitlines()
    assert [line for line in told if not line.startswith(("NOTICE", "psql:"))][:6] == [
        "total 5", "ONE", "ONE", "5", "1\tONE", "2\ttwo, or more",
    ]  # fmt: skip
    assert any('Asynchronous notification "shelf_news" with payload "fresh" received' in line for line in told)
    told_too = run(proxied, psql, "-X", "-q", "-c", r"\d shelf", "-c", r"\dt shelf", "-c", r"\l")
    assert "shelf_pkey" in told_too
    failed = run(proxied, psql, "-X", "-v", "ON_ERROR_STOP=1", "-c", "SELECT 1; SELECT nope", check=False)
    assert 'column "nope" does not exist' in failed
    one = run(proxied, psql, "-X", "-1", "-c", "INSERT INTO shelf VALUES (10, 'a')", "-c", "SELECT 1/0", check=False)
    assert "division by zero" in one
    assert proxied.truth("SELECT count(*) FROM shelf") == [(5,)]


PIPELINES = [
    "disallowed_in_pipeline", "multi_pipelines", "nosync", "pipeline_abort", "pipeline_idle", "pipelined_insert",
    "prepared", "simple_pipeline", "singlerow", "transaction", "uniqviol",
]  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_libpq_pipeline(proxied: Proxied, name: str) -> None:
    found = os.environ.get("LIBPQ_PIPELINE", "")
    if not Path(found).is_file():
        pytest.skip("LIBPQ_PIPELINE names no libpq_pipeline of PostgreSQL's src/test/modules")
    proxy = proxied.proxy
    place = f"host=127.0.0.1 port={proxy.pg_port} dbname={proxy.database} user={proxy.user}"
    done = subprocess.run([found, "-r", "300", name, place], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
