"""The node's own tables inside the database file: what SQLite's schema cannot express.

They hold PostgreSQL's view of every object (stable OIDs, types, defaults as PostgreSQL text, constraint
names, sequences, comments, roles), so the catalogs and the planner read these and never guess from SQLite's
text. Objects of the session's temporary schema live in tables of the same shape in ``temp``.
"""

from __future__ import annotations

from typing import Final

FIRST_OID: Final = 16384
"""The first OID of a user object (FirstNormalObjectId, transam.h)."""

FIRST_TEMP_OID: Final = 0x8000_0000
"""OIDs of temporary objects start here, so that they never meet those of the database."""

PUBLIC_OID: Final = 2200
PG_CATALOG_OID: Final = 11
INFORMATION_SCHEMA_OID: Final = 13000
TEMP_SCHEMA_OID: Final = 16000
BOOTSTRAP_ROLE_OID: Final = 10
DATABASE_OID: Final = 16384
"""Tools hide databases below FIRST_OID: those are the system's own."""

PRIVILEGE_TABLE: Final = """CREATE TABLE {db}.helios_privilege(
  classid INTEGER NOT NULL,
  objid INTEGER NOT NULL,
  objsubid INTEGER NOT NULL,
  acl TEXT NOT NULL,
  PRIMARY KEY(classid, objid, objsubid)
) WITHOUT ROWID"""
"""Rights on objects where somebody has changed them: a list of [grantee, grantor, rights, those that may be passed
on] (``engine.sql.privileges``)."""

_OBJECT_TABLES: Final = (
    """CREATE TABLE {db}.helios_meta(
  key TEXT PRIMARY KEY NOT NULL,
  value INTEGER NOT NULL
) WITHOUT ROWID""",
    """CREATE TABLE {db}.helios_relation(
  oid INTEGER PRIMARY KEY,
  nspname TEXT NOT NULL,
  relname TEXT NOT NULL,
  relkind TEXT NOT NULL,
  relowner INTEGER NOT NULL DEFAULT 10,
  sqlite_name TEXT NOT NULL UNIQUE,
  definition TEXT,
  options TEXT,
  UNIQUE(nspname, relname)
)""",
    """CREATE TABLE {db}.helios_attribute(
  relid INTEGER NOT NULL,
  attnum INTEGER NOT NULL,
  attname TEXT NOT NULL,
  typname TEXT NOT NULL,
  atttypid INTEGER NOT NULL,
  atttypmod INTEGER NOT NULL,
  attnotnull INTEGER NOT NULL DEFAULT 0,
  default_text TEXT,
  attidentity TEXT NOT NULL DEFAULT '',
  attgenerated TEXT NOT NULL DEFAULT '',
  sqlite_default INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(relid, attnum)
) WITHOUT ROWID""",
    """CREATE TABLE {db}.helios_index(
  oid INTEGER PRIMARY KEY,
  relid INTEGER NOT NULL,
  indisunique INTEGER NOT NULL,
  indisprimary INTEGER NOT NULL,
  method TEXT NOT NULL,
  keys TEXT NOT NULL,
  include TEXT NOT NULL DEFAULT '[]',
  predicate TEXT
)""",
    "CREATE INDEX {db}.helios_index_relid ON helios_index(relid)",
    """CREATE TABLE {db}.helios_constraint(
  oid INTEGER PRIMARY KEY,
  relid INTEGER NOT NULL,
  conname TEXT NOT NULL,
  contype TEXT NOT NULL,
  conindid INTEGER NOT NULL DEFAULT 0,
  columns TEXT NOT NULL DEFAULT '[]',
  confrelid INTEGER NOT NULL DEFAULT 0,
  confcolumns TEXT NOT NULL DEFAULT '[]',
  confindid INTEGER NOT NULL DEFAULT 0,
  confupdtype TEXT NOT NULL DEFAULT ' ',
  confdeltype TEXT NOT NULL DEFAULT ' ',
  confmatchtype TEXT NOT NULL DEFAULT ' ',
  condeferrable INTEGER NOT NULL DEFAULT 0,
  condeferred INTEGER NOT NULL DEFAULT 0,
  expression TEXT,
  UNIQUE(relid, conname)
)""",
    "CREATE INDEX {db}.helios_constraint_confrelid ON helios_constraint(confrelid) WHERE confrelid <> 0",
    """CREATE TABLE {db}.helios_sequence(
  oid INTEGER PRIMARY KEY,
  seqtypid INTEGER NOT NULL,
  seqstart INTEGER NOT NULL,
  seqincrement INTEGER NOT NULL,
  seqmin INTEGER NOT NULL,
  seqmax INTEGER NOT NULL,
  seqcache INTEGER NOT NULL,
  seqcycle INTEGER NOT NULL,
  last_value INTEGER NOT NULL,
  is_called INTEGER NOT NULL,
  owner_relid INTEGER NOT NULL DEFAULT 0,
  owner_attnum INTEGER NOT NULL DEFAULT 0,
  owner_internal INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0
)""",
    """CREATE TABLE {db}.helios_depend(
  objid INTEGER NOT NULL,
  refobjid INTEGER NOT NULL,
  refcolumn TEXT NOT NULL DEFAULT '',
  PRIMARY KEY(objid, refobjid, refcolumn)
) WITHOUT ROWID""",
    """CREATE TABLE {db}.helios_description(
  objoid INTEGER NOT NULL,
  classoid INTEGER NOT NULL,
  objsubid INTEGER NOT NULL,
  description TEXT NOT NULL,
  PRIMARY KEY(objoid, classoid, objsubid)
) WITHOUT ROWID""",
    PRIVILEGE_TABLE,
)

