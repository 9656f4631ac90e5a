"""CREATE FUNCTION and CREATE PROCEDURE."""

from __future__ import annotations

import re
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import relation_of
from helios_cli.engine.sql import grammar, tree
from helios_cli.engine.sql.body_names import with_schemas
from helios_cli.engine.sql.coercion import element_of, type_name
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_deparse import deparse
from helios_cli.engine.sql.ddl_ownership import function_defaults
from helios_cli.engine.sql.ddl_render import refuse_temporary
from helios_cli.engine.sql.ddl_type_rights import TRUSTED, check_language, check_types
from helios_cli.engine.sql.oids import ANYARRAY, ANYCOMPATIBLEARRAY, POLYMORPHIC, RECORD, TRIGGER, VOID
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.rights import not_owner
from helios_cli.engine.sql.routines import Argument, Routine, result_columns
from helios_cli.engine.sql.sqltext import constant
from helios_cli.engine.sql.typenames import resolve_type

_MODES: Final = {
    "FUNC_PARAM_DEFAULT": "i", "FUNC_PARAM_IN": "i", "FUNC_PARAM_OUT": "o", "FUNC_PARAM_INOUT": "b",
    "FUNC_PARAM_VARIADIC": "v", "FUNC_PARAM_TABLE": "t",
}  # fmt: skip
_VOLATILITY: Final = {"volatile": "v", "stable": "s", "immutable": "i"}
PSEUDO: Final = {"void": VOID, "record": RECORD, "trigger": TRIGGER}
ARGUMENTS_MAX: Final = 100
_ANY_ARRAYS: Final = (ANYARRAY, ANYCOMPATIBLEARRAY)

_TRIGGER_TABLE: Final = """CREATE TABLE IF NOT EXISTS {}.helios_trigger(
  oid INTEGER PRIMARY KEY,
  relid INTEGER NOT NULL,
  tgname TEXT NOT NULL,
  definition TEXT NOT NULL,
  UNIQUE(relid, tgname)
)"""

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS main.helios_function(
  oid INTEGER PRIMARY KEY,
  nspname TEXT NOT NULL,
  proname TEXT NOT NULL,
  proowner INTEGER NOT NULL DEFAULT 10,
  definition TEXT NOT NULL
)""",
    "CREATE INDEX IF NOT EXISTS main.helios_function_name ON helios_function(proname)",
    _TRIGGER_TABLE.format("main"),
)
"""What holds functions and triggers; a directory gets it with its first one."""

TEMP_TRIGGERS: Final = _TRIGGER_TABLE.format("temp")
"""What holds the triggers of a session's temporary tables."""


