"""Passwords in the texts of statements: what is stored of them, and texts that can be shown or sent without them."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import grammar
from helios_cli.engine.wire import scram

_COMMENT: Final = r"(?:--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))"
_PLAIN: Final = r"'(?:[^']|'')*(?:'|\Z)"
_ESCAPED: Final = r"'(?:[^'\\]|\\.|'')*(?:'|\Z)"
_FURTHER: Final = r"(?:\s*\n\s*{})*"
_LITERAL: Final = (
    rf"(?:\be{_ESCAPED}{_FURTHER.format(_ESCAPED)}|(?:\bu&)?{_PLAIN}{_FURTHER.format(_PLAIN)}"
    r"|(?<!\w)(\$(?:[^\W\d]\w*)?\$).*?(?:{}|\Z))"
)
_TOKEN: Final = re.compile(
    rf"(\bpassword(?:\s|{_COMMENT})*){_LITERAL.format(chr(92) + '2')}|{_COMMENT}"
    rf"|\"(?:[^\"]|\"\")*(?:\"|\Z)|{_LITERAL.format(chr(92) + '3')}",
    re.IGNORECASE | re.DOTALL,
)
"""A literal behind PASSWORD, which group 1 holds, or else something in which that word means nothing."""
_MD5: Final = re.compile("md5[0-9a-f]{32}")


def stored_password(password: str) -> str:
    """What is kept of a password: its verifier, or what a client has made of it already, as psql does when asked to.

    Raises:
        FeatureNotSupported: it is an MD5 hash, by which nobody could log in here.
    """
    if _MD5.fullmatch(password):
        raise FeatureNotSupported("MD5 passwords are not supported", hint="Set password_encryption to scram-sha-256.")
    try:
        return str(scram.Verifier.parse(password))
    except SqlError:
        return str(scram.build_verifier(password, os.urandom(scram.SALT_BYTES)))


def without_passwords(sql: str) -> str:
    """A statement's text to be shown to others: what stands behind PASSWORD is left out."""
    if not _mentions(sql):
        return sql
    return _TOKEN.sub(lambda match: f"{match[1]}'********'" if match[1] else match[0], sql)


def with_verifiers(sql: str) -> str:
    """A query string to be sent to another node: passwords of CREATE and ALTER ROLE are verifiers in it.

    That other node does with it what it would have done with the password. An MD5 hash stays, to be refused there; of a
    text that cannot be parsed the passwords are left out.
    """
    if not _mentions(sql):
        return sql
    try:
        options = deque(_passwords(grammar.parse(sql), sql.encode()))
    except (grammar.Refused, SqlError, RecursionError):
        return without_passwords(sql)

    def replaced(match: re.Match[str]) -> str:
        if not (match[1] and options and match.start() >= options[0][0]):
            return match[0]
        password = options.popleft()[1]
        return match[0] if not password or _MD5.fullmatch(password) else f"{match[1]}'{stored_password(password)}'"

    return _TOKEN.sub(replaced, sql) if options else sql


def _mentions(sql: str) -> bool:
    """A cheap no for almost every statement."""
    return "assword" in sql or "ASSWORD" in sql or "assword" in sql.lower()


def _passwords(parsed: Any, text: bytes) -> Iterator[tuple[int, str]]:
    """The passwords of a query string's statements about roles, and at which character each one's option begins."""
    for statement in parsed:
        for kind, fields in statement["stmt"].items():
            if kind in ("CreateRoleStmt", "AlterRoleStmt"):
                for option in fields.get("options", []):
                    element = option["DefElem"]
                    if element["defname"] == "password" and "arg" in element:
                        before = text[: element.get("location", 0)].decode()
                        yield len(before), element["arg"]["String"].get("sval", "")
