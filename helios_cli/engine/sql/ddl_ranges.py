"""CREATE TYPE ... AS RANGE, and the multirange type that is made beside it (DefineRange, typecmds.c)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.orders import comparison
from helios_cli.engine.datatypes.usertypes import RANGE_NUMBERS, SUBTYPE_MAX, kind_of, range_oid
from helios_cli.engine.sql import operator_functions, tree
from helios_cli.engine.sql.ddl_build import TEMP_SCHEMA_NAME, Builder, unsupported
from helios_cli.engine.sql.ddl_types import check_free, new_name, type_row
from helios_cli.engine.sql.expressions import find_collation
from helios_cli.engine.sql.oids import FLOAT8, TIMESTAMPTZ
from helios_cli.engine.sql.opclasses import BY_NAME, default_class, takes
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.text_collations import DEFAULT_OID, C, is_collatable
from helios_cli.engine.sql.typenames import resolve_type

_ATTRIBUTES: Final = (
    "subtype", "subtype_opclass", "collation", "canonical", "subtype_diff", "multirange_type_name",
)  # fmt: skip
NAME_BYTES_MAX: Final = 63


@dataclass(slots=True)
class _Subtype:
    oid: int
    """As it was named: a domain's own."""
    base: int
    """What bounds are kept as."""
    typmod: int