_NAMESPACE_TABLE: Final = """CREATE TABLE main.helios_namespace(
  oid INTEGER PRIMARY KEY,
  nspname TEXT NOT NULL UNIQUE,
  nspowner INTEGER NOT NULL DEFAULT 10
)"""

_CLUSTER_TABLES: Final = (
    _NAMESPACE_TABLE,
    """CREATE TABLE main.helios_role(
  oid INTEGER PRIMARY KEY,
  rolname TEXT NOT NULL UNIQUE,
  rolpassword TEXT,
  rolsuper INTEGER NOT NULL DEFAULT 0,
  rolinherit INTEGER NOT NULL DEFAULT 1,
  rolcreaterole INTEGER NOT NULL DEFAULT 0,
  rolcreatedb INTEGER NOT NULL DEFAULT 0,
  rolcanlogin INTEGER NOT NULL DEFAULT 0,
  rolreplication INTEGER NOT NULL DEFAULT 0,
  rolbypassrls INTEGER NOT NULL DEFAULT 0,
  rolconnlimit INTEGER NOT NULL DEFAULT -1,
  rolvaliduntil TEXT
)""",
    """CREATE TABLE main.helios_auth_member(
  roleid INTEGER NOT NULL,
  member INTEGER NOT NULL,
  admin_option INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(roleid, member)
) WITHOUT ROWID""",
)

WRITE_TABLE: Final = """CREATE TABLE main.helios_write(
  client BLOB NOT NULL,
  seq INTEGER NOT NULL,
  tag TEXT,
  statement BLOB,
  result TEXT,
  touched TEXT,
  written_us INTEGER NOT NULL,
  PRIMARY KEY(client, seq)
) WITHOUT ROWID"""
"""The writes that clients have named, for an hour: what ``engine.storage.write_ids`` keeps. A directory that was made
without it gets it when its node next begins a term."""

