"""The rows of pg_operator, pg_cast and pg_aggregate for what users define."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from helios_cli.engine.sql.ddl_schema import FIRST_OID
from helios_cli.engine.sql.made_objects import PG_CAST, PG_OPERATOR
from helios_cli.engine.sql.operator_functions import functions_of_operators
from helios_cli.engine.sql.privileges import PG_PROC
from helios_cli.engine.storage.system_operators import pg_operator
from helios_cli.engine.storage.system_snapshot import Snapshot

Row = dict[str, Any]


def operator_row(snapshot: Snapshot, oid: int) -> Iterator[Row]:
    """A row of pg_operator."""
    found = snapshot.operators[oid]
    yield {
        "oid": oid, "oprname": found.name, "oprnamespace": snapshot.schema_oid(found.schema), "oprowner": found.owner,
        "oprkind": "b" if found.left else "l", "oprcanmerge": int(found.merges), "oprcanhash": int(found.hashes),
        "oprleft": found.left, "oprright": found.right, "oprresult": found.result, "oprcom": found.commutator,
        "oprnegate": found.negator, "oprcode": function_oid(found.function, found.function_name, found.args),
        "oprrest": 0, "oprjoin": 0,
    }  # fmt: skip


def cast_row(snapshot: Snapshot, oid: int) -> Iterator[Row]:
    """A row of pg_cast."""
    found = snapshot.casts[oid]
    yield {
        "oid": oid, "castsource": found.source, "casttarget": found.target,
        "castfunc": function_oid(found.function, found.function_name, (found.source,)),
        "castcontext": found.context, "castmethod": found.method,
    }  # fmt: skip


def aggregate_row(snapshot: Snapshot, oid: int) -> Iterator[Row]:
    """The row of pg_aggregate of an aggregate; none for another function."""
    parts = snapshot.routines_by_oid[oid].aggregate
    if parts is None:
        return
    modify = parts.final_modify
    yield {
        "aggfnoid": oid, "aggkind": "n", "aggnumdirectargs": 0,
        "aggtransfn": function_oid(parts.step, parts.step_name, tuple(parts.step_args)),
        "aggfinalfn": function_oid(parts.final, parts.final_name, tuple(parts.final_args)),
        "aggcombinefn": 0, "aggserialfn": 0, "aggdeserialfn": 0, "aggmtransfn": 0, "aggminvtransfn": 0,
        "aggmfinalfn": 0, "aggfinalextra": int(parts.final_extra), "aggmfinalextra": 0, "aggfinalmodify": modify,
        "aggmfinalmodify": "r", "aggsortop": 0, "aggtranstype": parts.state, "aggtransspace": parts.space,
        "aggmtranstype": 0, "aggmtransspace": 0, "agginitval": parts.initial,
    }  # fmt: skip


def operator_depends(snapshot: Snapshot, oid: int) -> Iterator[Row]:
    """An operator needs its function."""
    yield from _needs(PG_OPERATOR, oid, snapshot.operators[oid].function)


def cast_depends(snapshot: Snapshot, oid: int) -> Iterator[Row]:
    """A cast needs its function."""
    yield from _needs(PG_CAST, oid, snapshot.casts[oid].function)


def aggregate_depends(snapshot: Snapshot, oid: int) -> Iterator[Row]:
    """An aggregate needs the functions that it is made of."""
    parts = snapshot.routines_by_oid[oid].aggregate
    if parts is not None:
        yield from _needs(PG_PROC, oid, parts.step, parts.final)


def _needs(class_oid: int, oid: int, *functions: int) -> Iterator[Row]:
    one = {"classid": class_oid, "objid": oid, "refclassid": PG_PROC, "deptype": "n"}
    yield from ({**one, "refobjid": function} for function in functions if function >= FIRST_OID)


def function_oid(oid: int, name: str, args: tuple[int, ...]) -> int:
    """The OID of a function that something is made of, of one behind an operator too; 0 for none."""
    return oid or (_behind_operators().get((name, args), 0) if name else 0)


@lru_cache(1)
def _behind_operators() -> dict[tuple[str, tuple[int, ...]], int]:
    """OIDs of the functions behind PostgreSQL's operators, by name and arguments."""
    codes = {(row["oprname"], row["oprleft"], row["oprright"]): row["oprcode"] for row in pg_operator()}
    found = {}
    for name, symbol, args in functions_of_operators():
        left, right = args if len(args) == 2 else (0, args[0])
        if (symbol, left, right) in codes:
            found[name, args] = codes[symbol, left, right]
    return found


@lru_cache(1)
def operator_functions_by_oid() -> dict[int, tuple[str, tuple[int, ...]]]:
    """Name and arguments of each function behind an operator."""
    return {oid: key for key, oid in _behind_operators().items()}


def behind_operators_named(name: str) -> dict[int, tuple[int, ...]]:
    """The functions behind operators that have a name: OIDs and the types of their arguments."""
    return {oid: known[1] for oid, known in operator_functions_by_oid().items() if known[0] == name}
