"""The benchmark's arithmetic, its reading of pgbench's output, and its reports."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from bench import cells, chart, pgbench, replication, report, resources
from bench.__main__ import make_plan, parser
from bench.pgbench import RunFailed
from bench.profile_node import ProfiledServer, tables
from bench.results import Better, Measurement, exit_code, median, ratio
from bench.sampling import Sampler

OUTPUT = """pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: <builtin: select only>
scaling factor: 10
query mode: prepared
number of clients: 8
number of threads: 2
maximum number of tries: 1
duration: 5 s
number of transactions actually processed: 170811
number of failed transactions: 0 (0.000%)
latency average = 0.234 ms
initial connection time = 12.437 ms
tps = 34221.114405 (without initial connection time)
"""


def test_pgbench_output() -> None:
    assert pgbench.parse(OUTPUT) == pgbench.Run(34221.114405, 0.234, 170811)
    with pytest.raises(RunFailed, match="3 transactions failed"):
        pgbench.parse(OUTPUT.replace("failed transactions: 0", "failed transactions: 3"))
    with pytest.raises(RunFailed, match="no tps"):
        pgbench.parse(OUTPUT.replace("tps =", "tpm ="))


def test_median_and_ratio() -> None:
    assert median([]) is None
    assert median([3, 1, 2]) == 2
    assert median([4, 1]) == 2.5
    assert ratio(50, 100, "higher") == 0.5
    assert ratio(50, 100, "lower") == 2
    assert ratio(None, 100, "higher") is None
    assert ratio(1, 0, "higher") is None


@pytest.mark.parametrize(
    ("ours", "theirs", "must", "errors", "verdict", "full", "quick"),
    [
        ([80.0, 10.0, 90.0], [100.0], 0.8, [], "met", 0, 0),
        ([79.0], [100.0], 0.8, [], "missed", 1, 0),
        ([79.0], [100.0], None, [], "", 0, 0),
        ([79.0], [], 0.8, [], "skipped", 0, 0),
        ([], [100.0], 0.8, ["ours: it broke"], "failed", 1, 1),
        ([], [100.0], None, ["ours: it broke"], "failed", 0, 0),
    ],
)
def test_verdicts_and_exit_codes(
    ours: list[float], theirs: list[float], must: float | None, errors: list[str], verdict: str, full: int, quick: int
) -> None:
    measurement = Measurement("x", "tps", must=must, ours=ours, theirs=theirs, errors=errors)
    assert measurement.verdict == verdict
    assert exit_code([measurement], full=True) == full
    assert exit_code([measurement], full=False) == quick


def test_every_demanded_cell_is_measured() -> None:
    musts = {cell.name: cell.must for cell in cells.pgbench_cells() if cell.must is not None}
    assert musts == {
        **{f"select-8-{protocol}": 0.5 for protocol in ("simple", "prepared")},
        **{f"select-64-{protocol}": 0.8 for protocol in ("simple", "prepared")},
        **{f"update-8-{protocol}": 0.7 for protocol in ("simple", "prepared")},
        **{f"update-64-{protocol}": 1.2 for protocol in ("simple", "prepared")},
        **{f"tpcb-{count}-{protocol}": 0.4 for count in (8, 64) for protocol in ("simple", "prepared")},
    }
    assert len(cells.pgbench_cells()) == 9 + 6 + 6


def test_options_of_cells() -> None:
    by_name = {cell.name: cell for cell in cells.pgbench_cells()}
    scripts = {"update": "u.sql"}
    assert by_name["select-8-extended"].options(scripts, 10) == ["-M", "extended", "-S"]
    assert by_name["update-1-simple"].options(scripts, 10) == ["-M", "simple", "-f", "u.sql", "-D", "scale=10"]
    assert by_name["tpcb-64-prepared"].options(scripts, 10) == ["-M", "prepared"]


def test_plan() -> None:
    full = make_plan(parser().parse_args([]))
    assert (full.rounds, full.seconds, full.copy_rows) == (5, 20, 1_000_000)
    quick = make_plan(parser().parse_args(["--quick"]))
    assert (quick.rounds, quick.seconds) == (1, 5)
    assert quick.wants("select-8-simple", quick=True)
    assert not quick.wants("select-1-simple", quick=False)
    only = make_plan(parser().parse_args(["--quick", "--only", "select-1-"]))
    assert only.wants("select-1-simple", quick=False)
    assert not only.wants("select-8-simple", quick=True)


def some_measurements() -> list[Measurement]:
    return [
        Measurement("select-8-simple", "tps", must=0.5, ours=[1.0, 3.0, 2.0], theirs=[4.0]),
        Measurement("memory-idle", "MB", "lower", ours=[50.0], theirs=[100.0]),
        Measurement("copy", "rows/s", must=0.15, theirs=[5.0], errors=["ours: no such thing"]),
        Measurement("log-per-update", "bytes", "lower"),
    ]


def test_report_json(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "bench.json"
    report.write_json(path, report.document(some_measurements(), {"server_ours": "15.0"}, {"rounds": 3}))
    read = json.loads(path.read_text())
    select, memory, copy, _ = read["measurements"]
    assert select["ours"] == {"rounds": [1, 3, 2], "median": 2}
    assert (select["ratio"], select["must"], select["verdict"]) == (0.5, 0.5, "met")
    assert memory["ratio"] == 2
    assert copy["verdict"] == "failed"
    assert read["versions"]["server_ours"] == "15.0"
    assert read["machine"]["processors"] >= 1


def test_table_shows_every_cell() -> None:
    view = report.table(some_measurements())
    assert view.row_count == 4
    assert list(view.columns[4].cells) == ["0.50", "2.00", "-", "-"]


def test_chart(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "bench.png"
    assert not chart.draw([Measurement("x", "tps")], path)
    assert not path.exists()
    assert chart.draw(some_measurements(), path, "about")
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(data[16:20]) > 600


@pytest.mark.parametrize(
    ("better", "value", "verdict", "full_code"),
    [
        ("higher", 100.0, "met", 0), ("higher", 99.0, "missed", 1), ("lower", 100.0, "met", 0),
        ("lower", 101.0, "missed", 1), ("lower", None, "skipped", 0),
    ],
)  # fmt: skip
def test_a_figure_is_held_against_its_limit(better: Better, value: float | None, verdict: str, full_code: int) -> None:
    item = Measurement("x", "ms", better, limit=100.0, ours=[] if value is None else [value])
    assert item.verdict == item.record()["verdict"] == verdict
    assert item.record()["limit"] == 100
    assert exit_code([item], full=True) == full_code
    assert exit_code([item], full=False) == 0
    item.errors.append("ours: no such thing")
    assert (item.verdict, exit_code([item], full=False)) == ("failed", 1)


def test_a_limit_is_shown_with_what_was_measured() -> None:
    item = Measurement("x", "ms", "lower", limit=250.0, ours=[90.0, 100.0, 120.0], note="3 switchovers")
    view = report.table([item])
    assert [next(iter(column.cells)) for column in view.columns] == [
        "x", "ms, less is better", "100", "-", "-", "≤ 250", "met (3 switchovers)",
    ]  # fmt: skip


def test_every_figure_of_replication_has_its_limit() -> None:
    limits = {figure.name: (figure.better, figure.limit) for figure in replication.figures()}
    assert limits == {
        "replication-replay-one-row": ("higher", 50_000),
        "replication-replay-batches": ("higher", 150_000),
        "replication-replay-scattered": ("higher", None),
        "replication-lag": ("lower", 50),
        "replication-catch-up": ("lower", 60),
        "replication-switchover": ("lower", 250),
        "replication-many-standbys": ("lower", 1000),
    }
    full = make_plan(parser().parse_args([]))
    assert (full.frozen_s, full.switchovers, full.standbys) == (60, 50, 20)
    short = make_plan(parser().parse_args(["--frozen", "5", "--switchovers", "4", "--standbys", "2"]))
    assert (short.frozen_s, short.switchovers, short.standbys) == (5, 4, 2)


def test_a_figure_that_cannot_be_measured_says_why(tmp_path: Path) -> None:
    def fail(*_: object) -> tuple[list[float], str]:
        raise RuntimeError("the standby does not follow\nfor some reason")

    figure = replication.Figure("x", "s", "lower", 60, fail)
    done = figure.run(tmp_path, replication.Sizes(1, 1, 1, 1, 1), lambda text: None)
    assert done.errors == ["ours: the standby does not follow"]


def test_the_gap_is_the_longest_time_without_an_answer() -> None:
    writers = replication.Writers([], each=1)
    writers.answers = [9.0, 10.1, 10.35, 10.3, 10.9, 12.0]
    assert writers.longest_ms(10.0, 11.0) == pytest.approx(550)
    assert writers.longest_ms(10.35, 10.8) == pytest.approx(450), "nothing after the first"
    assert writers.longest_ms(11.0, 11.5) == pytest.approx(500), "none at all"


def test_copy_file_has_pgbench_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    resources.write_copy_file(path, 100_001)
    lines = path.read_text().split("\n")
    assert len(lines) == 100_002
    assert lines[0] == "1\t1\t0\t" + " " * 84
    assert lines[100_000].startswith("100001\t2\t0\t")


def spin(ended: threading.Event) -> None:
    while not ended.is_set():
        pass


def test_sampler_finds_the_busy_function() -> None:
    ended = threading.Event()
    busy = threading.Thread(target=spin, args=(ended,), name="busy")
    sampler = Sampler(0.001)
    busy.start()
    sampler.start()
    while sampler.samples.stacks["busy"] < 20:
        ended.wait(0.005)
    record = sampler.stop().record()
    ended.set()
    busy.join()
    assert sum(count for name, count in record["busy"]["total"].items() if name.endswith(" spin")) >= 20
    assert "sampler" not in record
    # Threads that other tests left behind may be busier: the tables leave out who does a tenth of the busiest.
    assert any("busy" in str(view.title) for view in tables({"busy": record["busy"]}, 5))


def test_profiled_command(tmp_path: Path) -> None:
    server = ProfiledServer(tmp_path)
    assert server.command()[1:4] == ["-m", "helios_cli", "start"]
    server.watch("sample", tmp_path / "out")
    assert server.command()[1:6] == ["-m", "bench.profiled_node", "sample", str(tmp_path / "out"), "start"]
    server.remove()
    assert not server.directory.exists()


def stat_line(sectors: int) -> str:
    """A block device's counters as Linux shows them, with so many sectors written."""
    return f"  100 5 800 30 200 6 {sectors} 40 0 50 70 0 0 0 0 1 2\n"


def test_bytes_written_are_the_block_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path.stat().st_dev
    stat = tmp_path / "devices" / f"{os.major(device)}:{os.minor(device)}" / "stat"
    stat.parent.mkdir(parents=True)
    stat.write_text(stat_line(16))
    synced: list[int] = []
    monkeypatch.setattr(os, "sync", lambda: synced.append(1))
    server = ProfiledServer(tmp_path)
    meter = resources.WriteMeter([server], tmp_path / "devices")
    assert (meter.by_device, meter.note) == (True, "counted at the block device")
    before = meter.read(server)
    stat.write_text(stat_line(24))
    assert meter.read(server) - before == 8 * 512
    assert len(synced) == 2


def test_without_a_block_device_the_processes_are_asked_and_the_result_says_so(tmp_path: Path) -> None:
    server = ProfiledServer(tmp_path)
    meter = resources.WriteMeter([server], tmp_path / "none")
    assert (meter.by_device, meter.note) == (False, "estimated from the processes' accounts")
    assert meter.read(server) == 0, "a server that does not run has written nothing"
