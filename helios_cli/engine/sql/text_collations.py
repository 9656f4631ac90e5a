"""The collation of a text: which one an expression has, and SQLite's name for it.

A collation is written as one word, ``collation_<oid>_<d or n>_<locale>``: its OID in pg_collation, whether it is
deterministic, and ICU's locale, or C for the order of code points. System tables keep it with a column's type, and
SQLite knows the collations other than C by it, so that a connection can make one of which it has the name alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.coercion import category, element_of
from helios_cli.engine.sql.collating import collation_of
from helios_cli.engine.sql.collation_names import ICU_LOCALES
from helios_cli.engine.sql.functions.icu import available
from helios_cli.engine.sql.oids import BPCHAR
from helios_cli.engine.sql.typed import TypedSql

C: Final = "C"
"""The locale of collations that compare code points."""
PREFIX: Final = "collation_"
UNDECIDED: Final = "?"
"""The collation of what comes from columns of different ones: nothing can be compared by it."""
DEFAULT_OID: Final = 100
_FIRST_ICU_OID: Final = 12_342
_ENDED: Final = "_without_padding"
"""What SQLite's name of a collation ends with where the values are of type char(n)."""
_ARRAYS: Final = "_in_arrays"
"""What it ends with where the values are arrays of texts."""
META_KEY: Final = "collation "
"""helios_meta holds a user's collation under this, its word, and a JSON list of its other facts."""


@dataclass(frozen=True, slots=True)
class Collation:
    """One row of pg_collation."""

    oid: int
    schema: str
    name: str
    provider: str
    """'d' the database's, 'c' the C library's, 'i' ICU's."""
    locale: str
    """ICU's locale; C for the order of code points."""
    deterministic: bool = True
    encoding: int = -1
    shown: str = ""
    """What pg_collation says of the locale."""
    owner: int = 10

    @property
    def word(self) -> str:
        """The one word that stands for it."""
        return f"{PREFIX}{self.oid}_{'d' if self.deterministic else 'n'}_{self.locale}"


def _builtin() -> dict[str, Collation]:
    found = [
        Collation(DEFAULT_OID, "pg_catalog", "default", "d", C),
        Collation(950, "pg_catalog", "C", "c", C, shown="C"),
        Collation(951, "pg_catalog", "POSIX", "c", C, shown="POSIX"),
        Collation(12_340, "pg_catalog", "ucs_basic", "c", C, encoding=6, shown="C"),
        Collation(12_341, "pg_catalog", "C.utf8", "c", C, encoding=6, shown="C.utf8"),
    ]
    found += [
        Collation(_FIRST_ICU_OID + number, "pg_catalog", f"{locale}-x-icu", "i", locale, shown=locale)
        for number, locale in enumerate(ICU_LOCALES)
    ]
    return {one.name: one for one in found}


BUILTIN: Final = _builtin()
"""Those that every database has, by name."""
BY_OID: Final = {one.oid: one for one in BUILTIN.values()}


def stored_word(stored: str) -> str:
    """The word of an index key's collation, of which the system table keeps the name when every database has it."""
    return BUILTIN[stored].word if stored in BUILTIN else stored


def oid_of(word: str) -> int:
    """The OID in a collation's word; that of the database's default for ''."""
    return int(word.split("_", 2)[1]) if word else DEFAULT_OID


def is_deterministic(word: str) -> bool:
    """Whether texts are equal only when their bytes are."""
    return word in ("", UNDECIDED) or word.split("_", 3)[2] == "d"


def sqlite_collation(word: str, type_oid: int) -> str:
    """SQLite's name, quoted, of the collation under which values of a text type compare; BINARY in the order of bytes.

    Raises:
        SqlError: 42P22 the collation is not decided.
    """
    if word == UNDECIDED:
        raise SqlError(
            "could not determine which collation to use for string comparison",
            sqlstate="42P22",
            hint="Use the COLLATE clause to set the collation explicitly.",
        )
    inside = element_of(type_oid)
    if not word or word.split("_", 3)[3] == C:
        return collation_of(type_oid) or "BINARY"
    quoted = word.replace('"', '""')
    return f'"{quoted}{_ENDED if BPCHAR in (type_oid, inside) else ""}{_ARRAYS if inside else ""}"'


@dataclass(frozen=True, slots=True)
class Order:
    """What SQLite's name of a collation says."""

    locale: str
    deterministic: bool
    padded: bool
    """The spaces at the ends of texts do not count."""
    arrays: bool
    """The values are arrays."""


def order_of(sqlite_name: str) -> Order | None:
    """What SQLite's name of a collation says; None for a name that is not ours."""
    if not sqlite_name.startswith(PREFIX):
        return None
    of_elements = sqlite_name.removesuffix(_ARRAYS)
    name = of_elements.removesuffix(_ENDED)
    _, _oid, kind, locale = name.split("_", 3)
    return Order(locale, kind == "d", name != of_elements, of_elements != sqlite_name)


def is_collatable(type_oid: int) -> bool:
    """Whether a type takes a COLLATE clause: text types and arrays of them."""
    return category(element_of(type_oid) or type_oid) == "S"


def joint(values: list[TypedSql]) -> tuple[str, bool]:
    """The collation of what is made from some texts, and whether a COLLATE clause said it.

    Raises:
        SqlError: 42P21 two COLLATE clauses disagree.
    """
    word, explicit = "", False
    for value in values:
        if not value.collation or (explicit and not value.explicit) or value.collation == word:
            explicit = explicit or (value.explicit and value.collation == word)
        elif value.explicit and explicit:
            message = f'collation mismatch between explicit collations "{_shown(word)}" and "{_shown(value.collation)}"'
            raise SqlError(message, sqlstate="42P21")
        elif value.explicit or not word:
            word, explicit = value.collation, value.explicit
        else:
            word = UNDECIDED
    return word, explicit


def _shown(word: str) -> str:
    known = BY_OID.get(oid_of(word))
    return known.name if known is not None else word.split("_", 3)[3]


def check_available(collation: Collation) -> None:
    """Raise SqlError 0A000 when ICU is needed and is not installed."""
    if collation.locale != C and not available():
        raise SqlError(
            f'collation "{collation.name}" is not supported',
            sqlstate="0A000",
            hint='The Python package pyicu-wheels is not installed; use COLLATE "C".',
        )


def check_searchable(values: list[TypedSql], what: str) -> None:
    """Raise SqlError 0A000 when one of some texts has a collation under which parts of texts are not compared."""
    if any(not is_deterministic(value.collation) for value in values):
        raise SqlError(f"nondeterministic collations are not supported for {what}", sqlstate="0A000")
