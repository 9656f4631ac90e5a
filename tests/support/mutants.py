"""Every care taken out once, to see that a test notices: ``python tests/support/mutants.py [name ...]``.

Each mutant is a change of the text of one file, made in a copy of the tree, and the tests that must fail there. A
mutant that survives, or whose text is not found any more, fails the run. Not part of the tests: it takes minutes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("helios_cli", "tests", "docs", "pyproject.toml")
SECONDS: Final = 90
GROUPS: Final = "tests/adapters/test_group_writes.py"
HAZARDS: Final = "tests/adapters/test_hazards.py"
WRITE_IDS: Final = "tests/clients/test_write_ids.py"
SCRUB: Final = "tests/adapters/test_scrub.py"
PAGE_LOG: Final = "tests/adapters/test_page_log.py"


class Mutant(NamedTuple):
    """A care left out."""

    name: str
    package: str
    """Below ``helios_cli/engine``: every module of it that has the text is changed."""
    old: str
    new: str
    tests: str
    """File of the tests that notice."""
    select: str = ""
    """pytest -k; empty for all of the file."""


MUTANTS: Final = (
    Mutant(
        "a member that broke the transaction stays in it",
        "node",
        "if not connection.in_transaction or not _undid_itself(error):",
        "if False:",
        GROUPS,
        "interrupted or rollback_raised",
    ),
    Mutant(
        "a member's half-done change stays",
        "node",
        " or not _undid_itself(error)",
        "",
        HAZARDS,
        "half_way",
    ),
    Mutant(
        "deferred constraints are left to the COMMIT",
        "node",
        "if connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:",
        "if False:",
        GROUPS,
        "deferred",
    ),
    Mutant(
        "the name of a write is not kept in its transaction",
        "node",
        "self._ids.keep(connection, self.write_id, Done(tag, self._fingerprint, text), touched)",
        "pass",
        WRITE_IDS,
        "sent_again or one_write",
    ),
    Mutant(
        "a named write is not looked for when it is executed",
        "node",
        "        if self.was_done(connection):\n            return self.result\n",
        "",
        WRITE_IDS,
        "two_attempts",
    ),
    Mutant(
        "not done is answered of a write that may still come",
        "storage",
        "self.keep(connection, write_id, Done(None, None, None))",
        "pass",
        WRITE_IDS,
        "rely_on_it or until_it_is_on_disk",
    ),
    Mutant(
        "a standby sends a write again without its name",
        "node",
        "self._unsent_name = self._name",
        "pass",
        "tests/adapters/test_sent_again.py",
        "answer_was_lost",
    ),
    Mutant(
        "an error before the look tells nothing of the first attempt",
        "node",
        "if is_certain or isinstance(error, OutcomeUnknown):",
        "if True:",
        "tests/adapters/test_sent_again.py",
        "cancelled",
    ),
    Mutant(
        "late bytes of an answered write are a new one",
        "storage",
        "if write_id.is_last and connection.execute(_IS_STALE, key).fetchall():",
        "if False:",
        "tests/adapters/test_sent_again.py",
        "late_attempt",
    ),
    Mutant(
        "a salvage does not know whose rows it has",
        "storage",
        "found.setdefault(row, []).append(write.name)",
        "pass",
        "tests/adapters/test_salvaged_names.py",
        "done_again",
    ),
    Mutant(
        "any statement is answered under a used name",
        "node",
        "elif done.statement != self._fingerprint:",
        "elif False:",
        WRITE_IDS,
        "another_statement",
    ),
    Mutant(
        "a node goes on in its old term",
        "storage",
        "Term(max(self.control.record.term.number, floor) + 1, int",
        "Term(max(self.control.record.term.number, floor, 1), int",
        HAZARDS,
        "new_term",
    ),
    Mutant(
        "no room is asked for what a group wrote",
        "node",
        "self._reserve_record(group, culprits, connection)",
        "pass",
        "tests/adapters/test_log_reservation.py",
        "run_apart",
    ),
    Mutant(
        "an error nobody foresaw ends the checkpoints",
        "node",
        "self._failed(wanted, self._on_unexpected(error))",
        "raise",
        "tests/adapters/test_checkpointer_survives.py",
        "go_on",
    ),
    Mutant("no room is asked for", "node", "self.database.reserve()", "pass", GROUPS, "full_disk"),
    Mutant(
        "the pinned reader moves onto what is in flight",
        "node",
        "if database.commit_seq != self.committed_seq:",
        "if False:",
        HAZARDS,
        "only_what_is_in_flight",
    ),
    Mutant(
        "checkpoints do not wait for the commits in flight",
        "node",
        "if not await self._patiently(self._pipeline.quiesce()):",
        "if False:",
        HAZARDS,
        "nothing_enters_the_file",
    ),
    Mutant(
        "a restarted WAL is not noticed",
        "storage",
        "if commit.salts != self._salts and start:",
        "if False:",
        GROUPS,
        "restarted_wal",
    ),
    Mutant(
        "the last connection checkpoints on close",
        "storage",
        "connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)",
        "pass",
        GROUPS,
        "closing_connections",
    ),
    Mutant(
        "foreign keys stay on while a table is rebuilt",
        "node",
        "connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)",
        'connection.execute("PRAGMA foreign_keys=OFF")',
        GROUPS,
        "rebuilding",
    ),
    Mutant(
        "retention forgets recovery",
        "storage",
        "bounds = [checkpoint, committed, *base_copies, *slots]",
        "bounds = [committed, *base_copies, *slots]",
        HAZARDS,
        "restart_needs",
    ),
    Mutant(
        "damage passes for a torn tail",
        "storage",
        "refuse_damage(file, segment.first_lsn, tail.damage, flushed_floor, own_term)",
        "pass",
        PAGE_LOG,
        "flushed",
    ),
    Mutant(
        "a chain goes on over other records",
        "log",
        "        self.open_start = None\n        return start",
        "        return start",
        "tests/unit/log/test_log_record.py",
        "chain or tracker or retry",
    ),
    Mutant(
        "a worker's rows leave before their snapshot is committed",
        "node",
        "if job.shows_data and job.seq > self.engine.pipeline.committed_seq:",
        "if False:",
        HAZARDS,
        "worker_says_nothing",
    ),
    Mutant(
        "a repeatable snapshot does not wait",
        "node",
        "needed = 0 if transaction.writing else transaction.snapshot_seq",
        "needed = 0",
        HAZARDS,
        "repeatable_snapshot",
    ),
    Mutant(
        "a cursor does not wait",
        "node",
        "if job.seq > engine.pipeline.committed_seq:",
        "if False:",
        HAZARDS,
        "cursor_shows",
    ),
    Mutant(
        "errors leave at once",
        "node",
        "            pipeline.after_latest(lambda: self.session.failed(error))",
        "            self.session.later(lambda: self.session.failed(error))",
        HAZARDS,
        "they_leave_with_it",
    ),
    Mutant(
        "notifications overtake their commit",
        "node",
        "        commit.waiters.extend(actions)\n",
        "        session.later(lambda: _all(actions))\n",
        HAZARDS,
        "notification",
    ),
    Mutant(
        "commits in flight are not counted",
        "node",
        "return len(self.in_flight) < self._in_flight_max",
        "return True",
        HAZARDS,
        "reader_of_its_own",
    ),
    Mutant(
        "a session's temporary tables live on the shared writer",
        "node",
        "            session.own_connection()\n",
        "            pass\n",
        HAZARDS,
        "temporary",
    ),
    Mutant(
        "volatile functions run under the budget",
        "storage",
        " or plan.volatile:",
        ":",
        HAZARDS,
        "volatile",
    ),
    Mutant(
        "no barrier restarts the WAL",
        "node",
        "                database.refresh_rings(self._pipeline.committed_seq)\n",
        "",
        GROUPS,
        "wal_restarts",
    ),
    Mutant(
        "emptying a table runs on the loop",
        "storage",
        "if not rows and plan.tag in _CLEARING:",
        "if False:",
        HAZARDS,
        "empties_a_table",
    ),
    Mutant(
        "the loop's budget ends statements of threads",
        "node",
        " or threading.get_ident() != self._thread",
        "",
        HAZARDS,
        "budget_ends",
    ),
    Mutant(
        "silent holders keep the writer",
        "node",
        "if limit and idle_ms > limit:",
        "if False:",
        HAZARDS,
        "silent_holder",
    ),
    Mutant(
        "a COPY or a pipeline without an end keeps the writer",
        "node",
        "if transaction is None or not (transaction.explicit or within):",
        "if transaction is None or not transaction.explicit:",
        HAZARDS,
        "silent_holder",
    ),
    Mutant(
        "a conflict is met again and again",
        "node",
        "self.session.conflicted = True",
        "pass",
        HAZARDS,
        "not_met_twice",
    ),
    Mutant(
        "a scrub compares pages with a table that does not know them yet",
        "node",
        "return not node.database.unrecorded",
        "return True",
        SCRUB,
        "between_two",
    ),
    Mutant(
        "a scrub compares pages that a standby has not applied yet",
        "node",
        "return following.applicator.position[1] == node.database.checksums.total",
        "return True",
        SCRUB,
        "between_two",
    ),
    Mutant(
        "a scrub reads the file while a checkpoint writes it",
        "node",
        "async with self._node.checkpointer.file_held:",
        "if True:",
        SCRUB,
        "no_checkpoint_writes",
    ),
    Mutant(
        "what waits in the WAL is looked for in the file",
        "storage",
        "waiting = frozenset(self.pages_of_frames(boundary.checkpointed, boundary.frames))",
        "waiting = frozenset[int]()",
        SCRUB,
        "newest_frame or waits_for",
    ),
    Mutant(
        "a repair takes whatever image it is given",
        "node",
        "number: image for number, image in images.items() if page_hash(number, image) == table.hash_of(number)",
        "number: image for number, image in images.items()",
        SCRUB,
        "not_put",
    ),
    Mutant(
        "a repaired page is logged as the next commit's",
        "node",
        "database.capture.note(frames, applier.salts())\n    database.commit_seq",
        "database.commit_seq",
        SCRUB,
        "not_put",
    ),
    Mutant(
        "a repair is shown behind the commits that have overtaken it",
        "node",
        "if newest is not None and newest.seq > commit.seq:",
        "if newest is None:",
        SCRUB,
        "overtakes",
    ),
    Mutant(
        "what is cancelled while it is sent again goes without its name",
        "node",
        "self._cancelled = True",
        "self._name = None",
        "tests/adapters/test_sent_again.py",
        "cancelled",
    ),
    Mutant(
        "a boundary is applied into the WAL that a checkpoint has for itself",
        "node",
        "while self._pausing or (self._room <= 0 and not (self.finishing and not self._giving_up)):",
        "while (self._pausing or self._room <= 0) and not (self.finishing and not self._giving_up):",
        "tests/unit/test_apply_queue.py",
    ),
    Mutant(
        "segments are named by something else than their first LSN",
        "storage",
        "segment_name(header.first_lsn)",
        "segment_name(header.first_lsn + 1)",
        PAGE_LOG,
        "roll or disk",
    ),
)


def survives(mutant: Mutant, tree: Path) -> str | None:
    """Apply a mutant to the copy, run its tests there, undo it. None: it was noticed; else what is wrong."""
    package = tree / "helios_cli" / "engine" / mutant.package
    texts = {path: path.read_text() for path in package.glob("*.py")}
    found = {path: text for path, text in texts.items() if mutant.old in text}
    if not found:
        return "no module has its text"
    for path, text in found.items():
        path.write_text(text.replace(mutant.old, mutant.new))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout", "20", mutant.tests]
    try:
        done = subprocess.run(
            [*command, *(("-k", mutant.select) if mutant.select else ())],
            cwd=tree, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    finally:
        for path, text in found.items():
            path.write_text(text)
    if done.returncode == 1:
        return None
    return "it survived" if done.returncode == 0 else f"pytest ended with {done.returncode}: {done.stdout[-300:]}"


def main(names: list[str]) -> int:
    """Run the mutants whose names contain one of ``names``; all without."""
    chosen = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    alive = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        tree = Path(directory)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, tree / name)
        for mutant in chosen:
            problem = survives(mutant, tree)
            alive += problem is not None
            print(
                f"{'killed' if problem is None else 'ALIVE '}  {mutant.name}{f': {problem}' if problem else ''}",
                flush=True,
            )
    print(f"{len(chosen) - alive} of {len(chosen)} noticed")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
