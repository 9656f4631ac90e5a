"""Rules about connections, and the memory of failed logins."""

from __future__ import annotations

import re

import pytest

from helios_cli.engine.config.hba import Caller, first_match, rules_of, shown
from helios_cli.engine.config.load import load_settings
from helios_cli.engine.config.problems import ConfigProblems
from helios_cli.engine.net.login_limits import ENTRIES_MAX, LoginLimiter
from helios_cli.engine.node.passwords import with_verifiers, without_passwords
from helios_cli.engine.wire import scram

RULES = rules_of(
    {
        "hba[0].type": "hostssl", "hba[0].user": "certs", "hba[0].method": "cert",
        "hba[1].user": "+staff, boss", "hba[1].address": "10.0.0.0/8", "hba[1].method": "scram-sha-256",
        "hba[2].database": "sameuser", "hba[2].address": "samehost", "hba[2].method": "trust",
        "hba[3].address": "not an address", "hba[3].method": "trust",
        "hba[4].type": "hostnossl", "hba[4].address": "::1/128", "hba[4].method": "reject",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("caller", "number"),
    [
        (Caller("192.168.0.1", True, "certs", "heliosdb"), 1),
        (Caller("192.168.0.1", False, "certs", "heliosdb"), None),
        (Caller("10.1.2.3", False, "boss", "heliosdb"), 2),
        (Caller("11.1.2.3", False, "boss", "heliosdb"), None),
        (Caller("10.1.2.3", False, "clerk", "heliosdb", {"clerk", "staff"}), 2),
        (Caller("::ffff:10.1.2.3", False, "boss", "heliosdb"), 2),
        (Caller("127.0.0.1", False, "me", "me"), 3),
        (Caller("127.0.0.1", False, "me", "heliosdb"), None),
        (Caller("::1", False, "me", "heliosdb"), 5),
        (Caller("::1", True, "me", "heliosdb"), None),
        (Caller("", False, "boss", "heliosdb"), None),
    ],
)
def test_the_first_rule_that_fits_decides(caller: Caller, number: int | None) -> None:
    found = first_match(RULES, caller)
    assert (found.number if found is not None else None) == number


def test_a_rule_is_shown_as_pg_hba_file_rules_has_it() -> None:
    row = shown(RULES[1])
    assert (row["line_number"], row["type"], row["user_name"]) == (2, "host", '{"+staff",boss}')
    assert (row["address"], row["netmask"], row["auth_method"]) == ("10.0.0.0", "255.0.0.0", "scram-sha-256")
    assert shown(RULES[3])["error"] == 'invalid IP address or network "not an address"'


def test_rules_are_read_from_the_configuration(tmp_path: object) -> None:
    path = f"{tmp_path}/heliosdb.conf"
    with open(path, "w") as file:
        file.write('[[hba]]\nuser = "a"\nmethod = "trust"\n[[hba]]\nmethod = "reject"\n')
    rules = rules_of(load_settings({}, {}, config=path, system_file="").settings.recorded)
    assert [(rule.users, rule.method) for rule in rules] == [(("a",), "trust"), (("all",), "reject")]
    with open(path, "w") as file:
        file.write('[[hba]]\nuser = "a"\n[[hba]]\nmethod = "md5"\n')
    with pytest.raises(ConfigProblems, match="method"):
        load_settings({}, {}, config=path, system_file="")


def test_failed_logins_are_slower_and_slower_and_then_refused() -> None:
    limiter = LoginLimiter()
    delays = [limiter.failed("u", "10.0.0.1", loopback=False, now_s=float(n)) for n in range(7)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0]

    def refused(user: str, address: str, now_s: float) -> bool:
        return limiter.refused_for(user, address, limit=7, lockout_s=60, now_s=now_s) > 0

    assert refused("u", "10.0.0.1", 10)
    assert not refused("u", "10.0.0.2", 10)
    assert not refused("other", "10.0.0.1", 10)
    assert not refused("u", "10.0.0.1", 67)


def test_many_users_from_one_address_are_refused_together() -> None:
    limiter = LoginLimiter()
    for number in range(9):
        limiter.failed(f"u{number}", "10.0.0.1", loopback=False, now_s=0.0)
    assert limiter.refused_for("new", "10.0.0.1", limit=3, lockout_s=60, now_s=1.0) == 59.0
    assert limiter.refused_for("new", "10.0.0.1", limit=0, lockout_s=60, now_s=1.0) == 0


def test_success_forgets_and_memory_is_bounded() -> None:
    limiter = LoginLimiter()
    for _ in range(5):
        limiter.failed("u", "10.0.0.1", loopback=False, now_s=0.0)
    limiter.succeeded("u", "10.0.0.1")
    assert limiter.failed("u", "10.0.0.1", loopback=False, now_s=0.0) == 0.1
    for number in range(ENTRIES_MAX * 2):
        limiter.failed("u", f"10.1.{number // 256}.{number % 256}", loopback=False, now_s=0.0)
    assert len(limiter) <= ENTRIES_MAX


def test_an_address_of_this_machine_waits_half_a_second_at_most() -> None:
    limiter = LoginLimiter()
    assert max(limiter.failed("u", "127.0.0.1", loopback=True, now_s=0.0) for _ in range(20)) == 0.5


@pytest.mark.parametrize(
    ("sql", "seen"),
    [
        ("CREATE ROLE a PASSWORD 'x''y' LOGIN", "CREATE ROLE a PASSWORD '********' LOGIN"),
        ("alter user a with password E'x\\'y'", "alter user a with password '********'"),
        ("create role a password $q$secret$q$ login", "create role a password '********' login"),
        ("create role a password 'unfinished", "create role a password '********'"),
        ("create role a password/* so */'secret'", "create role a password/* so */'********'"),
        ("create role a pAssWord -- so\n 'sec'\n 'ret' login", "create role a pAssWord -- so\n '********' login"),
        ("create role a password'C:\\' login", "create role a password'********' login"),
        ("select 'password', $a$password 'x'$a$, \"password 'y\", E'\\'', 'z'", None),
        ("alter role \"it's\" password 'x'", "alter role \"it's\" password '********'"),
    ],
)
def test_what_stands_behind_password_is_not_shown(sql: str, seen: str | None) -> None:
    assert without_passwords(sql) == (seen or sql)


VERIFIER = r"'SCRAM-SHA-256\$4096:[^']+'"


@pytest.mark.parametrize(
    ("sql", "sent"),
    [
        ("ALTER ROLE a PASSWORD 'x''y' LOGIN", f"ALTER ROLE a PASSWORD {VERIFIER} LOGIN"),
        (
            "SELECT 'é'; CREATE ROLE \"ü\" ENCRYPTED PASSWORD E'\\u00fc'; ALTER USER b password $q$p$q$ NOLOGIN",
            f"SELECT 'é'; CREATE ROLE \"ü\" ENCRYPTED PASSWORD {VERIFIER}; ALTER USER b password {VERIFIER} NOLOGIN",
        ),
        ("CREATE ROLE a PASSWORD/* 'so' */'sec'\n'ret'", rf"CREATE ROLE a PASSWORD/\* 'so' \*/{VERIFIER}"),
        ("ALTER ROLE a PASSWORD NULL; SELECT 'password', $$ PASSWORD 'x' $$", None),
        ("ALTER ROLE a PASSWORD ''", None),
        ("ALTER ROLE a PASSWORD 'md5" + "0" * 32 + "'", None),
        ("ALTER ROLE a PASSWORD 'x' LOGAN", r"ALTER ROLE a PASSWORD '\*{8}' LOGAN"),
    ],
)
def test_passwords_are_verifiers_when_a_statement_goes_to_another_node(sql: str, sent: str | None) -> None:
    pattern = re.escape(sql) if sent is None else sent
    assert re.fullmatch(pattern, with_verifiers(sql))


def test_the_verifier_is_that_of_the_password() -> None:
    text = with_verifiers("ALTER ROLE a PASSWORD U&'x\\0079'")
    verifier = scram.Verifier.parse(text.split("'")[1])
    assert verifier.stored_key == scram.build_verifier("xy", verifier.salt, verifier.iterations).stored_key


def test_a_password_beside_a_text_that_nests_too_deeply_is_left_out() -> None:
    text = with_verifiers("ALTER ROLE a PASSWORD 'hush'; SELECT 1" + "+1" * 20_000)
    assert "hush" not in text and text.startswith("ALTER ROLE a PASSWORD")
