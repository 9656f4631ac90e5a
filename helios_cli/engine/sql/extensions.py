"""The extensions that CREATE EXTENSION knows: their types and functions are built in and show once it was run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension as PostgreSQL 15 ships it."""

    name: str
    version: str
    comment: str
    types: tuple[str, ...] = ()
    """Internal names of the types that can be named only when the extension was created; arrays left out."""
    oid: int = 0
    """Of an extension that every database has; 0: it gets one when it is created."""


PLPGSQL: Final = Extension("plpgsql", "1.0", "PL/pgSQL procedural language", oid=13_900)
_LISTED: Final = (
    PLPGSQL,
    Extension("citext", "1.6", "data type for case-insensitive character strings", ("citext",)),
    Extension("hstore", "1.8", "data type for storing sets of (key, value) pairs", ("hstore",)),
    Extension("ltree", "1.2", "data type for hierarchical tree-like structures", ("ltree", "lquery", "ltxtquery")),
    Extension("uuid-ossp", "1.1", "generate universally unique identifiers (UUIDs)"),
    Extension("bloom", "1.0", "bloom access method - signature file based index"),
    Extension("btree_gin", "1.3", "support for indexing common datatypes in GIN"),
    Extension("btree_gist", "1.7", "support for indexing common datatypes in GiST"),
    Extension("pg_trgm", "1.6", "text similarity measurement and index searching based on trigrams"),
    Extension("pgcrypto", "1.3", "cryptographic functions"),
    Extension("unaccent", "1.1", "text search dictionary that removes accents"),
)
EXTENSIONS: Final = {extension.name: extension for extension in _LISTED}
"""By name."""

MEMBER_TYPES: Final = {name: extension.name for extension in _LISTED for name in extension.types}
"""Internal name of a type -> the extension it belongs to."""
TYPE_EXTENSIONS: Final = MEMBER_TYPES | {f"_{name}": extension for name, extension in MEMBER_TYPES.items()}
"""The same with the arrays."""

META_KEY: Final = "extension "
"""helios_meta holds an extension under this, its name, a space and its schema; the value is its OID."""
META_END: Final = "extension!"
"""Every such key is below this."""
