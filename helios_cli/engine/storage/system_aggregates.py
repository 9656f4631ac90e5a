"""pg_aggregate: the library's aggregates. How they compute is SQLite's, and so named by no functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from helios_cli.engine.sql.functions.proc_oids import FUNCTIONS

_DIRECT: Final = {"percentile_cont": 1, "percentile_disc": 1, "mode": 0}
"""Ordered-set aggregates, and how many arguments each takes outside of WITHIN GROUP."""


def pg_aggregate() -> Iterator[dict[str, Any]]:
    """The aggregates, a row for each overload."""
    for oid, function in FUNCTIONS.items():
        if function.aggregate:
            ordered = function.name in _DIRECT
            yield {
                "aggfnoid": oid, "aggkind": "o" if ordered else "n", "aggnumdirectargs": _DIRECT.get(function.name, 0),
                "aggfinalmodify": "s" if ordered else "r", "aggmfinalmodify": "s" if ordered else "r",
                "aggtranstype": function.result,
            }  # fmt: skip
