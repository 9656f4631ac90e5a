"""What the HTTP address serves, as one table, and the OpenAPI 3.1 document made of it (spec.openapis.org).

The routes answer what is in the table and nothing else; a test holds the two together, and another sends what the
document allows, and what it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli import __version__
from helios_cli.engine.net.sql_request import CSV, ISOLATION, JSON, NDJSON, STATEMENTS_MAX

Schema = Mapping[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_FLAG: Final[Schema] = {"type": "boolean", "default": False}
_STATE: Final[Schema] = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": _TEXT, "reason": _TEXT, "alarms": {"type": "array", "items": _TEXT}},
}
_OBJECT: Final[Schema] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One path with its method."""

    path: str
    method: str
    summary: str
    answers: Mapping[int, str]
    """What each status means."""
    schema: Schema = field(default_factory=lambda: _OBJECT)
    """Of the body of a 200."""
    media: tuple[str, ...] = (JSON,)
    body: Schema | None = None
    security: tuple[str, ...] = ()


_SERVES: Final = {200: "It does.", 503: "It does not; the body says why."}

PAGES: Final = (
    Operation("/health", "get", "Whether the node serves clients", _SERVES, _STATE),
    Operation("/ready", "get", "Whether the node takes writes", _SERVES, _STATE),
    Operation("/primary", "get", "Whether the node serves as the primary", _SERVES, _STATE),
    Operation("/standby", "get", "Whether the node serves as a standby", _SERVES, _STATE),
    Operation("/status", "get", "What the node knows of itself", {200: "Its status."}),
    Operation("/metrics", "get", "Every metric, for Prometheus", {200: "The metrics."}, _TEXT, ("text/plain",)),
    Operation("/openapi.json", "get", "This document", {200: "The document."}),
)
"""What needs no token. All of them answer HEAD, too."""

_STATEMENT: Final[dict[str, Any]] = {
    "sql": {"type": "string", "description": "One statement; parameters are $1, $2 ..."},
    "params": {"type": "array", "items": {}, "description": "Strings are the type's own text; null is NULL."},
    "types": {"type": "array", "items": _TEXT, "description": "Type names of the parameters, from the first on."},
}

SQL_BODY: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **_STATEMENT,
        "statements": {
            "type": "array",
            "minItems": 1,
            "maxItems": STATEMENTS_MAX,
            "items": {
                "type": "object", "required": ["sql"], "additionalProperties": False, "properties": _STATEMENT
            },
            "description": "Statements that run as one transaction, in place of sql.",
        },
        "isolation": {"type": "string", "enum": list(ISOLATION), "description": "Of the statements' transaction."},
        "read_only": _FLAG,
        "timeout_ms": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        "max_rows": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "description": "0: no limit."},
        "min_lsn": {"type": "string", "description": "The state that must be seen: lsn of an earlier answer."},
        "write_id": {"type": "string", "description": "The name under which the write is done only once."},
        "database": {"type": "string", "description": "The database in which it runs; heliosdb without it."},
    },
    "oneOf": [{"required": ["sql"]}, {"required": ["statements"]}],
}  # fmt: skip

_RESULT: Final[dict[str, Any]] = {
    "columns": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["name", "type", "oid"],
            "properties": {"name": _TEXT, "type": _TEXT, "oid": {"type": "integer"}},
        },
    },
    "rows": {"type": "array", "items": {"type": "array"}},
    "row_count": {"type": "integer"},
    "command": _TEXT,
    "truncated": {"type": "boolean", "description": "There, and true, when max_rows was reached."},
}

_ERROR: Final[Schema] = {
    "type": "object",
    "required": ["message"],
    "properties": {
        **{
            name: _TEXT
            for name in (
                "sqlstate", "message", "detail", "hint", "context", "schema", "table", "column", "datatype",
                "constraint",
            )
        },
        "position": {"type": "integer", "description": "Of the character in the statement, from 1."},
        "statement": {"type": "integer", "description": "Which of the statements, from 0."},
        "retryable": {"type": "boolean"},
    },
}  # fmt: skip

SQL_ANSWER: Final[Schema] = {
    "type": "object",
    "properties": {
        **_RESULT,
        "results": {"type": "array", "items": {"type": "object", "properties": _RESULT}},
        "lsn": {"type": "string", "description": "The state that the session has seen; min_lsn of a later request."},
        "notices": {"type": "array", "items": _OBJECT},
        "error": {"description": "The statement failed behind rows that were sent.", **_ERROR},
    },
}