def create_range(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE TYPE ... AS RANGE.

    Raises:
        SqlError: 42601 no subtype, an attribute that is none or is there twice; 42710 a name is taken; 42704 a type,
            operator class or collation is not there; 42804 and 42809 it does not go with the subtype; 0A000.
    """
    given = _attributes(builder, fields)
    schema, name = new_name(builder, tree.strings(fields["typeName"]))
    if schema == TEMP_SCHEMA_NAME:
        raise unsupported("a temporary range", "Create it in a schema.")
    if "canonical" in given:
        hint = "Create the type as a shell type, then create its canonicalization function, then do a full CREATE TYPE."
        message = "cannot specify a canonical function without a pre-created shell type"
        raise builder.error("42P17", message, hint=hint)
    if "subtype" not in given:
        raise builder.error("42601", 'type attribute "subtype" is required')
    subtype = _subtype(builder, given["subtype"]["TypeName"])
    opclass = _opclass(builder, subtype, given.get("subtype_opclass"))
    collation = _collation(builder, subtype, given.get("collation"))
    if kind_of(subtype.base) or comparison(subtype.base, registry.by_oid(subtype.base).elem_oid) is None:
        raise unsupported("a range over this type", "Ranges are over built-in types that have an order.")
    if subtype.base == TIMESTAMPTZ:
        raise unsupported("a range over timestamp with time zone", "Use tstzrange.")
    diff = _difference(builder, subtype, given.get("subtype_diff"))
    many_schema, many = _multirange_name(builder, schema, name, given.get("multirange_type_name"))
    oid = _free_oid(builder, subtype.base)
    definition = {
        "base": subtype.base, "typmod": subtype.typmod, "subtype": subtype.oid, "opclass": opclass,
        "collation": collation, "diff": diff,
    }  # fmt: skip
    builder.add(*type_row(builder, oid, schema, name, "r", definition))
    builder.add(*type_row(builder, oid + 2, many_schema, many, "m", {"range": oid, "base": subtype.base}))
    return builder.finish("CREATE TYPE")


def _attributes(builder: Builder, fields: dict[str, Any]) -> dict[str, Any]:
    """What the statement says of the type, by the names of attributes in lower case."""
    given: dict[str, Any] = {}
    for node in fields["params"]:
        element = node["DefElem"]
        word = element["defname"].lower()
        if word not in _ATTRIBUTES:
            raise builder.error("42601", f'type attribute "{element["defname"]}" not recognized')
        if word in given:
            raise builder.error("42601", "conflicting or redundant options", element.get("location", -1))
        given[word] = element["arg"]
    return given


def _subtype(builder: Builder, type_name: dict[str, Any]) -> _Subtype:
    oid, typmod = resolve_type({**type_name, "location": -1}, builder.context())
    known = builder.catalog.type_by_oid(oid) if kind_of(oid) == "d" else None
    if known is not None:
        if known.checks or known.not_null:
            raise unsupported("a range over a domain with constraints", "Use a range over the base type.")
        return _Subtype(oid, known.base_oid, known.base_typmod)
    found = registry.find_oid(oid)
    if found is not None and found.kind == "p":
        raise builder.error("42804", f"range subtype cannot be {found.sql_name}")
    return _Subtype(oid, oid, typmod)


def _names(node: dict[str, Any]) -> list[str]:
    """The parts of a name that stands where a type could."""
    return tree.strings(node["TypeName"]["names"]) if "TypeName" in node else [node["String"]["sval"]]


def _opclass(builder: Builder, subtype: _Subtype, node: dict[str, Any] | None) -> int:
    """The OID of the operator class of B-trees that orders the bounds."""
    shown = registry.sql_type_name(subtype.oid)
    if node is not None:
        name = _names(node)[-1]
        if name not in BY_NAME:
            raise builder.error("42704", f'operator class "{name}" does not exist for access method "btree"')
        if not takes(name, subtype.base):
            raise builder.error("42804", f'operator class "{name}" does not accept data type {shown}')
        return BY_NAME[name][0]
    found = 10069 if kind_of(subtype.base) == "e" else 10034 if kind_of(subtype.base) == "c" else 0
    found = found or default_class(subtype.base)
    if not found:
        hint = (
            "You must specify an operator class for the range type or define a default operator class for the subtype."
        )
        message = f'data type {shown} has no default operator class for access method "btree"'
        raise builder.error("42704", message, hint=hint)
    return found


def _collation(builder: Builder, subtype: _Subtype, node: dict[str, Any] | None) -> int:
    """The OID of the collation of the bounds, 0 for a type that has none. Only the order of code points is known."""
    if node is None:
        return 950 if subtype.base == 19 else DEFAULT_OID if is_collatable(subtype.base) else 0
    if not is_collatable(subtype.base):
        raise builder.error("42809", "range collation specified but subtype does not support collation")
    found = find_collation(_names(node), builder.context())
    if found.locale != C or not found.deterministic:
        raise unsupported("a range with this collation", 'Use COLLATION = "C".')
    return found.oid


def _difference(builder: Builder, subtype: _Subtype, node: dict[str, Any] | None) -> list[Any] | None:
    """The function for SUBTYPE_DIFF: [its OID, 0 for a built-in one, its name]; None for none."""
    if node is None:
        return None
    names = _names(node)
    wanted = (subtype.base, subtype.base)
    shown = registry.sql_type_name(subtype.oid)
    call = f"function {'.'.join(names)}({shown}, {shown})"
    for function in builder.catalog.functions(names[-2] if len(names) > 1 else None, names[-1]):
        if function.args == wanted:
            if function.result != FLOAT8:
                message = f"range subtype diff function {call[9:]} must return type double precision"
                raise builder.error("42P17", message)
            if function.volatile or function.stable:
                raise builder.error("42P17", f"range subtype diff function {call[9:]} must be immutable")
            return [function.oid, names[-1]]
    if operator_functions.is_difference(names[-1], wanted):
        return [0, names[-1]]
    raise builder.error("42883", f"{call} does not exist")


def _multirange_name(builder: Builder, schema: str, name: str, node: dict[str, Any] | None) -> tuple[str, str]:
    """Schema and name of the multirange type: as given, or made of the range's (makeMultirangeTypeName)."""
    if node is not None:
        return new_name(builder, _names(node))
    many = multirange_name(name)
    try:
        check_free(builder, schema, many)
    except Exception as error:
        detail = f'Failed while creating a multirange type for type "{name}".'
        hint = 'You can manually specify a multirange type name using the "multirange_type_name" attribute.'
        raise builder.error("42710", str(error), detail=detail, hint=hint) from None
    return schema, many


def multirange_name(name: str) -> str:
    """The name of the multirange type of a range: ``multi`` before its first ``range``, else ``_multirange`` behind."""
    before, found, behind = name.partition("range")
    text = f"{before}multirange{behind}" if found else f"{name}_multirange"
    if found or len(text.encode()) <= NAME_BYTES_MAX:
        return text.encode()[:NAME_BYTES_MAX].decode(errors="ignore")
    return name.encode()[: NAME_BYTES_MAX - len("_multirange")].decode(errors="ignore") + "_multirange"


def _free_oid(builder: Builder, subtype: int) -> int:
    """An OID for a range over a built-in type, which holds the subtype's and has few bits left for a number."""
    if subtype > SUBTYPE_MAX:
        raise unsupported("a range over this type", None)
    first = builder.oid(False)
    for number in range(first, first + RANGE_NUMBERS):
        oid = range_oid(number, subtype)
        if builder.catalog.type_by_oid(oid) is None:
            return oid
    raise builder.error("54000", f"too many range types over {registry.sql_type_name(subtype)}")
