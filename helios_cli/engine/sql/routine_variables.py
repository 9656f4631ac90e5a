"""The parameters of a function in SQL as the names that its statements may use."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from helios_cli.engine.sql.routines import Routine


class ArgumentNames:
    """Implements ``inner.Variables``: ``$1``, ``name``, ``function.name``. The keys are positions from 0."""

    column_wins: bool | None = True

    def __init__(self, routine: Routine, types: Sequence[int] | None = None) -> None:
        self._function = routine.name
        self._types = list(types) if types is not None else [argument.type_oid for argument in routine.inputs]
        self._names = {argument.name: position for position, argument in enumerate(routine.inputs) if argument.name}

    def find(self, names: Sequence[str]) -> tuple[Hashable, int] | None:
        """See :class:`~helios_cli.engine.sql.inner.Variables`."""
        name = names[-1]
        if len(names) > 2 or (len(names) == 2 and names[0] != self._function):
            return None
        if name.startswith("$") and name[1:].isdigit():
            position: int | None = int(name[1:]) - 1
        else:
            position = self._names.get(name)
        if position is None or not 0 <= position < len(self._types):
            return None
        return position, self._types[position]

    def table(self, name: str) -> None:
        """There are no tables of its own."""

    def absent(self, _names: Sequence[str]) -> bool:
        """There are no records."""
        return False

    def fields(self, names: Sequence[str]) -> tuple[str, ...] | None:
        """No parameter is a record."""
        return None
