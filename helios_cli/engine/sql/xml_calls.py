"""XMLPARSE; what else SQL/XML has is refused."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql import casts
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.expressions import TRANSLATORS, translate
from helios_cli.engine.sql.oids import TEXT, XML
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import TypedSql


def _xml(fields: dict[str, Any], scope: Scope) -> TypedSql:
    at = fields.get("location", 0)
    if fields.get("op") != "IS_XMLPARSE":
        raise scope.ctx.unsupported("XML", at)
    value = casts.coerce(translate(fields["args"][0], scope), TEXT, -1, How.IMPLICIT, scope.ctx)
    whole = int(fields.get("xmloption") == "XMLOPTION_DOCUMENT")
    return TypedSql(f"pg_xml_parse({value.sql}, {whole})", XML, not_null=value.not_null, location=at)


TRANSLATORS["XmlExpr"] = _xml
