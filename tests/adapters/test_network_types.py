"""inet, cidr and macaddr: what PostgreSQL 15 answers, as literals."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.datatypes import registry
from helios_cli.engine.errors import HeliosError


@pytest.fixture(scope="module")
def db() -> LocalDatabase:
    database = LocalDatabase()
    database.run("CREATE TABLE nt (i inet PRIMARY KEY, c cidr, m macaddr)")
    database.run(
        "INSERT INTO nt VALUES ('10.0.0.2', '10.0.0.0/8', '08:00:2b:01:02:03'), "
        "('10.0.0.10', '9.0.0.0/8', '08:00:2b:01:02:02'), ('9.255.0.1/8', NULL, NULL), ('::1', '::/0', NULL)"
    )
    return database


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("'192.168.1.5/24'::inet, '10.0.0.1/32'::inet, '2001:DB8::/32'::inet, '::ffff:1.2.3.4'::inet",
         "192.168.1.5/24 10.0.0.1 2001:db8::/32 ::ffff:1.2.3.4"),
        ("'10'::cidr, '192.168.1'::cidr, '128.1'::cidr, '10.1.2.3'::cidr, '224'::cidr",
         "10.0.0.0/8 192.168.1.0/24 128.1.0.0/16 10.1.2.3/32 224.0.0.0/4"),
        ("'08-00-2B-01-02-03'::macaddr, '08002b:010203'::macaddr, '0800.2b01.0203'::macaddr, '08002b010203'::macaddr8",
         "08:00:2b:01:02:03 08:00:2b:01:02:03 08:00:2b:01:02:03 08:00:2b:ff:fe:01:02:03"),
        ("host('192.168.1.5/24'::inet), masklen('192.168.1.5/24'), network('192.168.1.5/24'), family('::1')",
         "192.168.1.5 24 192.168.1.0/24 6"),
        ("broadcast('192.168.1.5/24'), netmask('192.168.1.5/24'), hostmask('192.168.1.5/24')",
         "192.168.1.255/24 255.255.255.0 0.0.0.255"),
        ("abbrev('10.1.0.0/16'::inet), abbrev('10.1.0.0/16'::cidr), set_masklen('192.168.1.0/24'::cidr, 16)",
         "10.1.0.0/16 10.1/16 192.168.0.0/16"),
        ("inet_merge('192.168.1.5/24', '192.168.2.5/24'), inet_same_family('1.1.1.1', '::1')", "192.168.0.0/22 f"),
        ("'192.168.1.5'::inet << '192.168.1.0/24'::inet, '192.168.1.0/24'::inet << '192.168.1.0/24'", "t f"),
        ("inet '192.168.1.0/24' <<= '192.168.1.0/24', inet '192.168.1/24' >> '192.168.1.5'", "t t"),
        ("'192.168.1.0/24'::cidr && '192.168.1.128/25'::cidr, cidr '10.0.0.0/8' >>= inet '10.0.0.0/8'", "t t"),
        ("'10.0.0.1'::inet + 5, '10.0.0.9/24'::inet - 4, '10.0.0.9'::inet - '10.0.0.1'::inet",
         "10.0.0.6 10.0.0.5/24 8"),
        ("~ '10.0.0.1'::inet, '10.1.2.3'::inet & '255.0.0.0', '10.1.2.3'::inet | '0.0.0.255'",
         "245.255.255.254 10.0.0.0 10.1.2.255"),
        ("'192.168.1.5'::inet::text, cidr '10.0.0.0/8'::inet, '1.2.3.4'::inet = '1.2.3.4/32'::cidr",
         "192.168.1.5/32 10.0.0.0/8 t"),
        ("trunc('12:34:56:78:90:ab'::macaddr), ~ '12:34:56:78:90:ab'::macaddr", "12:34:56:00:00:00 ed:cb:a9:87:6f:54"),
        ("max(i), min(i) FROM nt", "::1 9.255.0.1/8"),
        ("array_agg(i ORDER BY i) FROM nt", "{9.255.0.1/8,10.0.0.2,10.0.0.10,::1}"),
        ("array_agg(i ORDER BY i) FROM nt WHERE i > '10.0.0.5'", "{10.0.0.10,::1}"),
        ("i FROM nt WHERE i = '10.0.0.10/32'", "10.0.0.10"),
        ("m FROM nt WHERE m = '08-00-2b-01-02-03'", "08:00:2b:01:02:03"),
    ],
)  # fmt: skip
def test_answers(db: LocalDatabase, sql: str, wanted: str) -> None:
    assert " ".join(str(value) for value in db.run(f"SELECT {sql}")[0]) == wanted


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("SELECT '192.168.1.5/24'::cidr", "22P02", 'invalid cidr value: "192.168.1.5/24"'),
        ("SELECT '10.1'::inet", "22P02", 'invalid input syntax for type inet: "10.1"'),
        ("SELECT '256.1.1.1'::inet", "22P02", 'invalid input syntax for type inet: "256.1.1.1"'),
        ("SELECT '1.2.3.4/33'::inet", "22P02", 'invalid input syntax for type inet: "1.2.3.4/33"'),
        ("SELECT 'x'::macaddr", "22P02", 'invalid input syntax for type macaddr: "x"'),
        ("SELECT '255.255.255.255'::inet + 1", "22003", "result is out of range"),
        ("INSERT INTO nt VALUES ('10.0.0.2/32')", "23505",
         'duplicate key value violates unique constraint "nt_pkey"'),
    ],
)  # fmt: skip
def test_errors_are_postgresqls(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError) as caught:
        db.run(sql)
    assert (caught.value.sqlstate, str(caught.value)) == (sqlstate, message)


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("inet", "192.168.1.5/24", "02180004c0a80105"),
        ("inet", "::1", "03800010" + "00" * 15 + "01"),
        ("cidr", "10.0.0.0/8", "020801040a000000"),
        ("macaddr", "08:00:2b:01:02:03", "08002b010203"),
        ("macaddr8", "08:00:2b:01:02:03:04:05", "08002b0102030405"),
    ],
)
def test_binary_forms(name: str, text: str, data: str) -> None:
    kind = registry.by_internal_name(name)
    assert kind is not None
    assert kind.format_binary(text).hex() == data
    assert kind.parse_binary(bytes.fromhex(data)) == text
    with pytest.raises(HeliosError):
        kind.parse_binary(bytes.fromhex(data)[:-1])