TYPE_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS main.helios_type(
  oid INTEGER PRIMARY KEY,
  nspname TEXT NOT NULL,
  typname TEXT NOT NULL,
  typtype TEXT NOT NULL,
  typowner INTEGER NOT NULL DEFAULT 10,
  definition TEXT NOT NULL DEFAULT '{}',
  UNIQUE(nspname, typname)
)""",
    """CREATE TABLE IF NOT EXISTS main.helios_enum(
  enumtypid INTEGER NOT NULL,
  enumsortorder REAL NOT NULL,
  enumlabel TEXT NOT NULL,
  oid INTEGER NOT NULL,
  PRIMARY KEY(enumtypid, enumlabel)
) WITHOUT ROWID""",
)
"""Types that users made (``sql/ddl_types.py``). A database that was born without them gets them with its first type."""

TOKEN_TABLE: Final = """CREATE TABLE main.helios_token(
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL,
  hash BLOB NOT NULL,
  created_us INTEGER NOT NULL,
  expires_us INTEGER
) WITHOUT ROWID"""
"""Tokens for the HTTP API (``engine.storage.api_tokens``); it comes to older directories as ``helios_write`` does."""

LARGE_OBJECT_TABLES: Final = (
    """CREATE TABLE main.helios_largeobject(
  loid INTEGER NOT NULL,
  pageno INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY(loid, pageno)
) WITHOUT ROWID""",
    """CREATE TABLE main.helios_largeobject_metadata(
  oid INTEGER PRIMARY KEY,
  lomowner INTEGER NOT NULL
)""",
)
"""Large objects (``engine.storage.large_objects``); they come to older directories as ``helios_write`` does."""

ROLE_SETTING_TABLE: Final = """CREATE TABLE main.helios_db_role_setting(
  setdatabase INTEGER NOT NULL,
  setrole INTEGER NOT NULL,
  name TEXT NOT NULL,
  shown TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY(setdatabase, setrole, name)
)"""
"""What ALTER ROLE and ALTER DATABASE have set; 0 is every role or database. ``name`` is in lower case. It comes to
older directories as ``helios_write`` does."""

DATABASE_TABLE: Final = """CREATE TABLE main.helios_database(
  oid INTEGER PRIMARY KEY,
  datname TEXT NOT NULL UNIQUE,
  datdba INTEGER NOT NULL DEFAULT 10,
  datistemplate INTEGER NOT NULL DEFAULT 0,
  datallowconn INTEGER NOT NULL DEFAULT 1,
  datconnlimit INTEGER NOT NULL DEFAULT -1
)"""
"""The databases (``sql/databases.py``); it comes to older directories as ``helios_write`` does."""

FIRST_DATABASE_ROW: Final = f"INSERT INTO main.helios_database(oid, datname) VALUES ({DATABASE_OID}, 'heliosdb')"

CLUSTER_META: Final = 'main."helios_meta"'
"""Where the next OID stands, which all databases take theirs from."""
CLUSTER_PRIVILEGE: Final = 'main."helios_privilege"'
CLUSTER_DESCRIPTION: Final = 'main."helios_description"'
"""Where the rights on databases are, and the comments on databases and roles."""

_SCHEMA_ROWS: Final = (
    "INSERT INTO main.helios_namespace(oid, nspname) VALUES "
    f"({PG_CATALOG_OID}, 'pg_catalog'), ({PUBLIC_OID}, 'public'), ({INFORMATION_SCHEMA_OID}, 'information_schema')"
)

_BIRTH_ROWS: Final = (
    f"INSERT INTO main.helios_meta VALUES ('next_oid', {FIRST_OID})",
    _SCHEMA_ROWS,
    FIRST_DATABASE_ROW,
    "INSERT INTO main.helios_role(oid, rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, "
    f"rolbypassrls) VALUES ({BOOTSTRAP_ROLE_OID}, 'helios', 1, 1, 1, 1, 1, 1)",
)

SYSTEM_SCHEMA: Final[tuple[str, ...]] = (
    tuple(statement.format(db="main") for statement in _OBJECT_TABLES)
    + _CLUSTER_TABLES
    + TYPE_TABLES
    + (WRITE_TABLE, TOKEN_TABLE)
    + LARGE_OBJECT_TABLES
    + (ROLE_SETTING_TABLE, DATABASE_TABLE)
    + _BIRTH_ROWS
)
"""Statements that make a directory's system tables at its birth, in order, in one transaction."""

NEW_DATABASE: Final[tuple[str, ...]] = (
    *(statement.format(db="main") for statement in _OBJECT_TABLES),
    _NAMESPACE_TABLE,
    *TYPE_TABLES,
    *LARGE_OBJECT_TABLES,
    _SCHEMA_ROWS,
)
"""Statements that make the system tables of one more database, as the first one would run them."""

TEMP_SCHEMA: Final[tuple[str, ...]] = (
    *(
        statement.format(db="temp")
        .replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
        .replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS")
        for statement in _OBJECT_TABLES
    ),
    *(statement.replace("main.", "temp.") for statement in TYPE_TABLES),
    f"INSERT OR IGNORE INTO temp.helios_meta VALUES ('next_oid', {FIRST_TEMP_OID})",
)
"""Statements that make the same tables in a session's temporary schema; they change nothing the second time."""

VERSIONS: Final = 1 << 31
"""The version of a catalog is a number below this."""


def new_version(temp: bool, number: int) -> str:
    """The statement that gives the catalog of permanent or of temporary objects another version.

    It stands where SQLite keeps it in a file's first page, so that a connection that has not read the schema of now
    can read it without doing so.
    """
    return f"PRAGMA {'temp' if temp else 'main'}.user_version = {number}"
