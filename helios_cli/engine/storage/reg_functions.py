"""Names of OIDs on their way to clients, and regcollation's (regproc.c)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes.regs import named
from helios_cli.engine.datatypes.tsparser import CONFIGURATION_OIDS
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.sqltext import pg_identifier, split_name
from helios_cli.engine.storage.collation_rows import all_collations
from helios_cli.engine.storage.text_search_rows import DICTIONARY_OIDS

if TYPE_CHECKING:
    from helios_cli.engine.storage.system_catalog import SystemCatalog

_KEPT_AS_NAMES: Final = {"regconfig": CONFIGURATION_OIDS, "regdictionary": DICTIONARY_OIDS}


def sending(show: Callable[[Any], str], read: Callable[[str], int], kind: str) -> Callable[[Any], str]:
    """As ``show``, with the OID beside the name: whether a client wants one or the other is known when it binds.

    What comes out of a function is a name, which ``read`` knows.
    """
    known = _KEPT_AS_NAMES.get(kind)

    def send(value: Any) -> str:
        name = show(value)
        if isinstance(value, int):
            return named(value, name)
        try:
            oid = known.get(name) if known is not None else read(name)
        except SqlError:
            oid = None
        return name if oid is None else named(oid, name)

    return send


class CollationNames:
    """Collations as a connection's catalog has them."""

    def __init__(self, system: SystemCatalog) -> None:
        self._system = system

    def read(self, text: str) -> int:
        """A collation's OID by name or number. Raises SqlError 42704."""
        if text == "-" or text.isdigit():
            return int(text) if text != "-" else 0
        parts = split_name(text)
        self._system.catalog.refresh()
        found = self._system.catalog.collation(parts[-2] if len(parts) > 1 else None, parts[-1]) if parts else None
        if found is None:
            message = f'collation "{".".join(parts)}" for encoding "UTF8" does not exist'
            raise SqlError(message, sqlstate="42704")
        return found.oid

    def show(self, oid: Any) -> str:
        """A collation's name, with its schema where the search path does not find it."""
        found = next((one for one in all_collations(self._system.snapshot()) if one.oid == oid), None)
        if found is None:
            return str(oid or "-")
        name = pg_identifier(found.name)
        seen = ("pg_catalog", *(self._system.path or ("public", "pg_temp")))
        return name if found.schema in seen else f"{pg_identifier(found.schema)}.{name}"
