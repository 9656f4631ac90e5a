"""``log inspect``, ``verify`` and ``dump`` on directories made here, whole and damaged."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from helios_cli.cli import main
from helios_cli.engine.log.checksum import ChecksumTable
from helios_cli.engine.log.controlrecord import ControlRecord
from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.log.segment import SEGMENT_HEADER_BYTES
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.dirlock import DirectoryLock
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term

CLUSTER = b"log-command-test"
RECORDS = 40


class Directory:
    """A data directory with a log of several segments, a chain and two terms."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.control = ControlFile.create(OsFiles(), str(path / "control"), ControlRecord(CLUSTER, bytes(16)))
        self.log = PageLog.open(OsFiles(), str(path / "log"), cluster_id=CLUSTER, segment_bytes=16 << 10)
        self.table = ChecksumTable()
        self.images: dict[int, bytes] = {}
        self.lsns: list[Lsn] = []
        rng = Random(1)
        make = RecordEncoder(Term(1, 1), last=None, db_pages=0, db_checksum=0)
        self.write(make.term_start(1_700_000_000_000_000))
        for number in range(RECORDS):
            if number == 20:
                make.term = Term(2, 5)
                self.write(make.term_start(0))
            page_no = rng.randint(1, 9)
            self.images[page_no] = rng.randbytes(900).ljust(PAGE_SIZE, b"\0")
            make.flushed_lsn = self.log.flushed
            pages = {page_no: self.images[page_no]}
            self.lsns.append(make.lsn)
            self.write(make.data(pages, 9, self.table.apply(pages, 9), 0))
            if number == 30:
                self.control.checkpoint(self.log.flushed, self.table.copy())
        self.before_chain = dict(self.images)
        parts = {number: rng.randbytes(300).ljust(PAGE_SIZE, b"\0") for number in range(1, 7)}
        for part in make.chain(parts.items(), 9, self.table.apply, 0, 2):
            self.write(part)
        self.images |= parts
        make.flushed_lsn = self.log.flushed
        self.write(make.seal(0))
        self.end = self.log.end
        self.control.update(flushed_lsn=self.log.flushed)

    def write(self, record: bytes) -> None:
        self.log.write(record)
        self.log.sync()

    def segments(self) -> list[Path]:
        return sorted((self.path / "log").glob("*.seg"))

    def spoil(self, path: Path, offset: int, data: bytes = b"rot") -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    made = Directory(tmp_path / "node")
    made.log.close()
    made.control.close()
    return made


Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, directory: Directory, *arguments: str) -> tuple[int, str, str]:
    code = main(["log", *arguments, "--data-dir", str(directory.path)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_inspect_adds_up(capsys: Capture, directory: Directory) -> None:
    code, out, err = run(capsys, directory, "inspect", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert len(found["segments"]) == len(directory.segments()) > 2
    total = found["total"]
    assert (total["first_lsn"], total["end_lsn"]) == ("0/0", str(directory.end))
    assert total["records"] == RECORDS + 2 + 3 + 1 == sum(one["records"] for one in found["segments"])
    assert total["pages"] == RECORDS + 6
    assert total["raw_bytes"] == (RECORDS + 6) * PAGE_SIZE
    assert total["stored_bytes"] == directory.end
    assert total["ratio"] == round(total["raw_bytes"] / directory.end, 2) > 1
    assert total["terms"] == [1, 2]
    assert found["control"]["flushed_lsn"] == str(directory.end)
    assert found["control"]["cluster_id"] == CLUSTER.hex()


def test_inspect_as_a_table_and_in_part(capsys: Capture, directory: Directory) -> None:
    code, out, _ = run(capsys, directory, "inspect")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split()[0] == "segment"
    assert [line.split()[0] for line in lines[1:]] == [*(path.name for path in directory.segments()), "total"]
    _, out, _ = run(capsys, directory, "inspect", "--limit", "1", "--json")
    assert [one["segment"] for one in json.loads(out)["segments"]] == [directory.segments()[-1].name]
    _, out, _ = run(capsys, directory, "inspect", "--to", "0/8", "--json")
    assert [one["segment"] for one in json.loads(out)["segments"]] == [directory.segments()[0].name]


@pytest.mark.parametrize("options", [[], ["--replay"]])
def test_verify_is_content_with_a_whole_log(capsys: Capture, directory: Directory, options: list[str]) -> None:
    code, out, err = run(capsys, directory, "verify", *options)
    assert (code, err) == (0, "")
    assert out.startswith(f"ok: {RECORDS + 6} records in {len(directory.segments())} segments")
    assert ("checksums compared from 0/0" in out) == bool(options)


def test_replay_from_the_last_checkpoint_when_the_beginning_is_gone(capsys: Capture, directory: Directory) -> None:
    directory.segments()[0].unlink()
    code, out, _ = run(capsys, directory, "verify", "--replay", "--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (0, True)
    checkpoint = directory.control.record.checkpoint_lsn
    assert found["replayed_from"] == str(checkpoint) != "0/0"
    for path in (directory.path / "control").glob("checksums.*"):
        path.unlink()
    code, _, err = run(capsys, directory, "verify", "--replay")
    assert code == 1
    assert 'Leave out "--replay"' in err


def test_replay_finds_a_checksum_that_is_wrong(capsys: Capture, tmp_path: Path) -> None:
    made = Directory(tmp_path / "node")
    wrong = RecordEncoder(Term(2, 5), last=made.log.last, db_pages=9, db_checksum=made.table.total ^ 1)
    lsn = wrong.lsn
    made.write(wrong.seal(0))
    made.log.close()
    assert run(capsys, made, "verify")[0] == 0
    code, out, err = run(capsys, made, "verify", "--replay")
    assert code == 1
    assert str(lsn) in out
    assert "a replay gives the database checksum" in err


@pytest.mark.parametrize("which", [0, -1])
def test_verify_tells_where_a_record_is_damaged(capsys: Capture, directory: Directory, which: int) -> None:
    path = directory.segments()[which]
    directory.spoil(path, SEGMENT_HEADER_BYTES + 60)
    code, out, err = run(capsys, directory, "verify", "--json")
    found = json.loads(out)
    assert (code, found["ok"]) == (1, False)
    (problem,) = found["problems"]
    assert problem["segment"] == path.name
    assert problem["offset"] == SEGMENT_HEADER_BYTES
    assert problem["lsn"] == str(Lsn(int(path.name[:16], 16)))
    assert problem["damage"] is True
    assert f"damage: {path.name} at byte {SEGMENT_HEADER_BYTES}: " in err
    assert "restore a backup" in err
    code, out, _ = run(capsys, directory, "verify")
    assert code == 1
    assert "damaged: " in out


def test_verify_finds_a_damaged_segment_header_and_a_gap(capsys: Capture, directory: Directory) -> None:
    first, second, third, *_ = directory.segments()
    directory.spoil(first, 50)
    _, out, _ = run(capsys, directory, "verify", "--json")
    assert ["header fails its checksum" in one["problem"] for one in json.loads(out)["problems"]] == [True]
    second.unlink()
    first.unlink()
    third.rename(third)
    assert run(capsys, directory, "verify")[0] == 0, "a log may begin anywhere"


def test_verify_finds_a_missing_segment(capsys: Capture, directory: Directory) -> None:
    missing = directory.segments()[1]
    missing.unlink()
    code, out, _ = run(capsys, directory, "verify", "--json")
    reasons = [one["problem"] for one in json.loads(out)["problems"]]
    assert code == 1
    assert any(f"segment {missing.name} is missing" in reason for reason in reasons)


def test_a_torn_tail_is_no_damage(capsys: Capture, tmp_path: Path) -> None:
    made = Directory(tmp_path / "node")
    made.log.write(RecordEncoder(Term(2, 5), last=made.log.last, db_pages=9, db_checksum=0).seal(0))
    made.log.close()
    last = made.segments()[-1]
    made.spoil(last, SEGMENT_HEADER_BYTES + made.end - int(last.name[:16], 16) + 50)
    code, out, err = run(capsys, made, "verify")
    assert code == 0
    assert "note: " in err
    assert "after a crash" in err
    assert f"LSN 0/0 to {made.end}" in out


def test_everything_works_beside_a_running_node(capsys: Capture, tmp_path: Path) -> None:
    lock = DirectoryLock.acquire(str(tmp_path / "node"), ports={"pg": 5432}, started_us=0, pid=4711)
    made = Directory(tmp_path / "node")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "node").rglob("*")}
    for command in ("inspect", "verify", "dump"):
        code, _, err = run(capsys, made, command)
        assert code == 0
        assert ("process 4711 is running" in err) == (command != "dump")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "node").rglob("*")} == before
    made.log.close()
    lock.release()


