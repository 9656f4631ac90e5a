"""Where PostgreSQL 15 raises the errors that clients meet most: file, line and routine, which some of them look at."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.errors import HeliosError

Source = tuple[str | None, str | None, str | None]
"""File, line and routine; PostgreSQL never sends one of the three without the others."""

NOWHERE: Final[Source] = (None, None, None)
_NAMED: Final = {"exec_stmt_raise": ("pl_exec.c", "3907"), "RevalidateCachedQuery": ("plancache.c", "730")}
"""File and line of the routines that errors name themselves."""

_TABLE: Final = """
21000||nodeSubplan.c|1157|ExecSetParamPlan
22001|value too long for type character varying|varchar.c|632|varchar
22001|value too long for type character(|varchar.c|305|bpchar
22003|smallint out of range|int.c|381|i4toi2
22003|integer out of range|int.c|826|int4pl
22003|bigint out of range|int8.c|531|int8pl
22007|invalid input syntax for type|datetime.c|4048|DateTimeParseError
22008|date/time field value out of range|datetime.c|4028|DateTimeParseError
22012||int.c|869|int4div
22023|invalid value for parameter|guc.c|12085|call_string_check_hook
22P02|invalid input syntax for type integer|numutils.c|232|pg_strtoint32
22P02|invalid input syntax for type smallint|numutils.c|153|pg_strtoint16
22P02|invalid input syntax for type bigint|int8.c|102|scanint8
22P02|invalid input syntax for type boolean|bool.c|151|boolin
22P02|invalid input syntax for type uuid|uuid.c|133|string_to_uuid
22P02|invalid input syntax for type double precision|float.c|484|float8in_internal_opt_error
22P02|invalid input syntax for type numeric|numeric.c|6928|set_var_from_str
22P02|invalid input syntax for type json|jsonfuncs.c|627|json_ereport_error
22P02|malformed array literal|arrayfuncs.c|317|array_in
22P02|invalid input value for enum|enum.c|129|enum_in
23502|null value in column|execMain.c|2039|ExecConstraints
23503||ri_triggers.c|2650|ri_ReportViolation
23505|duplicate key value|nbtinsert.c|664|_bt_check_unique
23514|new row for relation|execMain.c|2090|ExecConstraints
25P01||xact.c|3590|CheckTransactionBlock
25P02||postgres.c|1727|exec_bind_message
26000|prepared statement|prepare.c|451|FetchPreparedStatement
28P01|password authentication failed|auth.c|326|auth_failed
34000|cursor|portalcmds.c|187|PerformPortalFetch
3D000|database|postinit.c|885|InitPostgres
3F000|schema|namespace.c|3099|get_namespace_oid
40001|could not serialize access|heapam.c|3213|heap_update
42501|permission denied for|aclchk.c|2882|aclcheck_error
42601|syntax error|scan.l|1188|scanner_yyerror
42601|trailing junk|scan.l|1188|scanner_yyerror
42701|specified more than once|tablecmds.c|2444|MergeAttributes
42702|column reference|parse_relation.c|898|colNameToVar
42703|column|parse_relation.c|3665|errorMissingColumn
42704|unrecognized configuration parameter|guc.c|5766|find_option
42704|type|parse_type.c|270|typenameType
42710|role|user.c|308|CreateRole
42803|must appear in the GROUP BY clause|parse_agg.c|1484|check_ungrouped_columns_walker
42803|aggregate functions are not allowed|parse_agg.c|603|check_agglevels_and_constraints
42883|operator does not exist|parse_oper.c|647|op_error
42883|function|parse_func.c|629|ParseFuncOrColumn
42P01|relation|parse_relation.c|1392|parserOpenTable
42P01|table|tablecmds.c|1331|DropErrorMsgNonExistent
42P01|missing FROM-clause entry|parse_relation.c|3597|errorMissingRTE
42P01|invalid reference to FROM-clause entry|parse_relation.c|3581|errorMissingRTE
42P05||prepare.c|404|StorePreparedStatement
42P06||pg_namespace.c|62|NamespaceCreate
42P07|relation|heap.c|1454|heap_create_with_catalog
42P10|position|parse_clause.c|2018|findTargetlistEntrySQL92
55P03||postgres.c|3310|ProcessInterrupts
57014||postgres.c|3331|ProcessInterrupts
57P01||postgres.c|3246|ProcessInterrupts
"""
"""SQLSTATE, how the message begins or what it holds, file, line, routine; the first that fits counts."""


def _read() -> dict[str, list[tuple[str, Source]]]:
    table: dict[str, list[tuple[str, Source]]] = {}
    for row in _TABLE.strip().splitlines():
        sqlstate, part, file, line, routine = row.split("|")
        table.setdefault(sqlstate, []).append((part, (file, line, routine)))
    return table


_BY_STATE: Final = _read()


def source_of(error: HeliosError) -> Source:
    """Where PostgreSQL would have raised an error; :data:`NOWHERE` for one that is not known."""
    if error.routine:
        return (*_NAMED.get(error.routine, (None, None)), error.routine)
    return next((source for part, source in _BY_STATE.get(error.sqlstate, ()) if part in error.message), NOWHERE)
