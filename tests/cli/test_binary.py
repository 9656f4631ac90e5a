"""The single-file executable: made, and run by a bare python3 in an environment with nothing in it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.node_process import ROOT, free_port, wait_until

pytestmark = pytest.mark.slow

MADE_S = 100.0
STARTED_S = 60.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The executable, made quickly: what that leaves out only saves time."""
    output = tmp_path_factory.mktemp("dist") / "heliosdb-nano"
    command = [sys.executable, str(ROOT / "tools" / "binary.py"), "--quick", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MADE_S)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def bare(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with python3 and the three names of the executable, and nothing else: the whole PATH."""
    directory = tmp_path_factory.mktemp("bare")
    interpreter = shutil.which("python3", path="/usr/bin") or sys.executable
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.run([interpreter, "-c", asked], capture_output=True, text=True).stdout.strip()
    if version != "{}.{}".format(*sys.version_info[:2]):
        interpreter = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    (directory / "python3").symlink_to(interpreter)
    for name in ("heliosdb-nano", "heliosdb-cli", "heliosdb-proxy"):
        (directory / name).symlink_to(made)
    return directory


def run(bare: Path, home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(bare), "HOME": str(home), **variables}
    return subprocess.run(
        ["/usr/bin/env", *words], env=environment, cwd=home, capture_output=True, text=True, timeout=STARTED_S
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of its own, so that each test unpacks for itself; empty again afterwards."""
    tmp_path.chmod(0o755)
    yield tmp_path
    shutil.rmtree(tmp_path / ".cache", ignore_errors=True)


def test_a_node_runs_answers_and_stops(bare: Path, home: Path) -> None:
    told = run(bare, home, "heliosdb-nano", "version", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["apsw"]
    ports = [str(free_port()) for _ in range(3)]
    flags = [word for face, port in zip(("pg", "native", "http"), ports, strict=True)
             for word in (f"--{face}-port", port)]  # fmt: skip
    with (home / "log").open("wb") as log:
        node = subprocess.Popen(
            ["/usr/bin/env", "heliosdb-nano", "start", "--data-dir", "data", *flags], cwd=home, stdout=log, stderr=log,
            env={"PATH": str(bare), "HOME": str(home)}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:

        def listens() -> bool:
            assert node.poll() is None, (home / "log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", int(ports[0]))) == 0

        wait_until(listens, "the node listens", STARTED_S)
        assert run(bare, home, "heliosdb-nano", "health", "--node", f"127.0.0.1:{ports[2]}").stdout == "ok\n"
        asked = run(
            bare, home, "heliosdb-cli", "--port", ports[0], "--user", "helios", "-c",
            "CREATE TABLE t (a INT); INSERT INTO t VALUES (40), (2); SELECT sum(a) FROM t",
        )  # fmt: skip
        assert asked.returncode == 0 and "42" in asked.stdout, asked.stderr
        assert run(bare, home, "heliosdb-proxy", "--help").stdout.count("heliosdb-proxy") >= 1
        node.send_signal(signal.SIGTERM)
        assert node.wait(STARTED_S) == 0, (home / "log").read_text()
    finally:
        if node.poll() is None:
            node.kill()
            node.wait()
    (cache,) = (home / ".cache" / "heliosdb-nano").iterdir()
    assert cache.parent.stat().st_mode & 0o777 == 0o700


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An executable of the same make with next to nothing in it."""
    place = tmp_path_factory.mktemp("small")
    (place / "packages" / "helios_cli").mkdir(parents=True)
    (place / "packages" / "helios_cli" / "__init__.py").touch()
    program = "def {}():\n    print('{} runs')\n    return 7\n"
    (place / "packages" / "helios_cli" / "cli.py").write_text(
        "".join(program.format(name, name) for name in ("main", "main_sql", "main_proxy"))
    )
    tools = loaded("binary")
    tools.write(place / "heliosdb-nano", tools.packed(place / "packages"))
    return place / "heliosdb-nano"


def test_first_starts_at_the_same_time_leave_one_directory(small: Path, home: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    starts = [subprocess.Popen([sys.executable, str(small)], env=environment, stdout=subprocess.PIPE) for _ in range(6)]
    said = [one.communicate(timeout=STARTED_S)[0] for one in starts]
    assert [one.returncode for one in starts] == [7] * 6
    assert set(said) == {b"main runs\n"}
    assert len(list((home / ".cache" / "heliosdb-nano").iterdir())) == 1


def loaded(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bootstrap() -> Any:
    return loaded("binary_main")


def test_a_directory_that_others_can_reach_into_is_not_used(bootstrap: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    own = tmp_path / "own" / "cache"
    assert bootstrap.private(str(own)) is None
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)
    assert bootstrap.private(str(own)) == "others may write into it"
    own.chmod(0o700)
    link = tmp_path / "link"
    link.symlink_to(own)
    assert bootstrap.private(str(link)) == "it is no directory"
    (tmp_path / "own").chmod(0o777)
    assert bootstrap.private(str(own)) == "others may put another in its place"
    (tmp_path / "own").chmod(0o1777)
    assert bootstrap.private(str(own)) is None
    (tmp_path / "file").touch()
    assert bootstrap.private(str(tmp_path / "file" / "cache")) is not None


def test_what_was_cut_short_is_not_taken_for_whole(bootstrap: Any, small: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(small.read_bytes()[:-64])
    assert subprocess.run([sys.executable, str(broken)], capture_output=True, timeout=STARTED_S).returncode != 0
    target = tmp_path / "place" / "name"
    target.parent.mkdir()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    kept = bootstrap.os.rename
    bootstrap.os.rename = fail
    try:
        with pytest.raises(OSError, match="No space"):
            bootstrap.unpacked(str(small), str(target.parent), str(target))
    finally:
        bootstrap.os.rename = kept
    assert list(target.parent.iterdir()) == [], "nothing is left behind"


def test_another_python_or_machine_is_named(
    bootstrap: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = f"{sys.platform}-{os.uname().machine}"
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    for build, said in (
        ({"machine": "linux-other", "glibc": True, "python": "3.11"}, "this file is for linux-other"),
        ({"machine": here, "glibc": False, "python": "2.7"}, "this file is for Python 2.7, and python3 is 3."),
    ):
        with pytest.raises(SystemExit) as ended:
            bootstrap.right_interpreter(build, "file")
        assert ended.value.code == 1
        told = capsys.readouterr().err
        assert said in told and "hint: " in told
    ran: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/opt/{name}")
    monkeypatch.setattr(bootstrap.os, "execv", lambda path, words: ran.append((path, words)))
    monkeypatch.setattr(bootstrap.sys, "argv", ["file", "start"])
    bootstrap.right_interpreter({"machine": here, "glibc": False, "python": "2.7"}, "file")
    assert ran == [("/opt/python2.7", ["/opt/python2.7", "file", "start"])]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    tools = loaded("binary")
    packed = []
    for number in range(2):
        place = tmp_path / str(number)
        for name in ("b", "a") if number else ("a", "b"):
            (place / "d").mkdir(parents=True, exist_ok=True)
            (place / "d" / name).write_text(name)
            os.utime(place / "d" / name, (number, number))
        packed.append(tools.packed(place))
    assert packed[0] == packed[1]
    (tmp_path / "1" / "d" / "a").write_text("other")
    assert tools.packed(tmp_path / "1") != packed[0]


@pytest.mark.parametrize(
    ("name", "runs"), [("heliosdb-nano", "main"), ("heliosdb-cli", "main_sql"), ("heliosdb-proxy", "main_proxy")]
)
def test_the_name_says_which_program_runs(small: Path, home: Path, name: str, runs: str) -> None:
    done = subprocess.run(
        [sys.executable, str(small.with_name(name))], env={"HOME": str(home)}, capture_output=True, text=True,
        timeout=STARTED_S,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, f"{runs} runs\n"), done.stderr


def test_every_locked_package_is_found_in_the_lock() -> None:
    tools = loaded("binary")
    text = (ROOT / "requirements.lock").read_text()
    names = {name for name, _, _ in tools.locked(text)}
    assert {"typer", "apsw", "textual", "uvloop", "paramiko"} <= names
    assert len(names) == sum("==" in line and line[0] not in " #" for line in text.splitlines())
