"""regproc and regprocedure: functions by their names, with and without the types of their arguments."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.io_functions import IO_FUNCTIONS
from helios_cli.engine.datatypes.type_functions import TYPE_FUNCTIONS
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.proc_oids import FIRST_OID, FUNCTIONS, OIDS
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.storage.made_rows import behind_operators_named, operator_functions_by_oid
from helios_cli.engine.storage.routine_definitions import routine_name, routine_of
from helios_cli.engine.storage.sequences import split_name
from helios_cli.engine.storage.type_rows import SUPPORT_NAMES, format_type

if TYPE_CHECKING:
    from helios_cli.engine.storage.system_catalog import SystemCatalog

_UNLISTED: Final = {**IO_FUNCTIONS, **TYPE_FUNCTIONS}
"""Functions that the library does not list."""
_NAMES: Final = {oid: name for name, (oid, _) in _UNLISTED.items()}
_ARGUMENT: Final = re.compile(r"""(?:"[^"]*"|\([^)]*\)|[^,("])+""")
"""One type in a list: commas in quotes and in modifiers do not end it."""


class ProcNames:
    """Functions as a connection's catalog has them."""

    def __init__(self, system: SystemCatalog, type_in: Callable[[str], int]) -> None:
        self._system = system
        self._type_in = type_in

    def functions(self) -> dict[str, tuple[Callable[..., Any], int]]:
        """By the names that SQLite knows them by, with the number of arguments."""
        return {
            "pg_regproc_in": (self.by_name, 1), "pg_regproc_out": (self.name, 1),
            "pg_regprocedure_in": (self.by_signature, 1), "pg_regprocedure_out": (self.signature, 1),
            "cat_to_regproc": (or_null(self.by_name), 1), "cat_to_regprocedure": (or_null(self.by_signature), 1),
        }  # fmt: skip

    def by_name(self, text: str) -> int:
        """The OID of the one function of a name. Raises 42883 for none, 42725 for several."""
        if text == "-" or text.isdigit():
            return int(text) if text != "-" else 0
        found = list(self._candidates(text))
        if not found:
            raise SqlError(f'function "{text}" does not exist', sqlstate="42883")
        # Overloads that the library alone has do not make a name ambiguous that is not so in PostgreSQL.
        counted = [oid for oid in found if oid not in FUNCTIONS or oid < FIRST_OID]
        if len(counted) > 1:
            raise SqlError(f'more than one function named "{text}"', sqlstate="42725")
        return (counted or found)[0]

    def by_signature(self, text: str) -> int:
        """The OID of a function by its name and the types of its arguments, ``abs(integer)``.

        Raises:
            SqlError: 22P02 without parentheses, 42704 a type is missing, 42883 the function is.
        """
        if text == "-" or text.isdigit():
            return int(text) if text != "-" else 0
        name, parenthesis, inside = text.partition("(")
        if not parenthesis:
            raise SqlError("expected a left parenthesis", sqlstate="22P02")
        inside = inside.rstrip()
        if not inside.endswith(")"):
            raise SqlError("expected a right parenthesis", sqlstate="22P02")
        types = tuple(self._type_in(part.strip()) for part in _ARGUMENT.findall(inside[:-1]) if part.strip())
        for oid, known in self._candidates(name).items():
            if known is None or known == types:
                return oid
        raise SqlError(f'function "{text}" does not exist', sqlstate="42883")

    def _candidates(self, name: str) -> dict[int, tuple[int, ...] | None]:
        """The functions of a name that the search path finds: OIDs and types of arguments, None where they are not
        known. Raises 3F000.
        """
        schema, plain = split_name(name)
        snapshot = self._system.snapshot()
        schemas = self._system.catalog.search_path if schema is None else (schema,)
        found: dict[int, tuple[int, ...] | None] = {
            routine.oid: routine.signature()
            for routine in snapshot.routines
            if routine.name == plain and routine.schema in schemas
        }
        if schema in (None, "pg_catalog"):
            return {**found, **_built_in(plain)}
        if not found and all(known != schema for _oid, known, _owner in snapshot.namespaces):
            raise SqlError(f'schema "{schema}" does not exist', sqlstate="3F000")
        return found

    def signature(self, oid: Any) -> str:
        """A function's name with its argument types."""
        routine = routine_of(self._system.snapshot(), oid) if isinstance(oid, int) else None
        if routine is not None:
            types = ",".join(format_type(self._system.snapshot(), argument) for argument in routine.signature())
            return f"{routine_name(routine, self._system.path or ('public',))}({types})"
        if (function := FUNCTIONS.get(oid)) is not None:
            return f"{pg_identifier(function.name)}({','.join(map(registry.format_type, function.args))})"
        if oid in operator_functions_by_oid():
            name, arguments = operator_functions_by_oid()[oid]
            return f"{name}({','.join(map(registry.format_type, arguments))})"
        if oid in _NAMES:
            arguments = _UNLISTED[_NAMES[oid]][1][0]
            return f"{_NAMES[oid]}({','.join(map(registry.format_type, arguments))})"
        return self.name(oid)

    def name(self, oid: Any) -> str:
        """A function's name."""
        if oid in _NAMES:
            return _NAMES[oid]
        routine = routine_of(self._system.snapshot(), oid) if isinstance(oid, int) else None
        if routine is not None:
            return routine_name(routine, self._system.path or ("public",))
        if oid in SUPPORT_NAMES:
            return SUPPORT_NAMES[oid]
        if oid in operator_functions_by_oid():
            return operator_functions_by_oid()[oid][0]
        function = FUNCTIONS.get(oid) if isinstance(oid, int) else None
        return function.name if function is not None else str(oid or "-")


def or_null(read: Callable[[str], int]) -> Callable[[str], int | None]:
    """As ``read``, NULL for a missing name; numbers are no names."""

    def call(text: str) -> int | None:
        if text == "-" or text.isdigit():
            return None
        try:
            return read(text)
        except SqlError:
            return None

    return call


def _built_in(name: str) -> dict[int, tuple[int, ...] | None]:
    """PostgreSQL's functions of a name, in the library's order."""
    if name in _UNLISTED:
        oid, (types, _) = _UNLISTED[name]
        return {oid: types}
    if name in OIDS:
        return {oid: function.args for oid, function in FUNCTIONS.items() if function.name == name}
    return dict(behind_operators_named(name))
