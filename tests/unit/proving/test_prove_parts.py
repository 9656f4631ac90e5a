"""The parts of ``prove`` that need no cluster: outages, the plan, the timeline, and signed reports."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest

from helios_cli.cli import main
from helios_cli.commands.proving import outages, signature
from helios_cli.commands.proving.plan import Plan, chosen, turns
from helios_cli.commands.proving.prover import Done, Evidence
from helios_cli.commands.proving.report import losses_s
from helios_cli.commands.proving.timeline import Event, picture
from helios_cli.engine.errors import ConfigError, HeliosError

REPORT = {
    "format": "heliosdb-prove 1", "run": "r1", "verdict": "passed", "product": "1", "began": "2026-01-01T00:00:00Z",
    "seconds": 1.5, "cluster": {"mode": "quorum", "nodes": [{}, {}, {}]}, "plan": {"seed": 4},
    "faults": [{"name": "kill"}], "load": {"acknowledged": 7},
    "rpo": {"lost_rows": 0, "ms": {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0, "samples": 1}},
    "rto_ms": {"p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0, "samples": 8},
    "checks": [{"name": "once", "text": "no write is there twice", "promised": True, "passed": True}], "findings": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "longest"),
    [
        ([], 10.0),
        ([11.0], 9.0),
        ([10.5, 12.5, 13.0], 7.0),
        ([9.0, 10.1, 19.9, 26.0], 9.8),
        ([10.1, 18.0, 26.0], 8.0),
    ],
)
def test_the_longest_wait_begins_within_the_fault(answers: list[float], longest: float) -> None:
    assert outages.outage_s(answers, 10.0, 20.0) == pytest.approx(longest)


def test_percentiles_are_values_that_were_there() -> None:
    found = outages.distribution_ms([number / 1000 for number in range(100, 0, -1)])
    assert found == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0, "samples": 100}
    assert outages.distribution_ms([]) == {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0, "samples": 0}


def test_a_seed_repeats_the_order_and_every_round_has_every_fault() -> None:
    plan = Plan(("kill", "freeze"), 5, 0.0, 42, 1, 1.0)
    order = [(one.round_number, one.fault.name, one.variant) for one in turns(plan)]
    assert order == [(one.round_number, one.fault.name, one.variant) for one in turns(plan)]
    assert [sorted(name for number, name, _ in order if number == wanted) for wanted in range(1, 6)] == [
        ["freeze", "kill"]
    ] * 5
    assert [variant for _, name, variant in order if name == "kill"] == [0, 1, 2, 0, 1]
    endless = Plan(("kill",), 1, 9.0, 42, 1, 1.0)
    assert len(list(itertools.islice(turns(endless), 50))) == 50


def test_what_a_fault_has_lost_is_the_time_from_the_first_write_that_is_gone() -> None:
    def done(at_s: float, until_s: float) -> Done:
        return Done(1, "kill", "n1", "", at_s, until_s, ())

    faults = [done(1.0, 2.0), done(5.0, 7.0), done(9.0, 9.5)]
    lost = {(1, 1): 100.4, (1, 2): 100.9, (2, 1): 104.9, (2, 2): 106.0}
    assert losses_s(Evidence(began=100.0, faults=faults, lost=lost)) == [pytest.approx(0.6), pytest.approx(1.1), 0.0]
    assert losses_s(Evidence(began=100.0, faults=faults)) == [0.0, 0.0, 0.0] and losses_s(Evidence()) == []


def test_faults_by_name() -> None:
    assert chosen("freeze, kill") == ("kill", "freeze")
    for wrong in ("", ",", "kill,flood"):
        with pytest.raises(ConfigError, match="no fault"):
            chosen(wrong)


def test_the_picture_leaves_an_outage_blank_and_marks_the_fault() -> None:
    answers = [at / 10 for at in range(100) if not 40 <= at < 60]
    bars, marks, scale, legend = picture(answers, 10.0, [Event(4.0, "fault", "x"), Event(5.0, "lead", "y")], width=10)
    assert (bars, marks, scale) == ("████  ████", "    ✗▲", "0     10 s")
    assert legend.startswith("10 writes/s at most")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("", "faults = true is to stand in c/cluster.toml"),
        ("faults = true", "n1 is down"),
        ('netns = "heliosdb-1"', "its processes have network namespaces"),
    ],
)
def test_a_fault_that_a_cluster_was_not_started_for_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c").mkdir()
    node = 'name = "n1"\nrole = "primary"\nmode = "async"\npg_port = 1\nnative_port = 2\nhttp_port = 3\n'
    Path("c/cluster.toml").write_text(f"{lines}\n[[nodes]]\n{node}")
    for name in ("clock", "slow-disk", "slow-link"):
        assert main(["prove", "--dir", "c", "--faults", f"kill,{name}", "--dry-run"]) == 1
        err = capsys.readouterr().err
        assert f"not possible here: {name}: {why}" in err and "hint: Without it: --faults kill." in err
    assert main(["prove", "--dir", "c", "--faults", "kill", "--dry-run"]) == 0


# Signatures -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings" / "prove.key"
    monkeypatch.setenv(signature.KEY_VARIABLE, str(path))
    return path


@pytest.fixture
def report(tmp_path: Path, key: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_bytes(signature.signed(REPORT, signature.load_key(key)))
    return path


def test_a_key_is_made_once_and_for_its_owner_alone(key: Path) -> None:
    first = signature.public_text(signature.load_key(key))
    assert key.stat().st_mode & 0o777 == 0o600
    assert signature.public_text(signature.load_key(key)) == first
    assert [one.name for one in key.parent.iterdir()] == [key.name]
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others"):
        signature.load_key(key)
    key.chmod(0o600)
    key.write_text("nonsense")
    with pytest.raises(ConfigError, match="is no private key"):
        signature.load_key(key)


def test_a_report_is_verified_and_says_who_signed_it(
    report: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prove", "verify", str(report)]) == 0
    out = capsys.readouterr().out
    assert "by the key of this machine: SHA256:" in out and out.splitlines()[-1] == "VERDICT: passed."
    public = signature.public_text(signature.load_key(key))
    assert main(["prove", "verify", str(report), "--public-key", public, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["own_key"] is True
    os.environ[signature.KEY_VARIABLE] = str(key.with_name("other.key"))
    assert main(["prove", "verify", str(report)]) == 0
    assert "a key that is not this machine's" in capsys.readouterr().out
    other = signature.public_text(signature.load_key(key.with_name("other.key")))
    assert main(["prove", "verify", str(report), "--public-key", other]) == 1
    assert "is signed by another key" in capsys.readouterr().err


def test_a_report_that_says_failed_fails(tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "failed.json"
    path.write_bytes(signature.signed(REPORT | {"verdict": "failed"}, signature.load_key(key)))
    assert main(["prove", "verify", str(path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "VERDICT: FAILED."


def test_any_changed_byte_is_noticed(report: Path) -> None:
    data = report.read_bytes()
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(HeliosError):
            signature.verify(changed, "it")
    for changed in (data + b" ", data[:-1], data.replace(b"\n ", b"\n", 1), b"", b"{}", b"[]"):
        with pytest.raises(HeliosError):
            signature.verify(changed, "it")
    signature.verify(data, "it")


def test_a_changed_report_ends_in_one_line_and_exit_code_1(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report.write_bytes(report.read_bytes().replace(b'"lost_rows": 0', b'"lost_rows": 1'))
    assert main(["prove", "verify", str(report)]) == 1
    assert "report.json is not what was signed" in capsys.readouterr().err
    assert main(["prove", "verify", str(report.with_name("none.json"))]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_what_is_not_possible_is_refused_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["prove", "--faults", "flood", "--dry-run"]) == 2
    assert "hint: They are kill, freeze, partition" in capsys.readouterr().err
    assert main(["prove", "--mode", "slow", "--dry-run"]) == 2
    assert main(["prove", "--rounds", "2", "--seed", "1", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [one["name"] for one in plan["faults"]].count("kill") == 2
    assert list(tmp_path.iterdir()) == []
