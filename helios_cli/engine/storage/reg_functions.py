"""Names of OIDs on their way to clients, and regcollation's (regproc.c)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import read_array, write_array
from helios_cli.engine.datatypes.composite import NAMED, literal_of, read_shape, rewritten
from helios_cli.engine.datatypes.regs import named, parse_reg
from helios_cli.engine.datatypes.tsparser import CONFIGURATION_OIDS, configuration
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


def over_elements(call: Callable[..., Any]) -> Callable[..., str]:
    """As ``call``, for each element of an array; the others of its arguments are the same for all."""

    def mapped(array: Any, *others: Any) -> str:
        return write_array(read_array(str(array), parse_reg), lambda item: str(call(item, *others)))

    return mapped


def over_fields(calls: Mapping[str, Callable[[Any, str], Any]]) -> Callable[..., str | None]:
    """A row's literal by its shape, each field of such a type put through what shows it; the last argument is the path.

    ``calls``: by the name of the type, that of an array as it is in pg_type.
    """

    def mapped(shape: str, row: Any, path: str) -> str | None:
        def leaf(type_oid: int, _typmod: int, part: str) -> str:
            call = calls.get(registry.by_oid(type_oid).name) if type_oid in NAMED else None
            return part if call is None else str(call(parse_reg(part), path))

        return None if row is None else rewritten(read_shape(shape), literal_of(row), leaf)

    return mapped


def reading(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    """As ``read``; an OID is one."""
    return lambda value: value if isinstance(value, int) else read(value)


def numbers(kind: str) -> Callable[[Any], int]:
    """The OID behind a name of a kind that is kept as names."""
    known = _KEPT_AS_NAMES[kind]
    return lambda value: known.get(value) or int(value)


def by_name(kind: str) -> Callable[[Any], str]:
    """What reads such a name, or an OID, as the name that is kept. Raises SqlError 42704 for no configuration's."""
    return (lambda value: configuration(str(value))) if kind == "regconfig" else names(kind)


def names(kind: str) -> Callable[[Any], str]:
    """The other way round; the digits of an OID that is none's."""
    known = {oid: name for name, oid in _KEPT_AS_NAMES[kind].items()}
    return lambda value: known.get(value) or str(value)


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