SQL: Final = Operation(
    "/sql",
    "post",
    "Run a statement, or several as one transaction",
    {
        200: "The result. What is long is sent in chunks as it comes.",
        400: "The statement or the request is wrong.",
        401: "No credentials, or wrong ones.",
        403: "The role may not do that, or such a request is not taken from there.",
        406: "The answer has no such form.",
        409: "A constraint, a concurrent change or the state of an object is in the way.",
        413: "The body or the statement is too large.",
        501: "Not supported.",
        503: "The node cannot do it now; try again.",
        504: "It took longer than timeout_ms.",
    },
    SQL_ANSWER,
    (JSON, NDJSON, CSV),
    SQL_BODY,
    ("basic", "bearer"),
)


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


ADMIN: Final[dict[str, tuple[str, Schema]]] = {
    "checkpoint": ("Write the database file up to the newest commit", _object()),
    "stop": ("Stop the node", _object()),
    "reload": ("Read the settings and certificates again", _object()),
    "promote": ("Make this standby the primary", _object(allow_data_loss=_FLAG, dry_run=_FLAG)),
    "switchover": (
        "Give the lead to a standby",
        _object(to=_TEXT, timeout_s={"type": "number", "exclusiveMinimum": 0, "maximum": 3600}, dry_run=_FLAG),
    ),
    "pause": ("Hold back automatic changes of the cluster", _object()),
    "resume": ("Let them go on", _object()),
    "config": (
        "Change a setting of the node or the cluster",
        _object(("name",), name=_TEXT, value={"type": ["string", "null"]}, dry_run=_FLAG),
    ),
    "standby/remove": ("Remove a standby from the cluster", _object(("node_id",), node_id=_TEXT)),
    "scrub": (
        "Read every page again and compare it with its checksum",
        _object(rate_mb={"type": ["integer", "null"], "minimum": 0, "maximum": 1 << 20}),
    ),
    "explain/failover": (
        "Tell who leads and why, and what would happen next",
        _object(limit={"type": "integer", "minimum": 1, "maximum": 1000}, id={"type": "integer"}),
    ),
    "whatif": (
        "Tell what would become of the cluster without some nodes, or cut into groups",
        _object(
            lose={"type": "array", "items": _TEXT, "minItems": 1},
            cut={"type": "array", "items": {"type": "array", "items": _TEXT, "minItems": 1}, "minItems": 1},
        ),
    ),
    "moments": (
        "Tell how the node was before: the newest moments of the last half day, newest first",
        _object(
            before_us={"type": ["integer", "null"], "minimum": 0, "maximum": 2**63 - 1},
            limit={"type": "integer", "minimum": 1, "maximum": 500},
        ),
    ),
    "cuts": (
        "Cut links to other nodes for a drill, where allow_faults is on; nothing stays cut but these",
        _object(
            ("lost", "places"),
            lost={"type": "array", "items": {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}},
            places={"type": "object"},
        ),
    ),
}
"""The verbs below ``/admin/``: what they do, and their arguments."""

_ADMIN_ANSWERS: Final = {
    200: "It is done, or on its way.",
    400: "The arguments are wrong.",
    401: "No token.",
    403: "A wrong token.",
    409: "The node is not in a state for it.",
    500: "It failed.",
    503: "The node cannot do it now.",
}


def operations() -> tuple[Operation, ...]:
    """Every path that is served."""
    verbs = tuple(
        Operation(f"/admin/{verb}", "post", summary, _ADMIN_ANSWERS, _OBJECT, (JSON,), body, ("admin",))
        for verb, (summary, body) in ADMIN.items()
    )
    return (*PAGES, SQL, *verbs)


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, Any] = {}
    for operation in operations():
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "HeliosDB Nano",
            "version": __version__,
            "description": "Health, metrics, administration and SQL of one node.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "A role's name and password."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of helios_token_create()."},
                "admin": {"type": "http", "scheme": "bearer", "description": "The token in http.token."},
            },
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, meaning in operation.answers.items():
        content = {
            media: {"schema": operation.schema if media == JSON or status != 200 else _TEXT}
            for media in (operation.media if status == 200 else (JSON,))
        }
        if status != 200 and operation is SQL:
            content[JSON] = {"schema": _object(("error",), error=_ERROR)}
        elif status != 200:
            content[JSON] = {"schema": _OBJECT}
        responses[str(status)] = {"description": meaning, "content": content}
    found: dict[str, Any] = {"summary": operation.summary, "responses": responses}
    if operation.body is not None:
        found["requestBody"] = {"required": operation is SQL, "content": {JSON: {"schema": operation.body}}}
    if operation.security:
        # The empty alternative: where nobody has to prove who they are, no credentials are needed.
        found["security"] = [{name: []} for name in operation.security] + ([{}] if operation is SQL else [])
    return found
