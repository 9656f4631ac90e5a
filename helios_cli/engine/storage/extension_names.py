"""The schemas of types, functions and operator classes of extensions in texts, where a search path leaves them out."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.sql.ddl_deparse import with_operator_schemas
from helios_cli.engine.sql.extensions import (
    CLASS_EXTENSIONS,
    FUNCTION_EXTENSIONS,
    MEMBER_TYPES,
    PLPGSQL,
    SHARED_FUNCTIONS,
    TYPE_EXTENSIONS,
)
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.storage.system_snapshot import Snapshot

Places = tuple[tuple[str, str], ...]
"""Extensions with the schemas that they were created in."""

_WITH_OPERATORS: Final = frozenset(("citext", "hstore", "ltree", "pg_trgm"))
_TYPE_OIDS: Final = frozenset(
    found.oid for name in MEMBER_TYPES if (found := registry.by_internal_name(name)) is not None
)
_NAMED_TYPE: Final = re.compile(rf"::(?:{'|'.join(MEMBER_TYPES)})\b")
_QUOTED: Final = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""


def hidden_places(snapshot: Snapshot) -> Places:
    """The extensions whose schemas the search path does not show."""
    return tuple(
        (name, schema)
        for name, (_oid, schema) in snapshot.extensions.items()
        if name != PLPGSQL.name and schema not in snapshot.path
    )


def with_prefix(snapshot: Snapshot, name: str, extensions: dict[str, str]) -> str:
    """A name with the schema of its extension in front where the path does not show it; ``extensions`` tells whose."""
    schema = dict(hidden_places(snapshot)).get(extensions.get(name, ""))
    return f"{pg_identifier(schema)}.{name}" if schema is not None else name


def class_name(snapshot: Snapshot, name: str) -> str:
    """An operator class as it is shown."""
    return with_prefix(snapshot, name, CLASS_EXTENSIONS)


def type_text(snapshot: Snapshot, shown: str) -> str:
    """A built-in type as it is shown: ``public.citext[]``."""
    return with_prefix(snapshot, shown.removesuffix("[]"), TYPE_EXTENSIONS) + "[]" * shown.endswith("[]")


def members(snapshot: Snapshot) -> tuple[dict[str, str], dict[str, str]]:
    """The functions and the types that need their schemas, with these."""
    places = dict(hidden_places(snapshot))
    functions = {
        name: places[extension]
        for name, extension in FUNCTION_EXTENSIONS.items()
        if extension in places and name not in SHARED_FUNCTIONS
    }
    return functions, {name: places[extension] for name, extension in MEMBER_TYPES.items() if extension in places}


def with_operators(snapshot: Snapshot, text: str, types: tuple[tuple[str, int], ...], pretty: bool) -> str:
    """A stored expression over columns of these types, the operators of extensions with their schemas where the search
    path does not show these.
    """
    places = tuple(place for place in hidden_places(snapshot) if place[0] in _WITH_OPERATORS)
    known = {oid for _name, oid in types}
    if not places or not (known & _TYPE_OIDS or "%" in text or _NAMED_TYPE.search(text)):
        return text
    try:
        return with_operator_schemas(text, types, places, pretty)
    except FeatureNotSupported:
        return text


def expression_text(snapshot: Snapshot, text: str, *, declares: bool = False) -> str:
    """A stored expression; with ``declares`` a list of arguments or a result, where types stand by themselves."""
    if not hidden_places(snapshot):
        return text
    functions, types = members(snapshot)

    def shown(found: re.Match[str]) -> str:
        if found["call"]:
            return f"{pg_identifier(functions[found['call']])}.{found['call']}"
        return f"{pg_identifier(types[found['type']])}.{found['type']}" if found["type"] else found[0]

    return _pattern(tuple(functions), tuple(types), declares).sub(shown, text)


@lru_cache(maxsize=256)
def _pattern(functions: tuple[str, ...], types: tuple[str, ...], declares: bool) -> re.Pattern[str]:
    """What finds the names outside of quotes."""
    calls, named = ("|".join(known) or "(?!)" for known in (functions, types))
    typed = rf"(?<=::)(?:{named})\b" + (rf"|(?<![\w$.\"])(?:{named})(?=\[\]|,|\)|$| DEFAULT)" if declares else "")
    return re.compile(rf"{_QUOTED}|(?<![\w$.])(?P<call>{calls})(?=\()|(?P<type>{typed})")


__all__ = ["class_name", "expression_text", "hidden_places", "members", "type_text"]
