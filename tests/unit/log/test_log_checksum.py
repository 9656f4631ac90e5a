"""The checksum table against a slow twin: a full scan."""

from __future__ import annotations

from random import Random

import pytest

from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.log.checksum import ChecksumTable, page_hash
from helios_cli.engine.types import LOCK_BYTE_PAGE, PAGE_SIZE, Lsn


def page(seed: int) -> bytes:
    return Random(seed).randbytes(16).ljust(PAGE_SIZE, b"\0")


def scan(pages: list[bytes]) -> ChecksumTable:
    return ChecksumTable.scan([b"".join(pages)], len(pages))


def test_the_hash_depends_on_content_and_number() -> None:
    assert page_hash(1, page(1)) != page_hash(2, page(1))
    assert page_hash(1, page(1)) != page_hash(1, page(2))
    assert page_hash(1, memoryview(bytearray(page(1)))) == page_hash(1, page(1))


def test_an_empty_database_sums_to_zero() -> None:
    assert ChecksumTable().total == 0
    assert scan([]).total == 0


def test_random_histories_agree_with_a_scan() -> None:
    rng = Random(7)
    for _ in range(20):
        table, model = ChecksumTable(), list[bytes]()
        for _ in range(40):
            size = max(1, len(model) + rng.randint(-5, 6))
            changed = {rng.randint(1, size + 3): page(rng.getrandbits(20)) for _ in range(rng.randint(0, 4))}
            changed |= {number: page(rng.getrandbits(20)) for number in range(len(model) + 1, size + 1)}
            if rng.random() < 0.2:
                changed[rng.randint(1, size)] = bytes(PAGE_SIZE)
            model = (model + [bytes(PAGE_SIZE)] * size)[:size]
            for number, data in changed.items():
                if number <= size:
                    model[number - 1] = data
            assert table.apply(changed, size) == table.total
            assert table.pages == size
            assert table.total == scan(model).total


def test_pages_cut_away_leave_the_sum_and_do_not_come_back() -> None:
    table = ChecksumTable()
    whole = table.apply({1: page(1), 2: page(2), 3: page(3)}, 3)
    assert table.apply({}, 1) == scan([page(1)]).total
    assert table.apply({}, 3) == scan([page(1), bytes(PAGE_SIZE), bytes(PAGE_SIZE)]).total != whole


def test_pieces_of_a_transaction_sum_to_the_whole() -> None:
    at_once, in_pieces = ChecksumTable(), ChecksumTable()
    pages = {number: page(number) for number in range(1, 50)}
    for number, data in pages.items():
        in_pieces.apply({number: data}, 60)
    assert at_once.apply(pages, 60) == in_pieces.total


def test_the_lock_byte_page_never_counts() -> None:
    assert page_hash(LOCK_BYTE_PAGE, page(1)) == 0
    table = ChecksumTable()
    before = table.apply({1: page(1)}, LOCK_BYTE_PAGE + 1)
    assert table.apply({LOCK_BYTE_PAGE: page(5)}, LOCK_BYTE_PAGE + 1) == before
    assert table.apply({LOCK_BYTE_PAGE + 1: page(5)}, LOCK_BYTE_PAGE + 1) != before


def test_a_file_shorter_than_the_database_counts_as_zeros() -> None:
    assert ChecksumTable.scan([page(1)], 4).total == scan([page(1), *[bytes(PAGE_SIZE)] * 3]).total
    assert ChecksumTable.scan([page(1) + page(2)], 1).total == scan([page(1)]).total


def test_tables_are_compared_page_by_page() -> None:
    one = scan([page(1), page(2), page(3)])
    other = scan([page(1), page(9)])
    assert one.differing(other) == [2, 3] == other.differing(one)
    assert one.differing(one.copy()) == []


def test_a_copy_is_independent() -> None:
    table = scan([page(1)])
    twin = table.copy()
    table.apply({1: page(2)}, 1)
    assert twin.total == scan([page(1)]).total != table.total


def test_saved_and_loaded() -> None:
    table = scan([page(number) for number in range(20)])
    loaded, lsn = ChecksumTable.from_bytes(table.to_bytes(0x55) + b"rest of a longer file")
    assert lsn == Lsn(0x55)
    assert (loaded.total, loaded.pages, loaded.differing(table)) == (table.total, 20, [])


@pytest.mark.parametrize("at", [0, 4, 9, 20, 30, 40, -1])
def test_a_changed_byte_is_noticed(at: int) -> None:
    data = bytearray(scan([page(1), page(2)]).to_bytes(7))
    data[at] ^= 4
    with pytest.raises(LogDamaged):
        ChecksumTable.from_bytes(bytes(data))


def test_a_table_that_is_cut_short_is_noticed() -> None:
    data = scan([page(1), page(2)]).to_bytes(7)
    for length in range(len(data)):
        with pytest.raises(LogDamaged):
            ChecksumTable.from_bytes(data[:length])
