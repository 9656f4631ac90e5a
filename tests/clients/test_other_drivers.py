"""node-postgres and the JDBC driver at work. They are skipped where the runtime or the driver is not installed.

tools/client_packages.sh installs both where it can; Debian has them as node-pg and libpostgresql-jdbc-java. NODE_PATH
and JDBC_DRIVER name other places.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import find_program
from support.node_process import NodeProcess

PROGRAMS = Path(__file__).parent / "programs"
DRIVER = Path(os.environ.get("JDBC_DRIVER", "/usr/share/java/postgresql.jar"))
OWN_MODULES = Path(__file__).parent / "node" / "node_modules"
MODULES = os.environ.get("NODE_PATH") or str(OWN_MODULES if OWN_MODULES.exists() else "/usr/share/nodejs")


def run(server: NodeProcess, *command: str) -> str:
    environment = server.environment() | {"NODE_PATH": MODULES, "TZ": "UTC"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_node_postgres(server: NodeProcess) -> None:
    node = find_program("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    if not (Path(MODULES) / "pg").exists():
        pytest.skip(f"node-postgres is not in {MODULES}")
    assert json.loads(run(server, node, str(PROGRAMS / "node_postgres.js"))) == {
        "row": {"id": 1, "n": "1.50", "j": {"k": [1, None]}, "t": "2024-02-29T00:00:00.000Z", "b": "00ff",
                "a": [1, None, 3]},
        "named": [1, 0], "array": [[1, 2]], "several": [{"one": 1}, {"two": 2}],
        "error": ["23505", "js_pkey", "js", "Key (id)=(1) already exists."], "heard": "word", "left": "1",
    }  # fmt: skip


def test_jdbc(server: NodeProcess) -> None:
    java = find_program("java")
    if java is None:
        pytest.skip("Java is not installed")
    if not DRIVER.exists():
        pytest.skip(f"the JDBC driver is not at {DRIVER}")
    url = f"jdbc:postgresql://127.0.0.1:{server.pg_port}/heliosdb?user=postgres"
    lines = run(server, java, "-cp", str(DRIVER), str(PROGRAMS / "Jdbc.java"), url).splitlines()
    assert lines == [
        "batch=[1, 1, 1]", "keys=1,2,3",
        "round0=2/1.50/{1,NULL}/true,3/1.50/{2,NULL}/true", 'round6=2/1.50/{"1",NULL}/true,3/1.50/{"2",NULL}/true',
        "cursor=1,2,3,4,5", "tables=child/TABLE,parent/TABLE",
        "columns=id/serial/10/0/YES,name/varchar/20/0/NO,n/numeric/10/1/NO,a/_int4/10/1/NO",
        "primary=x/1/child_pkey,y/2/child_pkey", "imported=parent/y/child_y_fkey",
        "indexes=parent_pkey/false/id,parent_name/true/name", "maximum=32", "error=23503",
    ]  # fmt: skip
