"""The bodies of new functions, looked through when they are created."""

from __future__ import annotations

from helios_cli.engine.datatypes.usertypes import is_row, kind_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce, type_name
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.inner import InnerPlanner
from helios_cli.engine.sql.oids import POLYMORPHIC, RECORD, UNKNOWN, VOID
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.planner import Planner, parse
from helios_cli.engine.sql.plpgsql.program import parse_program
from helios_cli.engine.sql.plpgsql.source import bare_return, valued_return
from helios_cli.engine.sql.routine_text import declared_arguments, header_of
from helios_cli.engine.sql.routine_variables import ArgumentNames
from helios_cli.engine.sql.routines import Routine, result_columns


def check_body(builder: Builder, routine: Routine) -> None:
    """Look whether a body can be run.

    Raises:
        SqlError: it cannot, as PostgreSQL says it.
    """
    if routine.language == "plpgsql":
        names = [argument.name for argument in routine.arguments]

        def is_row(text: str) -> bool:
            return _is_row(builder, text)

        parse_program(header_of(routine), routine.body, routine.name, names, is_row, declared_arguments(routine))
        _check_parameters(builder, routine)
        if not (routine.returns_set or routine.result == VOID or routine.kind == "p" or result_columns(routine)):
            _check_returns(builder, routine.body)
        return
    if routine.is_trigger:
        raise builder.error("42P13", "SQL functions cannot return type trigger")
    _check_sql(builder, routine)


def _check_returns(builder: Builder, body: str) -> None:
    """Refuse a RETURN without a value. Raises SqlError 42601."""
    at = bare_return(body)
    if at is not None:
        start = builder.source.find(body)
        where = len(builder.source[: start + at].encode()) if start >= 0 else -1
        raise builder.error("42601", 'missing expression at or near ";"', where)


def _check_parameters(builder: Builder, routine: Routine) -> None:
    """Refuse a RETURN with a value where none is returned so (make_return_stmt, pl_gram.y). Raises 42804, 42601."""
    hint = None
    if routine.kind == "p":
        state, where = "42601", "a procedure"
    elif routine.returns_set:
        state, where, hint = "42804", "function returning set", "Use RETURN NEXT or RETURN QUERY."
    elif routine.result == VOID:
        state, where = "42804", "function returning void"
    elif routine.outputs:
        state, where = "42804", "function with OUT parameters"
    else:
        return
    at = valued_return(routine.body)
    if at is not None:
        start = builder.source.find(routine.body)
        place = len(builder.source[: start + at].encode()) if start >= 0 else -1
        raise builder.error(state, f"RETURN cannot have a parameter in {where}", place, hint=hint)


def _is_row(builder: Builder, text: str) -> bool:
    if not text.replace(".", "").replace("_", "").replace('"', "").isalnum():
        return False
    names = [part.strip('"') if part.startswith('"') else part.lower() for part in text.split(".")]
    schema = names[-2] if len(names) > 1 else None
    if builder.catalog.relation(schema, names[-1]) is not None:
        return True
    made = builder.catalog.user_type(schema, names[-1])
    return made is not None and made.kind == "c"


def _check_sql(builder: Builder, routine: Routine) -> None:
    if any(argument.type_oid in POLYMORPHIC for argument in routine.arguments):
        # What its types are is known when it is called.
        statements_of(routine)
        return
    base = Planner(builder.functions)
    context = f'SQL function "{routine.name}"'
    try:
        statements = statements_of(routine)
        last = None
        for text in statements:
            kind = tree.tag(parse(text)[0].node)
            if kind in ("TransactionStmt",):
                raise builder.error("0A000", f"{_first_words(text)} is not allowed in an SQL function")
            if kind not in ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"):
                last = None
                continue
            last = InnerPlanner(base, ArgumentNames(routine)).statement(text, builder.catalog).plan
        _check_result(builder, routine, last)
    except SqlError as error:
        if error.position is None:
            error.context = error.context or context
        error.position = None
        raise


def _first_words(text: str) -> str:
    return text.split()[0].upper()


def statements_of(routine: Routine) -> list[str]:
    """The statements of a function in SQL."""
    text = routine.body
    if routine.sql_body:
        text = routine.sql_body
        is_expression = text[:6].lower() == "return"
        text = f"SELECT {text[6:]}" if is_expression else text[5:].lstrip()[6:].rstrip()[:-3]
    return [statement.text for statement in parse(text)]


def _check_result(builder: Builder, routine: Routine, last: Plan | None) -> None:
    wanted = [oid for _, oid in result_columns(routine)] or [routine.result]
    relation = builder.catalog.relation_by_oid(routine.relation) if routine.relation else None
    made = builder.catalog.type_by_oid(routine.result) if is_row(routine.result) else None
    if made is not None:
        wanted = [field.type_oid for field in made.fields]
    elif routine.relation:
        wanted = [column.type_oid for column in relation.columns] if relation is not None else wanted
    if routine.result == VOID:
        return
    domains = {oid: builder.catalog.type_by_oid(oid) for oid in wanted if kind_of(oid) == "d"}
    wanted = [found.base_oid if (found := domains.get(oid)) is not None else oid for oid in wanted]
    shown = type_name(routine.result)
    if relation is not None:
        shown = relation.name
    message = f"return type mismatch in function declared to return {shown}"
    if last is None or last.columns is None:
        detail = "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING."
        raise builder.error("42P13", message, detail=detail)
    columns = last.columns
    if routine.result == RECORD and not routine.outputs:
        return
    if is_row(routine.result) and len(columns) == 1 and is_row(columns[0].type_oid):
        return
    if len(columns) != len(wanted):
        if len(wanted) == 1:
            detail = "Final statement must return exactly one column."
        else:
            few = len(columns) < len(wanted)
            detail = f"Final statement returns too {'few' if few else 'many'} columns."
        raise builder.error("42P13", message, detail=detail)
    for position, (column, oid) in enumerate(zip(columns, wanted, strict=True), 1):
        if (
            column.type_oid != oid
            and column.type_oid != UNKNOWN
            and not can_coerce(column.type_oid, oid, How.ASSIGNMENT)
        ):
            actual = type_name(column.type_oid)
            detail = f"Actual return type is {actual}."
            if len(wanted) > 1:
                detail = f"Final statement returns {actual} instead of {type_name(oid)} at column {position}."
            raise builder.error("42P13", message, detail=detail)
