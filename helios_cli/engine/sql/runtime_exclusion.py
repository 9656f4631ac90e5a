"""What EXCLUDE constraints say of two rows in conflict."""

from __future__ import annotations

import json
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.function_spec import ScalarTable


def exclusion_detail(keys: str, types: str, words: str, values: str) -> str:
    """``Key (room, during)=(1, [1,3)) conflicts with existing key (room, during)=(1, [2,4)).``

    ``types`` are the OIDs of the key's types, ``values`` a JSON array of both rows' values one after the other.
    """
    oids = [int(oid) for oid in types.split(",")]
    given = json.loads(values)
    shown = [_shown(oid, value) for oid, value in zip(oids + oids, given, strict=True)]
    count = len(oids)
    one, other = ", ".join(shown[:count]), ", ".join(shown[count:])
    return f"Key ({keys})=({one}) {words} ({keys})=({other})."


def _shown(oid: int, value: Any) -> str:
    if value is None:
        return "null"
    found = registry.find_oid(oid)
    return found.format_text(value).decode() if found is not None else str(value)


SCALARS: Final[ScalarTable] = {"pg_exclusion_detail": (exclusion_detail, 4, True)}
