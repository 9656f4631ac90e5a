"""Which texts are XML (xml.c)."""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import ScalarTable


def pg_xml_parse(text: Any, whole: int) -> str | None:
    """A text that is well formed: a document, or what may stand in an element. Raises SqlError 2200M, 2200N."""
    if text is None:
        return None
    if not _is_well_formed(text if whole or "<!DOCTYPE" in text else _inside(text)):
        kind, sqlstate = ("document", "2200M") if whole else ("content", "2200N")
        raise SqlError(f"invalid XML {kind}", sqlstate=sqlstate)
    return str(text)


def _inside(text: str) -> str:
    """Content as a document of its own; a declaration before it goes."""
    if text.startswith("<?xml ") and "?>" in text:
        text = text.partition("?>")[2]
    return f"<content>{text}</content>"


def _is_well_formed(document: str) -> bool:
    parser = expat.ParserCreate("UTF-8")
    try:
        parser.Parse(document.encode("utf-8", "replace"), True)
    except expat.ExpatError:
        return False
    return True


SCALARS: Final[ScalarTable] = {"pg_xml_parse": (pg_xml_parse, 2, True)}
