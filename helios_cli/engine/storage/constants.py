"""A database of nothing, in memory, on which constant expressions are computed while statements are planned."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import apsw

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sql.sqlite_errors import to_helios


class ConstantEvaluator:
    """Computes expressions that name no table. May be called by several threads, one after the other."""

    def __init__(self, setup: Callable[[apsw.Connection], None]) -> None:
        """``setup`` makes the library known to a connection, which is opened with the first expression."""
        self._setup = setup
        self._connection: apsw.Connection | None = None
        self._lock = Lock()

    def __call__(self, text: str) -> Any:
        """The value of an expression.

        Raises:
            HeliosError: computing it failed, XX000 when that says nothing about its value.
        """
        with self._lock:
            if self._connection is None:
                self._connection = apsw.Connection(":memory:", statementcachesize=0)
                self._setup(self._connection)
            try:
                return self._connection.execute(f"SELECT {text}").get
            except apsw.Error as error:
                raise to_helios(str(error), getattr(error, "extendedresult", 0)) from None
            except HeliosError:
                raise
            except Exception as error:
                raise HeliosError(f"internal error: {error}", sqlstate="XX000") from None