def create_function(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE [OR REPLACE] FUNCTION or PROCEDURE.

    Raises:
        SqlError: PostgreSQL's own, errors of the body among them.
    """
    is_procedure = bool(fields.get("is_procedure"))
    names = tree.strings(fields["funcname"])
    schema = creation_schema(builder, names)
    arguments = [_argument(builder, node["FunctionParameter"]) for node in fields.get("parameters", [])]
    _check_arguments(builder, arguments)
    routine = Routine(
        0, schema, names[-1], builder.catalog.acting.oid, "p" if is_procedure else "f", "", arguments, VOID, cost=100,
    )  # fmt: skip
    _result(builder, routine, fields.get("returnType"))
    for node in fields.get("options", []):
        set_option(builder, routine, node["DefElem"])
    _body(builder, routine, fields)
    routine.rows = routine.rows or (1000 if routine.returns_set else 0)
    check_language(builder, routine.language)
    check_types(builder, *(argument.type_oid for argument in routine.arguments), routine.result)
    refuse_temporary(routine.result, *(argument.type_oid for argument in routine.arguments))
    existing = find_same(builder, routine)
    if existing is not None:
        _check_replace(builder, routine, existing, bool(fields.get("replace")))
        if not builder.rightful().owns(existing.owner):
            raise not_owner("procedure" if is_procedure else "function", routine.name)
        routine.oid, routine.owner = existing.oid, existing.owner
    else:
        routine.oid = builder.oid(temp=False)
    from helios_cli.engine.sql.routine_bodies import check_body

    if builder.catalog.checks_bodies or routine.sql_body:
        check_body(builder, routine)
    builder.touch(False)
    builder.add(*TABLES, store(routine))
    if existing is None:
        builder.add(*function_defaults(builder, routine.oid, schema))
    return builder.finish("CREATE PROCEDURE" if is_procedure else "CREATE FUNCTION")


def store(routine: Routine) -> str:
    """The statement that keeps a routine."""
    return (
        f"INSERT OR REPLACE INTO main.helios_function VALUES ({routine.oid}, {constant(routine.schema)}, "
        f"{constant(routine.name)}, {routine.owner}, {constant(routine.to_json())})"
    )


def creation_schema(builder: Builder, names: list[str]) -> str:
    """Where a new routine goes. Raises SqlError 3F000, 42501."""
    range_var: dict[str, Any] = {"relname": names[-1]}
    if len(names) > 1:
        range_var["schemaname"] = names[-2]
    return builder.creation_schema(range_var)


def _argument(builder: Builder, fields: dict[str, Any]) -> Argument:
    mode = _MODES[fields.get("mode", "FUNC_PARAM_DEFAULT")]
    type_oid = argument_type(builder, fields["argType"])
    default = deparse(fields["defexpr"], None, type_oid) if "defexpr" in fields else None
    return Argument(fields.get("name", ""), type_oid, mode, default)


def argument_type(builder: Builder, fields: dict[str, Any]) -> int:
    """The type of a parameter or result. Raises SqlError 42704."""
    names = tree.strings(fields["names"])
    if fields.get("pct_type"):
        relation = builder.catalog.relation(names[-3] if len(names) > 2 else None, names[-2])
        column = next((c for c in relation.columns if c.name == names[-1]), None) if relation else None
        if relation is None:
            raise builder.error("42P01", f'relation "{".".join(names[:-1])}" does not exist')
        if column is None:
            raise builder.error("42703", f'column "{names[-1]}" of relation "{names[-2]}" does not exist')
        return column.type_oid
    if names[-1] in PSEUDO and (len(names) == 1 or names[0] == "pg_catalog"):
        return PSEUDO[names[-1]]
    return resolve_type({**fields, "location": -1}, builder.context())[0]


def _check_arguments(builder: Builder, arguments: list[Argument]) -> None:
    if len(arguments) > ARGUMENTS_MAX:
        raise builder.error("54023", f"functions cannot have more than {ARGUMENTS_MAX} arguments")
    with_default = False
    seen: set[tuple[str, bool]] = set()
    for argument in arguments:
        if argument.mode in ("i", "b", "v"):
            if with_default and argument.default is None:
                message = "input parameters after one with a default value must also have defaults"
                raise builder.error("42P13", message)
            with_default |= argument.default is not None
        elif argument.default is not None:
            raise builder.error("42P13", "only input parameters can have default values")
        if argument.mode == "v" and not element_of(argument.type_oid) and argument.type_oid not in _ANY_ARRAYS:
            raise builder.error("42P13", "VARIADIC parameter must be an array")
        if argument.type_oid in (TRIGGER, VOID):
            what = type_name(argument.type_oid)
            raise builder.error("42P13", f"{builder_word(argument)} cannot accept type {what}")
        key = (argument.name, argument.mode in ("o", "t"))
        if argument.name and (key in seen or (argument.mode == "b" and (argument.name, True) in seen)):
            raise builder.error("42P13", f'parameter name "{argument.name}" used more than once')
        seen.add(key)


def builder_word(_argument: Argument) -> str:
    """Whose parameters a message is about."""
    return "functions"


def _result(builder: Builder, routine: Routine, fields: dict[str, Any] | None) -> None:
    outputs = routine.outputs
    implied = VOID if not outputs else outputs[0].type_oid if len(outputs) == 1 else RECORD
    if routine.kind == "p":
        routine.result = RECORD if outputs else VOID
        return
    if fields is None:
        if not outputs:
            raise builder.error("42P13", "function result type must be specified")
        routine.result = implied
        return
    routine.returns_set = bool(fields.get("setof"))
    _check_polymorphic(builder, routine, argument_type(builder, fields))
    table = any(argument.mode == "t" for argument in routine.arguments)
    routine.result = implied if table else argument_type(builder, fields)
    if not fields.get("arrayBounds"):
        # The row type of a table: what depends on the table is found by its OID.
        routine.relation = relation_of(routine.result)
    if outputs and not table and routine.result != implied:
        shown = type_name(implied)
        raise builder.error("42P13", f"function result type must be {shown} because of OUT parameters")


_ELEMENTS: Final = "anyelement, anyarray, anynonarray, anyenum, anyrange, or anymultirange"
_COMPATIBLE: Final = (
    "anycompatible, anycompatiblearray, anycompatiblenonarray, anycompatiblerange, or anycompatiblemultirange"
)


def _check_polymorphic(builder: Builder, routine: Routine, result: int) -> None:
    """Refuse a result whose type the arguments of a call would not tell (check_valid_polymorphic_signature). 42P13."""
    name = type_name(result)
    if result not in POLYMORPHIC:
        return
    listed = _COMPATIBLE if name.startswith("anycompatible") else _ELEMENTS
    if name.endswith("range"):
        stem = "anycompatible" if name.startswith("anycompatible") else "any"
        listed = f"{stem}range or {stem}multirange"
    words = listed.replace(" or ", " ").replace(",", "").split()
    if not any(type_name(argument.type_oid) in words for argument in routine.inputs):
        detail = f"A result of type {name} requires at least one input of type {listed}."
        raise builder.error("42P13", "cannot determine result data type", detail=detail)


def set_option(builder: Builder, routine: Routine, option: dict[str, Any]) -> None:
    """Apply one clause of CREATE or ALTER FUNCTION."""
    name, argument = option["defname"], option.get("arg", {})
    if name == "language":
        routine.language = argument["String"]["sval"].lower()
    elif name == "volatility":
        routine.volatility = _VOLATILITY[argument["String"]["sval"]]
    elif name == "strict":
        routine.strict = bool(argument["Boolean"].get("boolval"))
    elif name == "security":
        routine.security_definer = bool(argument["Boolean"].get("boolval"))
    elif name == "leakproof":
        routine.leakproof = bool(argument["Boolean"].get("boolval"))
    elif name == "parallel":
        _parallel(builder, routine, argument["String"]["sval"].lower())
    elif name in ("cost", "rows"):
        _estimate(builder, routine, name, argument)
    elif name == "set":
        _setting(routine, argument["VariableSetStmt"])
    elif name in ("window", "transform", "support"):
        raise unsupported(f"{name.upper()} of a function")


def _parallel(builder: Builder, routine: Routine, word: str) -> None:
    if word not in ("safe", "restricted", "unsafe"):
        raise builder.error("22023", 'parameter "parallel" must be SAFE, RESTRICTED, or UNSAFE')
    routine.parallel = word[0]


def _estimate(builder: Builder, routine: Routine, name: str, argument: dict[str, Any]) -> None:
    number = argument.get("Integer", argument.get("Float", {}))
    value = float(number.get("ival", number.get("fval", 0)))
    if value <= 0:
        raise builder.error("22023", f"{name.upper()} must be positive")
    if name == "rows" and not routine.returns_set:
        raise builder.error("22023", "ROWS is not applicable when function does not return a set")
    setattr(routine, name, value)


def _setting(routine: Routine, fields: dict[str, Any]) -> None:
    if fields["kind"] == "VAR_RESET_ALL":
        routine.settings.clear()
    elif fields["kind"] in ("VAR_RESET", "VAR_SET_DEFAULT"):
        routine.settings.pop(fields["name"], None)
    elif fields["kind"] == "VAR_SET_VALUE":
        values = [str(tree.const_value(node["A_Const"])) for node in fields.get("args", []) if "A_Const" in node]
        routine.settings[fields["name"]] = ", ".join(values)
    else:
        raise unsupported("SET ... FROM CURRENT of a function")


def _body(builder: Builder, routine: Routine, fields: dict[str, Any]) -> None:
    texts = next(
        (node["DefElem"]["arg"]["List"]["items"] for node in fields.get("options", [])
         if node["DefElem"]["defname"] == "as"), None,
    )  # fmt: skip
    if "sql_body" in fields:
        if texts is not None:
            raise builder.error("42P13", "duplicate function body specified")
        routine.language = routine.language or "sql"
        if routine.language != "sql":
            raise builder.error("42P13", "inline SQL function body only valid for language SQL")
        routine.sql_body = _standard_body(builder, fields["sql_body"])
        return
    if not routine.language:
        raise builder.error("42P13", "no language specified")
    if routine.language not in TRUSTED:
        if routine.language in ("c", "internal"):
            raise unsupported(f"language {routine.language}", "Write the function in SQL or PL/pgSQL.")
        message = f'language "{routine.language}" does not exist'
        raise builder.error("42704", message)
    if texts is None:
        raise builder.error("42P13", "no function body specified")
    if len(texts) > 1:
        raise builder.error("42P13", f'only one AS item needed for language "{routine.language}"')
    routine.body = texts[0]["String"].get("sval", "")


def _standard_body(builder: Builder, node: dict[str, Any]) -> str:
    """The text of RETURN or BEGIN ATOMIC ... END: it reaches to the end of the statement."""
    source = builder.source
    parsed: Any = grammar.parse(source)
    if len(parsed) != 1:
        raise unsupported("a standard function body among other statements", "Send it alone, or use AS.")
    word = r"\bRETURN\b(?!S)" if "ReturnStmt" in node else r"\bBEGIN\s+ATOMIC\b"
    found = list(re.finditer(word, source, re.IGNORECASE))
    if not found:
        raise unsupported("this function body")
    start = found[0].start() if "ReturnStmt" not in node else found[-1].start()
    body = parsed[0]["stmt"]["CreateFunctionStmt"]["sql_body"]
    return with_schemas(builder.catalog, body, source, start).rstrip().rstrip(";").rstrip()


def find_same(builder: Builder, routine: Routine) -> Routine | None:
    """The routine of the same schema, name and input types."""
    for known in builder.catalog.routines(routine.schema, routine.name):
        if known.signature() == routine.signature():
            return known
    return None


def _check_replace(builder: Builder, routine: Routine, existing: Routine, replace: bool) -> None:
    shown = f"{routine.name}({', '.join(type_name(oid) for oid in routine.signature())})"
    if not replace:
        message = f'function "{routine.name}" already exists with same argument types'
        raise builder.error("42723", message)
    if existing.kind != routine.kind:
        word = "function" if existing.kind == "f" else "procedure"
        raise builder.error("42809", "cannot change routine kind", detail=f'"{routine.name}" is a {word}.')
    if (existing.result, existing.returns_set, existing.relation) != (
        routine.result, routine.returns_set, routine.relation,
    ):  # fmt: skip
        word = "function" if routine.kind == "f" else "procedure"
        hint = f"Use DROP {word.upper()} {shown.replace(', ', ',')} first."
        raise builder.error("42P13", "cannot change return type of existing function", hint=hint)
    if result_columns(existing) != result_columns(routine):
        raise builder.error(
            "42P13",
            "cannot change return type of existing function",
            detail="Row type defined by OUT parameters is different.",
            hint=f"Use DROP FUNCTION {shown.replace(', ', ',')} first.",
        )
    for old, new in zip(existing.inputs, routine.inputs, strict=True):
        if old.name and old.name != new.name:
            raise builder.error(
                "42P13", f'cannot change name of input parameter "{old.name}"',
                hint=f"Use DROP FUNCTION {shown.replace(', ', ',')} first.",
            )  # fmt: skip
        if old.default is not None and new.default is None:
            raise builder.error(
                "42P13", "cannot remove parameter defaults from existing function",
                hint=f"Use DROP FUNCTION {shown.replace(', ', ',')} first.",
            )  # fmt: skip
