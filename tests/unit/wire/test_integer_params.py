"""Integers among the parameters of a Bind: the short way for most of them reads what the type's own parser does."""

from __future__ import annotations

import pytest

from helios_cli.engine.datatypes.registry import by_oid
from helios_cli.engine.errors import SqlError
from helios_cli.engine.wire.params import param_decoders

INT8, INT4 = 20, 23
TEXTS = (
    "0", "7", "-0", "-7", "+7", "007", "-007", " 7 ", "-12345678", "-123456789", "2147483647", "-2147483648",
    "2147483648", "-", "--7", "- 7", "7-", "+-7", "", " ", "-7.0", "1e3", "0x1f", "\u0667", "-\u0667", "9" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("oid", [INT4, INT8])
@pytest.mark.parametrize("text", TEXTS)
def test_both_ways_read_the_same(oid: int, text: str) -> None:
    (decode,) = param_decoders((oid,), (0,))
    try:
        expected = by_oid(oid).parse_text(text)
    except SqlError as refused:
        with pytest.raises(SqlError) as caught:
            decode(text.encode())
        assert (caught.value.sqlstate, caught.value.message) == (refused.sqlstate, refused.message)
    else:
        assert decode(text.encode()) == expected
