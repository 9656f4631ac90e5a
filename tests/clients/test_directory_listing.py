"""docs/FORMAT.md lists every file that a node makes, while it runs, after a kill and after an orderly stop."""

from __future__ import annotations

import re
from pathlib import Path

from support.node_process import NodeProcess, wait_until

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "FORMAT.md"


def listed() -> list[re.Pattern[str]]:
    """The paths of the table as patterns; ``<...>`` stands for what varies, a directory for all that is in it."""
    rows = re.findall(r"^\| (`D/.*?`) \|", DOCUMENT.read_text(), re.MULTILINE)
    patterns = []
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row)
        for name in (first, *others):
            # A name that begins with a dot stands for another ending of the first one.
            path = first[: first.rindex(".")] + name if name.startswith(".") else name
            text = re.escape(path.removeprefix("D/"))
            text = re.sub(r"<[^>]*digits>", "[0-9a-f]+", text.replace(r"\ ", " "))
            text = re.sub(r"<(?:n|pid)>", "[0-9]+", text)
            patterns.append(re.compile(text + (".+" if path.endswith("/") else r"(?:-wal|-shm|-journal)?")))
    return patterns


def unlisted(directory: Path) -> set[str]:
    known = listed()
    names = {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}
    assert len(names) > 8
    return {name for name in names if not any(one.fullmatch(name) for one in known)}


def test_every_file_of_a_data_directory_is_listed(node: NodeProcess) -> None:
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (a int)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("ALTER SYSTEM SET lock_timeout = '5s'")
        connection.execute("CHECKPOINT")
    wait_until((node.data_dir / "state.db").exists, "the first events are written")
    names = {path.name for path in node.data_dir.iterdir()}
    assert {"state.db", "http.token", "lock", "log", "control", "db", "heliosdb.auto.conf"} <= names
    assert unlisted(node.data_dir) == set()
    node.kill()
    assert unlisted(node.data_dir) == set()
    node.start()
    assert node.stop() == 0
    assert unlisted(node.data_dir) == set()


def test_the_list_would_miss_a_foreign_file(node: NodeProcess) -> None:
    (node.data_dir / "stray").touch()
    (node.data_dir / "log" / "stray.seg").touch()
    assert unlisted(node.data_dir) == {"stray", "log/stray.seg"}
