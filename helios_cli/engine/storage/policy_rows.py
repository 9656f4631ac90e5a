"""Rows of pg_policy and pg_policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from helios_cli.engine.sql.policies import COMMANDS, PUBLIC, Policy
from helios_cli.engine.storage.system_snapshot import Snapshot
from helios_cli.engine.storage.type_rows import shown_text

Rows = Iterator[dict[str, Any]]
_WORDS: Final = {letter: word.upper() for word, letter in COMMANDS.items()}


def pg_policy(snapshot: Snapshot) -> Rows:
    """Policies."""
    for policy in _all_of(snapshot):
        yield {
            "oid": policy.oid, "polname": policy.name, "polrelid": policy.relation, "polcmd": policy.command,
            "polpermissive": int(policy.permissive), "polroles": "{" + ",".join(map(str, policy.roles)) + "}",
            "polqual": policy.using, "polwithcheck": policy.check,
        }  # fmt: skip


def pg_policies(snapshot: Snapshot) -> Rows:
    """Policies as a person reads them."""
    names = {role["oid"]: role["rolname"] for role in snapshot.roles}
    for policy in _all_of(snapshot):
        relation = snapshot.relations[policy.relation]
        roles = ["public" if oid == PUBLIC else names.get(oid, str(oid)) for oid in policy.roles]
        yield {
            "schemaname": relation.schema, "tablename": relation.name, "policyname": policy.name,
            "permissive": "PERMISSIVE" if policy.permissive else "RESTRICTIVE", "roles": "{" + ",".join(roles) + "}",
            "cmd": _WORDS[policy.command], "qual": shown_text(snapshot, policy.using),
            "with_check": shown_text(snapshot, policy.check),
        }  # fmt: skip


def _all_of(snapshot: Snapshot) -> Iterator[Policy]:
    found = [
        policy
        for relid, (_enabled, _forced, policies) in snapshot.securities.items()
        if relid in snapshot.relations
        for policy in policies
    ]
    yield from sorted(found, key=lambda policy: policy.oid)