def test_dump_prints_one_line_a_record(capsys: Capture, directory: Directory) -> None:
    code, out, _ = run(capsys, directory, "dump", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(lines) == RECORDS + 6
    assert [line["end"] for line in lines[:-1]] == [line["lsn"] for line in lines[1:]]
    assert lines[0]["kind"] == "term_start"
    assert lines[0]["time"] == "2023-11-14T22:13:20.000+00:00"
    assert [line["chain"] for line in lines[-4:]] == ["start", "part", "end", "-"]
    assert lines[-1]["db_checksum"] == f"{directory.table.total:016x}"
    assert lines[5]["pages"] == 1
    start, end = directory.lsns[3], directory.lsns[6]
    _, out, _ = run(capsys, directory, "dump", "--from", str(Lsn(start - 3)), "--to", str(end), "--pages", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["lsn"] for line in lines] == [str(lsn) for lsn in directory.lsns[3:6]]
    assert all(len(line["pages"]) == 1 for line in lines)
    _, out, _ = run(capsys, directory, "dump", "--limit", "2")
    assert out.splitlines()[0].startswith("lsn=0/0  end=0/80  term=1  kind=term_start  chain=-")
    assert len(out.splitlines()) == 2


def test_dump_extracts_a_page(capsys: Capture, directory: Directory, tmp_path: Path) -> None:
    for page_no, image in directory.images.items():
        out = tmp_path / f"{page_no}.bin"
        code, _, _ = run(capsys, directory, "dump", "--page", str(page_no), "--out", str(out))
        assert code == 0
        assert out.read_bytes() == image
    code, _, err = run(capsys, directory, "dump", "--page", "1", "--out", str(tmp_path / "1.bin"))
    assert code == 5
    assert "--force" in err
    assert run(capsys, directory, "dump", "--page", "77", "--out", str(tmp_path / "77"))[0] == 1
    assert run(capsys, directory, "dump", "--page", "1")[0] == 2


def test_a_page_of_an_unfinished_transaction_is_not_extracted(
    capsys: Capture, directory: Directory, tmp_path: Path
) -> None:
    _, out, _ = run(capsys, directory, "dump", "--json")
    marks = {line["chain"]: line["lsn"] for line in map(json.loads, out.splitlines())}
    path = tmp_path / "p.bin"
    arguments = ("dump", "--page", "1", "--out", str(path), "--force")
    assert run(capsys, directory, *arguments, "--to", marks["end"])[0] == 0
    assert path.read_bytes() == directory.before_chain[1] != directory.images[1]
    assert run(capsys, directory, *arguments, "--from", marks["start"], "--to", marks["end"])[0] == 1
    assert run(capsys, directory, *arguments, "--from", marks["start"])[0] == 0
    assert path.read_bytes() == directory.images[1]


def test_mistakes_are_explained(capsys: Capture, directory: Directory, tmp_path: Path) -> None:
    code = main(["log", "inspect", "--data-dir", str(tmp_path / "nothing")])
    err = capsys.readouterr().err
    assert code == 1
    assert "no page log in" in err
    assert "--data-dir" in err
    code, _, err = run(capsys, directory, "dump", "--from", "12")
    assert code == 2
    assert "one looks like 0/1A2B30" in err
