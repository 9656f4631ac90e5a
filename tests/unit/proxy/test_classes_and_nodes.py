"""The proxy's judgement beside the nodes' own: every statement of the corpora, planned as a node plans it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxy.classify import Classes
from helios_cli.engine.proxy.statement import Access
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.plan import Kind, Plan

CORPORA = sorted((Path(__file__).parents[2] / "clients").glob("*_corpus/*.json"))
CLASSES = Classes()

THROUGH_VIEWS = {"SELECT * FROM writing"}
"""A text does not tell that its view calls a function that writes."""
AT_THE_PRIMARY = (
    "BEGIN", "EXECUTE", "EXPLAIN EXECUTE", "PREPARE", "WITH HOLD", "COMMIT PREPARED", "ROLLBACK PREPARED", "LISTEN",
    "UNLISTEN", "NOTIFY", "SHOW", "SET", "CHECKPOINT", "DECLARE FOR", "reads pg_", "ALTER SYSTEM", "LOAD", "set_config",
)  # fmt: skip
"""What is no write, and still the primary's: blocks that may write, and what belongs to one session."""

ASKED_OF_THE_PRIMARY = ("pg_blocking_pids", "pg_backend_pid", "txid_current", "pg_current_xact_id")


def writes(plan: Plan) -> bool:
    """Whether a node sends a statement of its clients on to the primary."""
    if plan.kind in (Kind.WRITE, Kind.DDL):
        return True
    action = plan.action
    if isinstance(action, actions.CopyOut):
        return writes(action.query)
    if isinstance(action, actions.LockTable):
        return action.mode not in ("ACCESS SHARE", "ROW SHARE")
    if isinstance(action, actions.Explain):
        return action.analyze and writes(action.plan)
    return isinstance(action, actions.CopyIn | actions.Vacuum)


def is_explained(why: str) -> bool:
    """Whether the proxy has a reason to send what is no write to the primary: it cannot know users' functions."""
    name = why.removeprefix("calls ").partition("(")[0]
    if why.startswith("calls ") and (name not in REGISTRY or any(one.volatile for one in REGISTRY.candidates(name))):
        return True
    return why.startswith(AT_THE_PRIMARY) or name in ASKED_OF_THE_PRIMARY


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda path: path.stem)
def test_no_write_is_taken_for_a_read_and_few_reads_for_writes(corpus: Path) -> None:
    database = LocalDatabase()
    for sql, *_answers in json.loads(corpus.read_text()):
        found = CLASSES.of(sql)
        try:
            plans = database.plan(sql)
        except HeliosError:
            plans = []
        if any(writes(plan) for plan in plans):
            assert found.access is Access.WRITE or sql in THROUGH_VIEWS, sql
        elif plans and all(plan.catalog_version != -1 for plan in plans):
            assert found.access is Access.READ or is_explained(found.why), (sql, found.why)
        with suppress(Exception):
            # Much of it fails, as it is meant to, or needs a node.
            database.run(sql)
