"""The steps that copy a database inside the file, and that remove one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from helios_cli.engine.sql.databases import FileObject, prefix_of
from helios_cli.engine.sql.ddl_render import NEW_EPOCH
from helios_cli.engine.sql.sqltext import quote_identifier, quote_string

_PIECE: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_MADE: Final = ("table", "index", "view", "trigger")
"""In the order in which they are made; rows come behind the tables."""


def copied(objects: Iterable[FileObject], source: int, target: int) -> Iterator[str]:
    """Make everything of one database again for another, whose OID is new. Both are others than the first."""
    before, after = prefix_of(source), prefix_of(target)

    def renamed(found: re.Match[str]) -> str:
        text = found[0]
        return f'"{after}{text[len(before) + 1 :]}' if text.startswith(f'"{before}') else text

    ordered = sorted(objects, key=lambda found: _MADE.index(found.kind))
    for found in (one for one in ordered if one.kind == "table"):
        yield _PIECE.sub(renamed, found.sql)
        listed = ", ".join(map(quote_identifier, found.columns))
        new = quote_identifier(after + found.name.removeprefix(before))
        yield f"INSERT INTO main.{new}({listed}) SELECT {listed} FROM main.{quote_identifier(found.name)}"
    for found in (one for one in ordered if one.kind != "table"):
        yield _PIECE.sub(renamed, found.sql)
    relations = f'main."{after}helios_relation"'
    length = len(before)
    yield (
        f"UPDATE {relations} SET sqlite_name = {quote_string(after)} || substr(sqlite_name, {length + 1}) "
        f"WHERE substr(sqlite_name, 1, {length}) = {quote_string(before)}"
    )
    yield f'UPDATE main."{after}helios_sequence" SET epoch = {NEW_EPOCH}'


def dropped(objects: Iterable[FileObject]) -> Iterator[str]:
    """Remove everything of a database: its views, and its tables with their indexes and triggers."""
    for kind in ("view", "table"):
        for found in objects:
            if found.kind == kind:
                yield f"DROP {kind.upper()} main.{quote_identifier(found.name)}"
