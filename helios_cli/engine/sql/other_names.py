"""System views with a second name in a schema that belongs to users, who may have an object of that name there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from helios_cli.engine.sql.relation import CatalogReader, Relation

OTHER_NAMES: Final[Mapping[tuple[str, str], str]] = {("replicate", "failover_history"): "helios_failover_history"}
"""By schema and name, the relation of pg_catalog that is read where there is nothing else of that name."""


def other_name(catalog: CatalogReader, schema: str | None, name: str) -> Relation | None:
    """The view that a name without a relation stands for in a query; with schema None along the search path."""
    for candidate in (schema,) if schema is not None else catalog.search_path:
        found = OTHER_NAMES.get((candidate, name))
        if found is not None:
            return catalog.relation("pg_catalog", found)
    return None
