"""What may come next: keywords, and the tables and columns of the database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from helios_cli.commands.shell.meta import HELP

# fmt: off
KEYWORDS: Final = (
    "ABORT", "ADD", "ALL", "ALTER", "ANALYZE", "AND", "AS", "ASC", "BEGIN", "BETWEEN", "BY", "CASCADE", "CASE",
    "CAST", "CHECK", "COLLATE", "COLUMN", "COMMIT", "CONFLICT", "CONSTRAINT", "COPY", "COUNT", "CREATE", "CROSS",
    "CURRENT_TIMESTAMP", "DEFAULT", "DELETE", "DESC", "DISTINCT", "DO", "DROP", "ELSE", "END", "EXCEPT", "EXISTS",
    "EXPLAIN", "FALSE", "FETCH", "FOREIGN", "FROM", "FULL", "GROUP", "HAVING", "IF", "IN", "INDEX", "INNER",
    "INSERT", "INTERSECT", "INTO", "IS", "JOIN", "KEY", "LEFT", "LIKE", "LIMIT", "LISTEN", "NOT", "NOTHING",
    "NOTIFY", "NULL", "OFFSET", "ON", "OR", "ORDER", "OUTER", "PRIMARY", "REFERENCES", "RENAME", "RESET",
    "RETURNING", "RIGHT", "ROLLBACK", "SAVEPOINT", "SELECT", "SEQUENCE", "SET", "SHOW", "TABLE", "THEN", "TO",
    "TRANSACTION", "TRUE", "TRUNCATE", "UNION", "UNIQUE", "UPDATE", "USING", "VACUUM", "VALUES", "VIEW", "WHEN",
    "WHERE", "WITH",
)
# fmt: on
NAMES_QUERY: Final = (
    "SELECT c.relname, a.attname FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid "
    "WHERE c.relkind IN ('r', 'v', 'm', 'p') AND a.attnum > 0 AND NOT a.attisdropped "
    "AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, a.attnum LIMIT 20000"
)
"""Relation and column of every row; bounded, because a prompt must not wait."""

_COMMANDS: Final = tuple(sorted({word for one in HELP for word in re.findall(r"\\\S+", one.usage)}))
_AFTER_RELATION: Final = re.compile(
    r"\b(from|join|into|update|table|truncate|copy|\\d\S*)\s+(?:only\s+)?\S*$", re.IGNORECASE
)


class SqlCompleter(Completer):
    """Completes the word before the cursor.

    Args:
        names: gives the columns of each relation; called before every completion, so it should remember.
    """

    def __init__(self, names: Callable[[], dict[str, list[str]]]) -> None:
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Candidates, names of the database before keywords."""
        before = document.text_before_cursor
        if before.startswith("\\") and " " not in before:
            yield from (Completion(name, -len(before)) for name in _COMMANDS if name.startswith(before))
            return
        word = re.search(r"[\w.\"]*$", before)
        assert word is not None
        prefix = word[0]
        yield from (Completion(text, -len(prefix.rpartition(".")[2])) for text in self.candidates(before, prefix))

    def candidates(self, before: str, prefix: str) -> list[str]:
        """Words that begin with ``prefix`` and fit at the end of ``before``."""
        relations = self._names()
        owner, dot, last = prefix.rpartition(".")
        if dot:
            return [name for name in relations.get(owner, []) if name.startswith(last)]
        if _AFTER_RELATION.search(before):
            return [name for name in relations if name.startswith(prefix)]
        columns = {name for relation, names in relations.items() if relation in before for name in names}
        found = sorted(name for name in {*columns, *relations} if name.startswith(prefix))
        if not prefix:
            return found
        return found + [word for word in KEYWORDS if word.startswith(prefix.upper())]
