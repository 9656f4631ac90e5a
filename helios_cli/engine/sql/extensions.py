"""The extensions that CREATE EXTENSION knows: their types and functions are built in and show once it was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    functions: str = ""
    """The names of its functions, which can be called by its schema."""
    classes: tuple[str, ...] = ()
    """The names of its operator classes."""


PLPGSQL: Final = Extension("plpgsql", "1.0", "PL/pgSQL procedural language", oid=13_900)
_LISTED: Final = (
    PLPGSQL,
    Extension(
        "citext", "1.6", "data type for case-insensitive character strings", ("citext",),
        functions="max min regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table "
        "replace split_part strpos translate",
    ),
    Extension(
        "hstore", "1.8", "data type for storing sets of (key, value) pairs", ("hstore",),
        functions="akeys avals defined delete each exist hstore hstore_to_array hstore_to_json hstore_to_json_loose "
        "hstore_to_jsonb hstore_to_jsonb_loose hstore_to_matrix skeys slice svals",
        classes=("gin_hstore_ops", "gist_hstore_ops"),
    ),
    Extension(
        "ltree", "1.2", "data type for hierarchical tree-like structures", ("ltree", "lquery", "ltxtquery"),
        functions="index lca ltree2text nlevel subltree subpath text2ltree",
        classes=("gist_ltree_ops", "gist__ltree_ops"),
    ),
    Extension(
        "uuid-ossp", "1.1", "generate universally unique identifiers (UUIDs)",
        functions="uuid_generate_v1 uuid_generate_v1mc uuid_generate_v3 uuid_generate_v4 uuid_generate_v5 uuid_nil "
        "uuid_ns_dns uuid_ns_oid uuid_ns_url uuid_ns_x500",
    ),
    Extension("bloom", "1.0", "bloom access method - signature file based index"),
    Extension("btree_gin", "1.3", "support for indexing common datatypes in GIN"),
    Extension("btree_gist", "1.7", "support for indexing common datatypes in GiST"),
    Extension(
        "pg_trgm", "1.6", "text similarity measurement and index searching based on trigrams",
        functions="show_limit show_trgm similarity strict_word_similarity word_similarity",
        classes=("gin_trgm_ops", "gist_trgm_ops"),
    ),
    Extension(
        "pgcrypto", "1.3", "cryptographic functions",
        functions="armor crypt dearmor decrypt decrypt_iv digest encrypt encrypt_iv gen_random_bytes gen_random_uuid "
        "gen_salt hmac pgp_key_id pgp_pub_decrypt pgp_pub_encrypt pgp_sym_decrypt pgp_sym_encrypt",
    ),
    Extension("unaccent", "1.1", "text search dictionary that removes accents", functions="unaccent"),
)  # fmt: skip
EXTENSIONS: Final = {extension.name: extension for extension in _LISTED}
"""By name."""

MEMBER_TYPES: Final = {name: extension.name for extension in _LISTED for name in extension.types}
"""Internal name of a type -> the extension it belongs to."""
TYPE_EXTENSIONS: Final = MEMBER_TYPES | {f"_{name}": extension for name, extension in MEMBER_TYPES.items()}
"""The same with the arrays."""

FUNCTION_EXTENSIONS: Final = {name: extension.name for extension in _LISTED for name in extension.functions.split()}
"""Name of a function -> the extension that has it, beside PostgreSQL's own of that name."""
CLASS_EXTENSIONS: Final = {name: extension.name for extension in _LISTED for name in extension.classes}
"""Name of an operator class -> the extension that has it."""
SHARED_FUNCTIONS: Final = frozenset((*EXTENSIONS["citext"].functions.split(), "gen_random_uuid"))
"""Those that pg_catalog has as well, which is searched first."""


def is_member_function(names: Sequence[str], created: Mapping[str, tuple[int, str]]) -> bool:
    """Whether a name with its schema is that of a function of an extension; ``created`` has their OIDs and schemas."""
    found = created.get(FUNCTION_EXTENSIONS.get(names[-1], ""))
    return found is not None and len(names) > 1 and names[-2] == found[1]


META_KEY: Final = "extension "
"""helios_meta holds an extension under this, its name, a space and its schema; the value is its OID."""
META_END: Final = "extension!"
"""Every such key is below this."""
