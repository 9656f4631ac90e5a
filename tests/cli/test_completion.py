"""What TAB offers in bash, zsh and fish: verbs, flags, the values of flags, nodes of a cluster, playbooks, runs."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from support.node_process import ROOT

SCRIPTS = ROOT / "completions"
CLUSTER = """faults = true
[[nodes]]
name = "primary"
role = "primary"

[[nodes]]
name = "standby-sync"
role = "standby"

[proxy]
pg_port = 5400
"""
FILES = ("mine.toml",)
"""What fish offers by itself."""

LINES = [
    ("heliosdb-nano clus", ["cluster"]),
    ("heliosdb-nano cluster fr", ["freeze"]),
    ("heliosdb-nano cluster kill ", ["@primary", "primary", "proxy", "standby-sync"]),
    ("heliosdb-nano cluster kill st", ["standby-sync"]),
    ("heliosdb-nano cluster kill @pr", ["@primary"]),
    ("heliosdb-nano cluster kill --dr", ["--dry-run"]),
    ("heliosdb-nano cluster logs pro", ["proxy"]),
    ("heliosdb-nano standby remove ", ["primary", "standby-sync"]),
    ("heliosdb-nano switchover --to stand", ["standby-sync"]),
    ("heliosdb-nano cluster up --mode se", ["semi-sync"]),
    ("heliosdb-nano whatif ", ["cut", "lose", "primary", "standby-sync"]),
    ("heliosdb-nano playbook run fail", ["failover-drill"]),
    ("heliosdb-nano playbook resume ", ["20261123T112046-failover-drill"]),
    ("heliosdb-nano playbook run mi", ["mine.toml"]),
    ("heliosdb-nano config set statement_t", ["statement_timeout"]),
    ("heliosdb-nano workload ycsb ", ["a", "b", "c", "d", "e", "f"]),
    ("heliosdb-nano workload ledger ver", ["verify"]),
    ("heliosdb-nano completion f", ["fish"]),
    ("heliosdb-nano cluster kill --dir elsewhere ", ["@primary", "other"]),
    ("heliosdb-cli --ho", ["--host"]),
    ("heliosdb-proxy --config mi", ["mine.toml"]),
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where one stands: a cluster, a run, a file, and another cluster."""
    (tmp_path / "heliosdb-cluster" / "playbooks" / "20261123T112046-failover-drill").mkdir(parents=True)
    (tmp_path / "heliosdb-cluster" / "cluster.toml").write_text(CLUSTER)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "cluster.toml").write_text('[[nodes]]\nname = "other"\n')
    (tmp_path / "mine.toml").touch()
    return tmp_path


def said(command: list[str], place: Path) -> list[str]:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(place), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=place, env=environment, check=False)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return sorted({line for line in done.stdout.splitlines() if line})


@pytest.mark.needs("bash")
@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_bash(place: Path, line: str, expected: list[str]) -> None:
    words = shlex.split(line.replace("@", "@ ")) + ([""] if line.endswith(" ") else [])  # as bash breaks it
    script = SCRIPTS / f"{words[0]}.bash"
    code = f"""source {script}
        COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
        _{words[0].replace("-", "_")} && printf '%s\\n' "${{COMPREPLY[@]}}" """
    assert said(["bash", "--norc", "-c", code], place) == expected


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_fish(place: Path, line: str, expected: list[str]) -> None:
    code = f"source {SCRIPTS}/{line.split()[0]}.fish; complete -C {shlex.quote(line)}"
    found = [one.partition("\t")[0] for one in said(["fish", "--no-config", "-c", code], place)]
    assert [one for one in found if one not in FILES] == [one for one in expected if one not in FILES]


ZSH = """
_describe() { for one in ${(P)2}; do [[ $one == $PREFIX* ]] && print -r -- ${one%%:*}; done }
compadd() { for one in ${(P)2}; do [[ $one == $PREFIX* ]] && print -r -- $one; done }
_files() { for one in $PREFIX*(N); do print -r -- $one; done }
"""
"""What the completion system would do, without a terminal."""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_zsh(place: Path, line: str, expected: list[str]) -> None:
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    code = f"""{ZSH}
        words=({" ".join(map(shlex.quote, words))}) CURRENT={len(words)} PREFIX={shlex.quote(words[-1])}
        service={words[0]} source {SCRIPTS}/_heliosdb-nano; true"""
    assert said(["zsh", "-f", "-c", code], place) == expected
